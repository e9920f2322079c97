"""`repeat update`: exact over (user, asset, business, id), for as long as the rules say, over restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hand_worker import HandWorker, audit, hand_settings
from vxnet.clock import ManualClock

DAY_US = 86_400 * 1_000_000
UPDATE = [1, "BTC", "deposit", 7, "1", {}]


@pytest.mark.parametrize("age_s", [86_400, 90 * 86_400, 1])
def test_it_ages_by_journal_time(tmp_path: Path, age_s: int) -> None:
    clock = ManualClock(1_700_000_000_000_000, 0)
    with HandWorker(tmp_path / "data", hand_settings(repeat_age_s=age_s), clock) as worker:
        worker.done(102, UPDATE)
        assert worker.refused(102, UPDATE) == 10
        clock.advance(age_s * 1_000_000)
        assert worker.refused(102, UPDATE) == 10, "to the last microsecond"
        clock.advance(1)
        worker.done(102, UPDATE)
        assert worker.refused(102, UPDATE) == 10
        assert len(worker.engine.repeats) == 1
    assert audit(tmp_path / "data").operation_id == 2


@pytest.mark.parametrize("with_slice", [False, True])
def test_over_a_restart(tmp_path: Path, with_slice: bool) -> None:
    data, clock = tmp_path / "data", ManualClock(1_700_000_000_000_000, 0)
    settings = hand_settings(repeat_age_s=86_400)
    with HandWorker(data, settings, clock) as worker:
        worker.done(102, UPDATE)
        worker.stop() if with_slice else worker.crash()
    clock.advance(DAY_US)
    with HandWorker(data, settings, clock) as worker:
        assert worker.refused(102, UPDATE) == 10
        clock.advance(1)
        worker.done(102, UPDATE)
    audit(data)


def test_the_whole_name_counts(tmp_path: Path) -> None:
    """One that differs in anything is another update; amount and detail are not part of the name."""
    others = [
        [2, "BTC", "deposit", 7, "1", {}],
        [1, "USD", "deposit", 7, "1", {}],
        [1, "BTC", "deposi", 7, "1", {}],
        [1, "BTC", "Deposit", 7, "1", {}],
        [1, "BTC", "deposit" + "x" * 23, 7, "1", {}],
        [1, "BTC", "deposit" + "x" * 22 + "y", 7, "1", {}],
        [1, "BTC", "", 7, "1", {}],
        [1, "BTC", "deposit", 8, "1", {}],
        [1, "BTC", "deposit", -7, "1", {}],
        [1, "BTC", "deposit", 2**63 - 1, "1", {}],
        [1, "BTC", "deposit", -(2**63), "1", {}],
        [1, "BTC", "deposit", 7 + 2**32, "1", {}],
    ]
    with HandWorker(tmp_path / "data") as worker:
        worker.done(102, UPDATE)
        for other in others:
            worker.done(102, other)
        for known in [UPDATE, *others]:
            assert worker.refused(102, [*known[:4], "2", {"other": "detail"}]) == 10
        assert worker.refused(102, [1, "BTC", "x" * 31, 7, "1", {}]) == 1


def test_an_update_without_change_is_remembered(tmp_path: Path) -> None:
    with HandWorker(tmp_path / "data") as worker:
        worker.done(102, [*UPDATE[:4], "0", {}])
        assert worker.refused(102, UPDATE) == 10


def test_a_refused_one_is_not(tmp_path: Path) -> None:
    with HandWorker(tmp_path / "data") as worker:
        assert worker.refused(102, [*UPDATE[:4], "-1", {}]) == 11
        worker.done(102, UPDATE)


def test_old_ones_are_forgotten_little_by_little(tmp_path: Path) -> None:
    """No single command pays for all that have aged, and in the end none is left."""
    clock = ManualClock(1_700_000_000_000_000, 0)
    with HandWorker(tmp_path / "data", hand_settings(repeat_age_s=60), clock) as worker:
        for number in range(1000):
            worker.done(102, [1, "BTC", "deposit", number, "1", {}])
        clock.advance(61_000_000)
        for number in range(1000, 1020):
            worker.done(102, [1, "BTC", "deposit", number, "1", {}])
        assert sorted(key[3] for key in worker.engine.repeats) == list(range(1000, 1020))
    audit(tmp_path / "data")
