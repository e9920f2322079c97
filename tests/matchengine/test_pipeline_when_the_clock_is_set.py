"""A step of the wall clock in a working engine: what is remembered stays so, and the journal knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hand_worker import BEGIN_US, HandWorker, audit, hand_settings
from vxnet.clock import ManualClock

HOUR_US = 3600 * 1_000_000
UPDATE = [1, "BTC", "deposit", 1, "1", {}]
SETTINGS = hand_settings(repeat_age_s=3600, key_age_s=3600)


def test_a_step_forward_makes_nothing_expire(tmp_path: Path) -> None:
    data, clock = tmp_path / "data", ManualClock(BEGIN_US, 0)
    with HandWorker(data, SETTINGS, clock) as worker:
        worker.done(102, UPDATE)
        keyed = worker.done(201, [1, "BTCUSD", 1, "0.5", "10", "0", "0", "s"], b"key")
        clock.step_wall(1000 * HOUR_US)
        assert worker.refused(102, UPDATE) == 10
        assert worker.done(201, [1, "BTCUSD", 1, "0.5", "10", "0", "0", "s"], b"key") == keyed
        assert worker.engine.age_offset_us == 1000 * HOUR_US
        assert "clock: held" in worker.worker.admin.status([])
        order = worker.done(201, [1, "BTCUSD", 1, "0.1", "10", "0", "0", "s"])
        assert order["ctime"] == (BEGIN_US + 1000 * HOUR_US) / 1e6, "journal time follows the clock"
        worker.crash()
    with HandWorker(data, SETTINGS, clock) as worker:
        assert worker.refused(102, UPDATE) == 10, "after a restart too"
        assert worker.worker.timekeeper.is_holding
        clock.advance(HOUR_US)
        assert worker.refused(102, UPDATE) == 10
        clock.advance(1)
        worker.done(102, UPDATE)
        assert worker.refused(102, UPDATE) == 10
        mark = worker.state_hash
        worker.stop()
    with HandWorker(data, SETTINGS, clock) as worker:
        assert worker.state_hash == mark
    audit(data)


def test_accepting_lets_it_expire(tmp_path: Path) -> None:
    data, clock = tmp_path / "data", ManualClock(BEGIN_US, 0)
    with HandWorker(data, SETTINGS, clock) as worker:
        worker.done(102, UPDATE)
        clock.step_wall(1000 * HOUR_US)
        assert worker.refused(102, UPDATE) == 10
        assert worker.worker.admin.clock(["accept"]) == "OK"
        assert "clock: accepted" in worker.worker.admin.status([])
        worker.done(102, UPDATE)
        assert worker.engine.age_offset_us == 0
    found = audit(data)
    assert found.operation_id == 2
    assert found.sequence == 5, "rules, two updates, two changes of age"


def test_a_step_back_keeps_order_and_ages_on(tmp_path: Path) -> None:
    data, clock = tmp_path / "data", ManualClock(BEGIN_US, 0)
    with HandWorker(data, SETTINGS, clock) as worker:
        worker.done(102, UPDATE)
        first = worker.done(201, [1, "BTCUSD", 1, "0.5", "10", "0", "0", "s"])
        clock.step_wall(-1000 * HOUR_US)
        second = worker.done(201, [1, "BTCUSD", 1, "0.1", "10", "0", "0", "s"])
        assert second["ctime"] == first["ctime"], "time stands"
        assert worker.refused(102, UPDATE) == 10
        clock.advance(HOUR_US + 1)
        worker.done(102, UPDATE)
        mark = worker.state_hash
        worker.crash()
    clock.step_wall(1000 * HOUR_US)  # set right again while nothing runs
    with HandWorker(data, SETTINGS, clock) as worker:
        assert worker.state_hash == mark
        assert worker.refused(102, UPDATE) == 10
    audit(data)


@pytest.mark.parametrize("step_us", [-999_999, 59_999_999])
def test_small_steps_are_nobodys_business(tmp_path: Path, step_us: int) -> None:
    clock = ManualClock(BEGIN_US, 0)
    with HandWorker(tmp_path / "data", SETTINGS, clock) as worker:
        worker.done(102, UPDATE)
        sequence = worker.worker.position.sequence
        clock.step_wall(step_us)
        worker.done(104, [])
        assert worker.worker.position.sequence == sequence
        assert not worker.worker.timekeeper.is_holding
