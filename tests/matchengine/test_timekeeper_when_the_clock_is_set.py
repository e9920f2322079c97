"""Journal time never goes back; after a step of the clock nothing expires until an operator accepts it.

Each row: what happens to the clocks, then journal time and age, in seconds since the start.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest

from matchengine.timekeeper import Timekeeper
from vxnet.clock import ManualClock

BEGIN_US = 1_700_000_000_000_000
S = 1_000_000

# (name, [(seconds that pass, seconds the wall clock is stepped by), ...], journal time, age, alarms)
STEPS: list[tuple[str, list[tuple[float, float]], float, float, int]] = [
    ("time passes", [(10, 0), (0, 0), (5, 0)], 15, 15, 0),
    ("a small step back stands still", [(10, -0.9), (0.4, 0)], 9.5, 9.5, 0),
    ("a small step forward is taken", [(10, 59)], 69, 69, 0),
    ("a step back holds age", [(10, 0), (1, -3600), (9, 0)], 10, 20, 1),
    ("a step forward holds age", [(10, 0), (1, 3600), (9, 0)], 3620, 20, 1),
    ("there and back again", [(10, 0), (1, 3600), (1, -3600), (8, 0)], 3611, 20, 2),
    ("a slow drift is taken", [(10, 0.5)] * 20, 210, 210, 0),
]


@pytest.mark.parametrize(("name", "steps", "time_s", "age_s", "alarms"), STEPS, ids=[row[0] for row in STEPS])
def test_steps(
    name: str, steps: list[tuple[float, float]], time_s: float, age_s: float, alarms: int, caplog: Any
) -> None:
    clock = ManualClock(BEGIN_US, 77 * S)
    timekeeper = Timekeeper(clock, BEGIN_US, 0)
    last = 0
    with caplog.at_level(logging.CRITICAL):
        for passes_s, step_s in steps:
            clock.advance(round(passes_s * S))
            clock.step_wall(round(step_s * S))
            now = timekeeper.sample()
            assert now >= last, "never back"
            last = now
            wanted = timekeeper.wanted_offset_us()
            if wanted is not None:
                timekeeper.offset_us = wanted
    assert (last - BEGIN_US) / S == pytest.approx(time_s, abs=0.11)
    assert (last - timekeeper.offset_us - BEGIN_US) / S == pytest.approx(age_s, abs=1.11)
    assert len([r for r in caplog.records if "the wall clock was set" in r.message]) == alarms
    assert timekeeper.is_holding is (alarms > 0)


def test_accepting_ends_the_hold() -> None:
    clock = ManualClock(BEGIN_US, 0)
    timekeeper = Timekeeper(clock, BEGIN_US, 0)
    clock.step_wall(7200 * S)
    timekeeper.sample()
    assert timekeeper.wanted_offset_us() == 7200 * S
    timekeeper.offset_us = 7200 * S
    assert timekeeper.wanted_offset_us() is None
    timekeeper.accept()
    assert timekeeper.wanted_offset_us() == 0
    timekeeper.offset_us = 0
    clock.advance(5 * S)
    assert timekeeper.sample() == BEGIN_US + 7205 * S
    assert timekeeper.wanted_offset_us() is None


def test_a_hold_goes_on_after_a_restart() -> None:
    """The offset is journaled: the next run begins with it, and still holds."""
    clock = ManualClock(BEGIN_US + 10 * S, 0)
    timekeeper = Timekeeper(clock, BEGIN_US, 3600 * S)
    assert timekeeper.is_holding
    clock.advance(1 * S)
    timekeeper.sample()
    wanted = timekeeper.wanted_offset_us()
    assert wanted is not None
    assert timekeeper.time_us - wanted == BEGIN_US - 3600 * S + 1 * S, (
        "age goes on where it was, by passing time"
    )


def test_a_clock_behind_the_journal_waits() -> None:
    """A start less than 5 s before the last record: time stands until the clock has caught up."""
    clock = ManualClock(BEGIN_US - 3 * S, 0)
    timekeeper = Timekeeper(clock, BEGIN_US, 0)
    for expected_s in (0, 0, 0, 0, 1):
        assert timekeeper.sample() == BEGIN_US + expected_s * S
        clock.advance(1 * S)
    assert not timekeeper.is_holding
