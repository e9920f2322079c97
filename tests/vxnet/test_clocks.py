"""Clocks that are passed in, and the brake for repeated log lines."""

from __future__ import annotations

import time

import pytest

from vxnet.clock import Clock, ManualClock, OncePer, SystemClock


def test_system_clock_is_in_microseconds() -> None:
    clock: Clock = SystemClock()
    assert abs(clock.wall_us() / 1e6 - time.time()) < 5
    assert abs(clock.monotonic_us() / 1e6 - time.monotonic()) < 5


def test_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(wall_us=1000, monotonic_us=5)
    assert (clock.wall_us(), clock.monotonic_us()) == (1000, 5)
    clock.advance(10)
    assert (clock.wall_us(), clock.monotonic_us()) == (1010, 15)
    clock.step_wall(-500)
    assert (clock.wall_us(), clock.monotonic_us()) == (510, 15)
    with pytest.raises(AssertionError):
        clock.advance(-1)


def test_once_per_interval() -> None:
    brake = OncePer(1.0)
    answers = [(at_s, brake.allows(at_s)) for at_s in (0.0, 0.5, 0.99, 1.0, 1.5, 7.0)]
    assert answers == [(0.0, True), (0.5, False), (0.99, False), (1.0, True), (1.5, False), (7.0, True)]
    assert brake.suppressed == 0
    brake.allows(7.5)
    assert brake.suppressed == 1
