"""Keys in a packet's ext: a repeat gets the first outcome, whatever happened in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.hand_worker import HandWorker, audit, hand_settings
from vxnet.clock import ManualClock

DEPOSIT = [1, "BTC", "deposit", 1, "10", {}]
MONEY = [1, "USD", "deposit", 1, "100000", {}]
LIMIT = [1, "BTCUSD", 1, "1", "100.5", "0.001", "0.002", "web"]
BUY = [1, "BTCUSD", 2, "50", "0.001", "web"]
BUY_TOO_SMALL = [1, "BTCUSD", 2, "0.0001", "1", "0", "0", "s"]
HOUR_US = 3600 * 1_000_000


def fund(worker: HandWorker) -> None:
    worker.done(102, DEPOSIT)
    worker.done(102, MONEY)


def test_a_repeat_gets_the_first_outcome(tmp_path: Path) -> None:
    """Of each operation, though the order has been filled and cancelled since; nothing is done twice."""
    with HandWorker(tmp_path / "data") as worker:
        fund(worker)
        placed = worker.done(201, LIMIT, b"limit")
        bought = worker.done(202, BUY, b"market")
        cancelled = worker.done(204, [1, "BTCUSD", placed["id"]], b"cancel")
        updated = worker.done(102, [1, "BTC", "deposit", 2, "1", {}], b"update")
        sequence, before = worker.worker.position.sequence, worker.state_hash
        assert placed["left"] == "1"
        assert cancelled["left"] != "1", "it was filled in part"
        for command, params, key, first in (
            (201, LIMIT, b"limit", placed),
            (202, BUY, b"market", bought),
            (204, [1, "BTCUSD", placed["id"]], b"cancel", cancelled),
            (102, [1, "BTC", "deposit", 2, "1", {}], b"update", updated),
        ):
            assert worker.done(command, params, key) == first
        assert worker.worker.position.sequence == sequence, "a repeat is not journaled"
        assert worker.state_hash == before
    audit(tmp_path / "data")


@pytest.mark.parametrize("ending", ["killed", "stopped", "slice and killed"])
def test_after_a_restart_too(tmp_path: Path, ending: str) -> None:
    data = tmp_path / "data"
    with HandWorker(data) as worker:
        fund(worker)
        first = worker.done(201, LIMIT, b"k1")
        if ending == "slice and killed":
            worker.stop()
        elif ending == "killed":
            worker.crash()
    with HandWorker(data) as worker:
        second = worker.done(201, LIMIT, b"k2")
        if ending != "stopped":
            worker.crash()
    with HandWorker(data) as worker:
        assert worker.done(201, LIMIT, b"k1") == first
        assert worker.done(201, LIMIT, b"k2") == second
        assert second["id"] == first["id"] + 1
    audit(data)


@pytest.mark.parametrize(
    ("command", "params"),
    [
        (201, [*LIMIT[:3], "2", *LIMIT[4:]]),
        (201, [*LIMIT[:7], "api"]),
        (202, BUY),
        (204, [1, "BTCUSD", 1]),
        (102, [1, "BTC", "deposit", 9, "1", {}]),
    ],
)
def test_a_key_with_other_parameters(tmp_path: Path, command: int, params: list[Any]) -> None:
    with HandWorker(tmp_path / "data") as worker:
        fund(worker)
        worker.done(201, LIMIT, b"key")
        before = worker.state_hash
        assert worker.refused(command, params, b"key") == 1
        assert worker.state_hash == before


def test_keys_belong_to_users(tmp_path: Path) -> None:
    with HandWorker(tmp_path / "data") as worker:
        fund(worker)
        worker.done(102, [2, "BTC", "deposit", 1, "10", {}])
        mine = worker.done(201, LIMIT, b"key")
        yours = worker.done(201, [2, *LIMIT[1:]], b"key")
        assert (mine["user"], yours["user"]) == (1, 2)


def test_a_refusal_is_not_remembered(tmp_path: Path) -> None:
    """What was refused for lack of money may be tried again under its key."""
    with HandWorker(tmp_path / "data") as worker:
        assert worker.refused(201, LIMIT, b"key") == 10
        fund(worker)
        assert worker.done(201, LIMIT, b"key")["id"] == 1


@pytest.mark.parametrize(
    ("key", "is_taken"),
    [
        (b"k", True),
        (b"k" * 36, True),
        (b"01HZX-a.b_c~ !", True),
        (b"k" * 37, False),
        (b"k" * 65535, False),
        (b"k\n", False),
        (b"\x00", False),
        ("é".encode(), False),
    ],
)
def test_what_may_be_a_key(tmp_path: Path, key: bytes, is_taken: bool) -> None:
    with HandWorker(tmp_path / "data") as worker:
        if is_taken:
            assert worker.done(102, DEPOSIT, key) == worker.done(102, DEPOSIT, key)
        else:
            before = worker.state_hash
            assert worker.refused(102, DEPOSIT, key) == 1
            assert worker.state_hash == before
            assert worker.done(104, [], key), "queries carry any ext"


def test_too_many_keys(tmp_path: Path) -> None:
    """No key is forgotten early: a new one waits (error 3) until an old one has aged."""
    clock = ManualClock(1_700_000_000_000_000, 0)
    settings = hand_settings(keys_max=3, key_age_s=3600)
    with HandWorker(tmp_path / "data", settings, clock) as worker:
        fund(worker)
        first = worker.done(201, LIMIT, b"key0")
        for number in (1, 2):
            worker.done(201, LIMIT, b"key%d" % number)
        assert worker.refused(201, LIMIT, b"key3") == 3
        assert worker.done(201, LIMIT, b"key0") == first, "known keys still work"
        assert worker.done(201, LIMIT)["id"] == 4, "as does a request without a key"
        clock.advance(HOUR_US + 1)
        assert worker.done(201, LIMIT, b"key3")["id"] == 5
        worker.check_laws()
    audit(tmp_path / "data")


def test_a_key_ages(tmp_path: Path) -> None:
    clock = ManualClock(1_700_000_000_000_000, 0)
    with HandWorker(tmp_path / "data", hand_settings(key_age_s=3600), clock) as worker:
        fund(worker)
        first = worker.done(201, LIMIT, b"key")
        clock.advance(HOUR_US)
        assert worker.done(201, LIMIT, b"key") == first
        clock.advance(1)
        second = worker.done(201, LIMIT, b"key")
        assert second["id"] == first["id"] + 1
        assert worker.done(201, LIMIT, b"key") == second
    audit(tmp_path / "data")


def test_a_keyed_update_is_a_business_update_too(tmp_path: Path) -> None:
    """The key answers first; without it the same business id is a repeat."""
    with HandWorker(tmp_path / "data") as worker:
        assert worker.done(102, DEPOSIT, b"key") == {"status": "success"}
        assert worker.done(102, DEPOSIT, b"key") == {"status": "success"}
        assert worker.refused(102, DEPOSIT) == 10
        assert worker.refused(102, DEPOSIT, b"other") == 10
        assert worker.done(101, [1, "BTC"])["BTC"]["available"] == "10"


def test_refusals_and_repeats_forget_nothing(tmp_path: Path) -> None:
    """They are not journaled, so a replay could not know: the state at a stop must be that of the journal."""
    clock = ManualClock(1_700_000_000_000_000, 0)
    data, settings = tmp_path / "data", hand_settings(key_age_s=3600, keys_max=4)
    with HandWorker(data, settings, clock) as worker:
        fund(worker)
        for number in range(3):
            worker.done(201, LIMIT, b"key%d" % number)
        clock.advance(HOUR_US // 2)
        worker.done(201, LIMIT, b"late")
        clock.advance(HOUR_US // 2 + 1)
        before = worker.state_hash
        assert worker.refused(201, [1, "BTCUSD", 2, "1000", "1000", "0", "0", "s"], b"poor") == 10
        assert worker.done(201, LIMIT, b"late")["id"] == 4
        assert worker.refused(201, BUY_TOO_SMALL, b"late") == 1
        assert worker.state_hash == before
        worker.done(201, LIMIT, b"new")
        assert sorted(key for _, key in worker.engine.keys) == ["late", "new"]
    assert audit(data).newest_slice_agrees


def test_the_state_at_a_stop_is_that_of_the_journal(tmp_path: Path) -> None:
    """The same, with the refusal as the last thing that the engine did."""
    clock = ManualClock(1_700_000_000_000_000, 0)
    data, settings = tmp_path / "data", hand_settings(key_age_s=3600)
    with HandWorker(data, settings, clock) as worker:
        fund(worker)
        worker.done(201, LIMIT, b"key")
        clock.advance(2 * HOUR_US)
        worker.refused(201, [1, "BTCUSD", 2, "1000", "1000", "0", "0", "s"], b"poor")
    assert audit(data).newest_slice_agrees
