"""One outlet and what it has yet to tell: at most one message at a time, the rest waits as one summary.

    lines -> waiting summary --due--> message in a thread -> taken: the next one after `interval_s`
                    ^                                     -> failed: back into the summary, after 1, 2, 4 .. s
                    '----------------------------------------'

So nothing is dropped, memory is bounded by the summary, and a dead outlet costs a thread that sleeps. Nobody
waits for it here: receiving goes on whatever an outlet does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from gateways.alertcenter.lines import Alert
from gateways.alertcenter.outlets import Outlet, OutletFailed
from gateways.alertcenter.summary import Message, Summary
from vxnet.job import JobDropped, JobPool

GATHER_S: Final = 1.0
"""What comes together is told together."""

PAUSE_FIRST_S: Final = 1.0
PAUSE_MAX_S: Final = 300.0

_log = logging.getLogger("vx.alertcenter.delivery")


class Delivery:
    """Tells one outlet. `told(name, time_us)` is called when everything up to that time was taken by it.

    `interval_s`: seconds between two messages. All calls come from the loop.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        outlet: Outlet,
        interval_s: float,
        told: Callable[[str, int], None],
    ) -> None:
        self.sent = 0
        self.failed = 0
        self.trouble: str | None = None
        """Why the last message was not taken; None when it was."""
        self._loop = loop
        self._outlet = outlet
        self._interval_s = interval_s
        self._told = told
        self._waiting = Summary()
        self._in_flight: Summary | None = None
        self._due_s = 0.0
        self._pause_s = PAUSE_FIRST_S
        self._pool: JobPool[Outlet, Message, None] = JobPool(
            loop,
            1,
            lambda: outlet,
            lambda own, message: own.send(message),
            self._finish,
            lambda own: None,
            1,
            outlet.name,
        )

    @property
    def name(self) -> str:
        return self._outlet.name

    @property
    def waiting(self) -> int:
        """Lines not told yet."""
        return self._waiting.count + (self._in_flight.count if self._in_flight is not None else 0)

    def start(self) -> None:
        self._pool.start()

    def stop(self, deadline_s: float) -> None:
        """Ends the thread; what was not told is told after the next start."""
        self._outlet.abort()
        self._pool.stop(drain=False, deadline_s=deadline_s)

    def add(self, alert: Alert, count: int, first_us: int, last_us: int) -> None:
        """Something to tell."""
        if not self._waiting.count:
            self._due_s = max(self._due_s, self._loop.time() + GATHER_S)
        self._waiting.add(alert, count, first_us, last_us)

    def tick(self) -> None:
        """Sends what is due; to be called a few times a second."""
        if self._in_flight is not None or not self._waiting.count or self._loop.time() < self._due_s:
            return
        summary, self._waiting = self._waiting, Summary()
        if self._pool.submit(summary.message()):
            self._in_flight = summary
        else:
            self._waiting = summary

    def _finish(self, message: Message, outcome: Exception | None) -> None:
        summary, self._in_flight = self._in_flight, None
        assert summary is not None
        now_s = self._loop.time()
        if outcome is None:
            self.sent += 1
            self.trouble = None
            self._pause_s = PAUSE_FIRST_S
            self._due_s = now_s + self._interval_s
            self._told(self.name, summary.last_us)
            return
        summary.include(self._waiting)
        self._waiting = summary
        if isinstance(outcome, JobDropped):
            return
        self.failed += 1
        self.trouble = str(outcome) if isinstance(outcome, OutletFailed) else repr(outcome)
        self._due_s = now_s + self._pause_s
        _log.error(
            "outlet %s: %s; %d lines wait, next attempt in %g s",
            self.name,
            self.trouble,
            self.waiting,
            self._pause_s,
        )
        self._pause_s = min(self._pause_s * 2, PAUSE_MAX_S)
