"""Journal time: the wall clock, never going back, and what happens when it is set.

Journal time is max(previous, wall clock). A step of the wall clock against the monotonic one - back
by more than 1 s, forward by more than 60 s - raises an alarm and begins to *hold* age: what expires by
time (repeats, keys) goes on ageing by monotonic time until an operator accepts the new clock, so that a
wrong clock makes nothing be forgotten. Age lags behind journal time by an offset which is journaled
state (`ShiftAge`), because replay must forget the same things.

Knows no journal and no engine; the sequencer asks it once per turn.
"""

from __future__ import annotations

import logging

from vxnet.clock import Clock

STEP_BACK_US = 1_000_000
STEP_FORWARD_US = 60_000_000
OFFSET_GRAIN_US = 1_000_000  # smaller changes of the offset are not worth a journal record

_log = logging.getLogger("vx.matchengine.timekeeper")


class Timekeeper:
    """`time_us`: the last journal time. `offset_us`: by how much age lags behind it, as journaled."""

    def __init__(self, clock: Clock, time_us: int, offset_us: int) -> None:
        self._clock = clock
        self.time_us = time_us
        self.offset_us = offset_us
        self.is_holding = offset_us != 0
        self._wall_us = clock.wall_us()
        self._monotonic_us = clock.monotonic_us()
        self._age_us = time_us - offset_us

    def sample(self) -> int:
        """Reads the clocks and returns journal time, whole microseconds since 1970."""
        wall_us = self._clock.wall_us()
        monotonic_us = self._clock.monotonic_us()
        elapsed_us = monotonic_us - self._monotonic_us
        drift_us = wall_us - self._wall_us - elapsed_us
        self._wall_us, self._monotonic_us = wall_us, monotonic_us
        if drift_us < -STEP_BACK_US or drift_us > STEP_FORWARD_US:
            self._hold(drift_us)
        if wall_us > self.time_us:
            self.time_us = wall_us
        if self.is_holding:
            self._age_us += elapsed_us
        else:
            self._age_us = self.time_us
        return self.time_us

    def _hold(self, drift_us: int) -> None:
        self.is_holding = True
        _log.critical(
            "the wall clock was set %s by %.3f s; nothing expires early, `clock accept` on the console "
            "accepts the new time",
            "forward" if drift_us > 0 else "back",
            abs(drift_us) / 1_000_000,
        )

    def wanted_offset_us(self) -> int | None:
        """The offset to journal now, None while the journaled one is good enough."""
        wanted = self.time_us - self._age_us if self.is_holding else 0
        if wanted == self.offset_us or (wanted and abs(wanted - self.offset_us) < OFFSET_GRAIN_US):
            return None
        return wanted

    def accept(self) -> None:
        """An operator says that the wall clock is right: age follows it again."""
        self.is_holding = False
        self._age_us = self.time_us
