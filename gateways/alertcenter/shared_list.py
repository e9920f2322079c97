"""The list `alert:message` in Redis, which the C system's alert centre fills and its mail script empties.

    push: line -> waiting -> thread -> RPUSH        in place of the C alert centre, for a script that mails
    take: LRANGE -> lines -> stored -> LTRIM        in place of the script, behind a C alert centre

Each line is pushed, and taken, at least once: after an answer that got lost it may be twice. Nobody waits for
Redis: what is not pushed waits here, the newest WAITING_MAX lines of it; all lines are in `alerts.db` anyway.
A list which nobody empties keeps its newest LIST_MAX lines. A line whose sender has given no name is pushed
with its address in front.

Source: protocol.md 10.1; 12.7 numbers 94, 95 (a connection for each line, lines that got lost).
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from vxnet.clock import OncePer
from vxnet.job import JobDropped, JobPool
from vxnet.timer import Timer
from vxutils.store.redis.connection import Connection
from vxutils.store.redis.errors import RedisError
from vxutils.store.redis.sentinel import Master
from vxutils.store.redis.settings import RedisSettings

KEY: Final = "alert:message"
LIST_MAX: Final = 100_000
WAITING_MAX: Final = 10_000
LINES_AT_ONCE: Final = 500
PUSH_S: Final = 0.2
TAKE_S: Final = 1.0
_LOG_PERIOD_S: Final = 60.0

_log = logging.getLogger("vx.alertcenter.list")

Lines = list[str]


class ListEnd(ABC):
    """One end of the list, at work between `start` and `stop`. For the thread of the loop.

    `trouble`: why it could not be reached the last time; None when it could.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: RedisSettings,
        period_s: float,
        work: Callable[[Master, Lines], Lines],
    ) -> None:
        self.trouble: str | None = None
        self._loop = loop
        self._master = Master(settings)
        self._is_busy = False
        self._log = OncePer(_LOG_PERIOD_S)
        self._pool: JobPool[Master, Lines, Lines] = JobPool(
            loop, 1, lambda: self._master, work, self._finish, lambda own: None, 1, "list"
        )
        self._timer = Timer(loop, period_s, self.tick, repeat=True)

    def start(self) -> None:
        self._pool.start()
        self._timer.start()

    def stop(self, deadline_s: float) -> None:
        """Ends, after what is under way, within `deadline_s`."""
        self._timer.stop()
        self._pool.stop(drain=True, deadline_s=deadline_s)

    def tick(self) -> None:
        """Begins what is due."""
        if not self._is_busy and self._is_due():
            self._is_busy = self._pool.submit(self._next())

    @abstractmethod
    def _is_due(self) -> bool: ...

    @abstractmethod
    def _next(self) -> Lines: ...

    @abstractmethod
    def _done(self, request: Lines, found: Lines) -> None: ...

    def _finish(self, request: Lines, outcome: Lines | Exception) -> None:
        self._is_busy = False
        if isinstance(outcome, list):
            self.trouble = None
            self._done(request, outcome)
            return
        if not isinstance(outcome, RedisError | JobDropped):
            raise outcome  # our fault
        self.trouble = str(outcome)
        if self._log.allows(self._loop.time()):
            _log.error("%s can not be reached: %s", KEY, outcome)


class PushEnd(ListEnd):
    """Appends lines. `lost`: how many could not wait any longer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: RedisSettings) -> None:
        super().__init__(loop, settings, PUSH_S, _push)
        self.lost = 0
        self._lost_before = 0
        self._waiting: deque[str] = deque()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def add(self, line: str) -> None:
        """One line, as a sender writes it behind the magic."""
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(line)

    def stop(self, deadline_s: float) -> None:
        self.tick()
        super().stop(deadline_s)

    def _is_due(self) -> bool:
        return bool(self._waiting)

    def _next(self) -> Lines:
        self._lost_before = self.lost
        return [self._waiting[number] for number in range(min(LINES_AT_ONCE, len(self._waiting)))]

    def _done(self, request: Lines, found: Lines) -> None:
        for _ in range(len(request) - (self.lost - self._lost_before)):
            self._waiting.popleft()


class TakeEnd(ListEnd):
    """Gives out lines; `is_safe` says whether all that was given out is stored."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: RedisSettings,
        receive: Callable[[str], None],
        is_safe: Callable[[], bool],
    ) -> None:
        super().__init__(loop, settings, TAKE_S, _take)
        self.taken = 0
        self._receive = receive
        self._is_safe = is_safe
        self._given: Lines = []  # still at the head of the list

    def settle(self) -> None:
        """After `stop`: removes what is stored; what can not be removed is taken again by the next start."""
        if self._given and self._is_safe():
            with suppress(RedisError), self._master.session() as session:
                _remove(session, self._given)

    def _is_due(self) -> bool:
        return self._is_safe()

    def _next(self) -> Lines:
        return self._given

    def _done(self, request: Lines, found: Lines) -> None:
        self._given = found
        self.taken += len(found)
        for line in found:
            self._receive(line)


def _push(master: Master, lines: Lines) -> Lines:
    """In the thread: all of the lines or none. Raises: RedisError."""
    with master.session() as session:
        session.transaction([("RPUSH", KEY, *lines), ("LTRIM", KEY, -LIST_MAX, -1)])
    return []


def _take(master: Master, given: Lines) -> Lines:
    """In the thread: removes what was given out, if it is still there, and finds the next lines.

    Raises: RedisError.
    """
    with master.session() as session:
        _remove(session, given)
        found: Lines = session.ask("LRANGE", KEY, 0, LINES_AT_ONCE - 1)
    return found


def _remove(session: Connection, given: Lines) -> None:
    if not given:
        return
    session.ask("WATCH", KEY)
    if session.ask("LRANGE", KEY, 0, len(given) - 1) == given:
        session.transaction([("LTRIM", KEY, len(given), -1)])
    session.ask("UNWATCH")
