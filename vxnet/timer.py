"""A timer on the event loop: once, or again and again.

It owns nothing but its next wake-up. Precision is that of the loop (about a millisecond); a repeating
timer keeps its grid, but a loop that stood still gets one call, not all those it missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timer:
    """Calls `callback()` after `interval_s` seconds, once or (`repeat`) every `interval_s`.

    Made stopped. The callback may start or stop its own timer.
    """

    __slots__ = ("_callback", "_due_at", "_handle", "_interval_s", "_loop", "_repeat")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interval_s: float,
        callback: Callable[[], None],
        repeat: bool,
    ) -> None:
        assert interval_s > 0, "a timer needs an interval above zero"
        self._loop = loop
        self._interval_s = interval_s
        self._callback = callback
        self._repeat = repeat
        self._due_at = 0.0
        self._handle: asyncio.TimerHandle | None = None

    @property
    def active(self) -> bool:
        """Whether a call is to come."""
        return self._handle is not None

    @property
    def remaining(self) -> float:
        """Seconds until the next call; 0 when stopped or overdue."""
        return 0.0 if self._handle is None else max(0.0, self._due_at - self._loop.time())

    def start(self) -> None:
        """Count from now; a running timer starts over."""
        self.stop()
        self._schedule(self._loop.time() + self._interval_s)

    def stop(self) -> None:
        """No further call; stopping a stopped timer does nothing."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _schedule(self, due_at: float) -> None:
        self._due_at = due_at
        self._handle = self._loop.call_at(due_at, self._fire)

    def _fire(self) -> None:
        self._handle = None
        if self._repeat:
            # Before the callback, so that the callback can stop it.
            now = self._loop.time()
            next_at = self._due_at + self._interval_s
            self._schedule(next_at if next_at > now else now + self._interval_s)
        self._callback()
