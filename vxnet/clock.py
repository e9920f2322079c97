"""Time as a value that is passed in, so that tests and simulation can move it.

Knows nothing of the event loop's own timers (`loop.call_later`), which run on the monotonic clock of the
machine.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def wall_us(self) -> int:
        """Microseconds since 1970-01-01 UTC; may step in either direction."""
        ...

    def monotonic_us(self) -> int:
        """Microseconds since an arbitrary moment; never goes back."""
        ...


class SystemClock:
    """The clocks of the machine."""

    __slots__ = ()

    def wall_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1000


class ManualClock:
    """A clock that stands still until it is moved."""

    __slots__ = ("_monotonic_us", "_wall_us")

    def __init__(self, wall_us: int = 0, monotonic_us: int = 0) -> None:
        self._wall_us = wall_us
        self._monotonic_us = monotonic_us

    def wall_us(self) -> int:
        return self._wall_us

    def monotonic_us(self) -> int:
        return self._monotonic_us

    def advance(self, microseconds: int) -> None:
        """Move both clocks forward, as passing time does."""
        assert microseconds >= 0, "time that passes never goes back; use step_wall"
        self._wall_us += microseconds
        self._monotonic_us += microseconds

    def step_wall(self, microseconds: int) -> None:
        """Move only the wall clock, in either direction, as an operator or NTP does."""
        self._wall_us += microseconds


class OncePer:
    """Allows something at most once per interval: keeps a flood of equal events from flooding the log.

    Pure: the caller passes the time in. `suppressed` counts the noes since the last yes.
    """

    __slots__ = ("_due_s", "_interval_s", "suppressed")

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._due_s = float("-inf")
        self.suppressed = 0

    def allows(self, now_s: float) -> bool:
        """True when the interval has passed since the last True. `now_s` is monotonic, in seconds."""
        if now_s < self._due_s:
            self.suppressed += 1
            return False
        self._due_s = now_s + self._interval_s
        self.suppressed = 0
        return True
