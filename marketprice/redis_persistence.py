"""The market data in Redis, behind the same door as the file: gathered each second, written in batches.

    save: changed -> open batch --every FLUSH_S, and at the end--> closed batch --thread--> Redis
                                                                    '-> remembered for a while

A batch is one transaction with its position, so a crash loses and doubles nothing: what is not in Redis is
read again from the feed. Each batch says behind which other one it comes. What is found in Redis tells where
to begin: after a fail-over to a replica that was behind, the remembered batches are written again; if they
do not reach back that far, all there is, and so too after a key was found to be of another type. If somebody
else has written since, nothing is written, and that is an alarm: so of two processes on the same keys the one
that was started last goes on.

While no Redis can be reached, changes wait in the open batch, which is never larger than the state. The last
batch is written in the caller's thread, all others beside the loop: one connection for each. Measured at
3,000 deals a second: gathering takes 10 ms of each second, and a batch of 30,000 deals delays the loop by 17
ms at most.

Source: protocol.md 6.4, 6.5; 12.3 numbers 48, 49, 52, 53, 55 (faults of the C system that are not here).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from bisect import bisect_left
from collections import deque
from typing import Final

import msgspec

from marketprice.core.calendar import Calendar
from marketprice.core.market import Market, Markets
from marketprice.persistence import Position, StoreRefused
from marketprice.redis_batch import OFFSET_KEY, OURS_KEY, Batch, Mark, Ours, candles_key
from marketprice.redis_loading import read_mark, read_state
from marketprice.redis_whole import WholeState
from marketprice.texts import Texts
from vxnet.clock import Clock, OncePer
from vxnet.job import JobDropped, JobPool
from vxutils.store.redis.connection import Connection
from vxutils.store.redis.errors import RedisAway, RedisError, RedisWrong
from vxutils.store.redis.sentinel import Master
from vxutils.store.redis.settings import RedisSettings

FLUSH_S: Final = 10.0
"""Source: protocol.md 6.4."""

RETRY_S: Final = 2.0
STOP_TIMEOUT_S: Final = 15.0
REMEMBERED_BATCHES: Final = 60
REMEMBERED_TEXTS: Final = 300_000
"""Of all remembered batches: some 60 MB."""

COMMANDS_AT_ONCE: Final = 20
LOG_PERIOD_S: Final = 60.0

_log = logging.getLogger("vx.marketprice.redis")


class StateLost(Exception):
    """What is in Redis is older than all we remember."""


class StateForeign(Exception):
    """Somebody else has written it since."""


TROUBLES: Final = (RedisError, StateLost, StateForeign, StoreRefused)
"""What is tried again, and told."""


class Job(msgspec.Struct, frozen=True):
    """Batches in order, the last one to be written. `highest`: the largest number of a message ever had.
    `run` begins the names of this process's batches."""

    batches: tuple[Batch, ...]
    highest: int
    run: str


class RedisStore:
    """The state of one process in Redis. `zone`: the name of the time zone whose days the candles are of.

    `saved`: the position that is safe; `trouble`: what keeps it from going on, None if nothing does.
    """

    def __init__(self, settings: RedisSettings, zone: str, clock: Clock) -> None:
        self.saved = Position()
        self.trouble: str | None = None
        self._master = Master(settings, lambda: clock.monotonic_us() / 1_000_000)
        self._zone = zone
        self._clock = clock
        self._texts = Texts("viabtc")
        self._run = secrets.token_hex(8)
        self._generation = 1
        self._batches = 0
        self._highest = -1
        self._known: set[str] = set()
        self._open = Batch(self.saved)
        self._closed: Batch | None = None  # its result is not known yet
        self._mark = Mark()  # of the last batch that was closed
        self._remembered: deque[Batch] = deque()
        self._is_lost = False
        self._whole: WholeState | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flush_at_s = 0.0
        self._failure_log = OncePer(LOG_PERIOD_S)
        self._is_alarmed = False
        self._is_busy = False
        self._pool: JobPool[Master, Job, None] | None = None

    def __str__(self) -> str:
        return str(self._master)

    @property
    def waiting(self) -> int:
        """Candles, deals and prices that are not in Redis."""
        return self._open.size + (self._closed.size if self._closed is not None else 0)

    def load(self, calendar: Calendar, limits: dict[str, int]) -> tuple[Markets, Position]:
        """The state there, without candles before `limits` (start per period).

        Raises: RedisError, StoreRefused.
        """
        with self._master.session() as session:
            found = read_state(session, calendar, limits, self._zone)
        self.saved, self._mark = found.position, found.mark
        self._generation = found.generation + 1
        self._highest = found.position.offset
        self._known = set(found.markets.by_name)
        self._open = Batch(self.saved)
        for key, starts in found.outdated.items():
            self._open.drop(key, starts)
        return found.markets, found.position

    def replace(self, markets: Markets, position: Position) -> None:
        """Writes a whole state in place of what is there. Raises: RedisError; then that is as it was."""
        with self._master.session() as session:
            _, ours = read_mark(session)
        self._generation = max(self._generation, ours.generation + 1 if ours is not None else 1)
        self._write(self._master, self._all_of(markets, position))
        self._settle()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on batches are written beside the loop."""
        self._loop = loop
        self._pool = JobPool(
            loop, 1, lambda: self._master, self._write, self._finish, lambda master: None, 1, "redis"
        )
        self._pool.start()
        self._flush_at_s = self._now_s() + FLUSH_S

    def save(self, markets: Markets, position: Position) -> int:
        """Takes what has changed, to be written when its time has come; how many markets changed."""
        changed = 0
        for market in markets.by_name.values():
            if not market.is_saved or market.name not in self._known:
                self._gather(market)
                changed += 1
        self._open.position = position
        self._highest = max(self._highest, position.offset)
        if self._pool is not None and not self._is_busy and self._now_s() >= self._flush_at_s:
            self._flush(self._pool, markets)
        return changed

    def _gather(self, market: Market) -> None:
        self._known.add(market.name)
        self._open.add_changed(market, self._texts)
        market.mark_saved()

    def drop_before(self, markets: Markets, limits: dict[str, int]) -> None:
        """Deletes with the next batch what of `markets` begins before `limits` (start per period).

        To be called before they are dropped there.
        """
        for market in markets.by_name.values():
            for period, limit in limits.items():
                starts = market.series[period].starts
                self._open.drop(candles_key(market.name, period), starts[: bisect_left(starts, limit)])

    def finish(self) -> None:
        """Writes what is left, within some STOP_TIMEOUT_S; what can not be written is logged."""
        if self._pool is not None:
            self._pool.stop(drain=True, deadline_s=STOP_TIMEOUT_S)
            self._pool = None
        if self._whole is not None:
            self._whole.stop()
        while self._is_whole and (job := self._next_job()) is not None:
            try:
                self._write(self._master, job)
            except TROUBLES as error:
                self.trouble = str(error)
                break
            self._settle()
        if self.waiting:
            _log.critical(
                "%s: the last market data are not there (%s); they are read again after message %d",
                self, self.trouble, self.saved.offset,
            )  # fmt: skip

    def close(self) -> None:
        """Nothing is held open between uses."""

    @property
    def _is_whole(self) -> bool:
        """Whether the batches that wait are all that Redis lacks."""
        return not self._is_lost or (self._closed is not None and self._closed.is_all)

    def _flush(self, pool: JobPool[Master, Job, None], markets: Markets) -> None:
        if not self._is_whole and not self._close_whole(markets):
            return
        job = self._next_job() or self._look()
        if job is None:
            return
        self._is_busy = True
        self._flush_at_s = self._now_s() + FLUSH_S
        accepted = pool.submit(job)
        assert accepted, "one job at a time"

    def _next_job(self) -> Job | None:
        """What is to be written, None if nothing is."""
        if self._closed is None:
            if self._open.is_empty and self._open.position == self.saved:
                return None
            self._close(self._open)
        assert self._closed is not None
        return Job((*self._remembered, self._closed), self._highest, self._run)

    def _look(self) -> Job | None:
        """Whether what was written is still there: when all is quiet, a fail-over may have undone it."""
        if not self._remembered or self._remembered[-1].is_all:
            return None
        return Job(tuple(self._remembered), self._highest, self._run)

    def _close_whole(self, markets: Markets) -> bool:
        """Whether all there is has been made a batch, which takes a while."""
        if self._whole is None:
            assert self._loop is not None
            self._whole = WholeState(self._loop, markets, self._texts, self._open, self._gather)
        if not self._whole.is_done:
            return False
        self._remembered.clear()
        self._close(self._whole.batch())
        self._whole = None
        return True

    def _all_of(self, markets: Markets, position: Position) -> Job:
        batch = Batch(position, is_all=True)
        for market in markets.by_name.values():
            batch.add_all(market, self._texts)
            market.mark_saved()
        self._known = set(markets.by_name)
        self._highest = max(self._highest, position.offset)
        self._remembered.clear()
        self._close(batch)
        return Job((batch,), self._highest, self._run)

    def _close(self, batch: Batch) -> None:
        self._batches += 1
        batch.name(f"{self._run}-{self._batches}", self._mark, self._zone, self._generation)
        self._mark = batch.mark
        self._closed = batch
        self._open = Batch(batch.position)

    def _settle(self) -> None:
        """The closed batch is in Redis."""
        batch = self._closed
        assert batch is not None
        self._closed = None
        self._is_lost = False
        self.saved = batch.position
        self.trouble = None
        self._remembered.append(batch)
        while (
            len(self._remembered) > REMEMBERED_BATCHES
            or sum(one.size for one in self._remembered) > REMEMBERED_TEXTS
        ):
            self._remembered.popleft()

    def _finish(self, job: Job, outcome: Exception | None) -> None:
        self._is_busy = False
        if outcome is None:
            self.trouble = None
            if self._closed is not None:
                self._settle()
            if self._is_alarmed:
                self._is_alarmed = False
                _log.critical("%s: market data are saved again, up to message %d", self, self.saved.offset)
            return
        if isinstance(outcome, JobDropped):
            self.trouble = f"{self}: it did not answer in {STOP_TIMEOUT_S:g} s"
            return
        if not isinstance(outcome, TROUBLES):
            raise outcome  # our fault
        is_lost = isinstance(outcome, StateLost)
        self._is_lost = self._is_lost or is_lost
        self._flush_at_s = self._now_s() + (0 if is_lost else RETRY_S)
        self.trouble = f"market data can not be saved: {outcome}"
        if self._failure_log.allows(self._now_s()) or is_lost or not self._is_alarmed:
            self._is_alarmed = True
            _log.critical("%s", self.trouble)

    def _now_s(self) -> float:
        return self._clock.monotonic_us() / 1_000_000

    @staticmethod
    def _write(master: Master, job: Job) -> None:
        """In any thread: touches no state of the store. Raises: one of TROUBLES."""
        with master.session() as session:
            if job.batches[-1].is_all:
                _write_all(session, job)
            else:
                _write_behind(session, job)


def _write_all(session: Connection, job: Job) -> None:
    batch = job.batches[-1]
    commands = batch.preparations()
    for first in range(0, len(commands), COMMANDS_AT_ONCE):
        session.ask_all(commands[first : first + COMMANDS_AT_ONCE])
    session.ask("WATCH", OFFSET_KEY, OURS_KEY)
    _, ours = read_mark(session)
    _demand_no_other(session, job, ours)
    if not session.transaction(batch.exchange()):
        raise _changed(session)


def _write_behind(session: Connection, job: Job) -> None:
    """The batches behind the one that is found there."""
    behind = {batch.before: batch for batch in job.batches}
    while True:
        session.ask("WATCH", OFFSET_KEY, OURS_KEY)
        mark, ours = read_mark(session)
        if mark == job.batches[-1].mark:
            return
        batch = behind.get(mark)
        if batch is None:
            _demand_no_other(session, job, ours)
            raise _not_ours(session, mark, job.highest)
        try:
            if not session.transaction(batch.commands()):
                raise _changed(session)
        except RedisWrong:
            session.ask("DEL", OURS_KEY)  # what did fit is there: it must not pass for the whole batch
            raise


def _changed(session: Connection) -> RedisAway:
    return RedisAway(f"{session}: {OFFSET_KEY} was changed meanwhile")


def _demand_no_other(session: Connection, job: Job, ours: Ours | None) -> None:
    """Raises: StateForeign when a later marketprice than this one has written."""
    generation = job.batches[-1].ours.generation
    if ours is None or ours.generation < generation:
        return
    if ours.generation > generation or not ours.batch.startswith(f"{job.run}-"):
        raise StateForeign(
            f"{session}: another marketprice was started on the same keys and writes them now; nothing more "
            "is written by this one: stop one of them"
        )


def _not_ours(session: Connection, mark: Mark, highest: int) -> Exception:
    if mark.offset and not (mark.offset.isascii() and mark.offset.isdigit() and int(mark.offset) <= highest):
        return StateForeign(
            f"{session}: {OFFSET_KEY} is {mark.offset}, ours never was above {highest}: somebody else writes "
            "the market data; nothing more is written"
        )
    return StateLost(
        f"{session}: what is there ({OFFSET_KEY} {mark.offset or 'missing'}) is older than what we remember; "
        "all market data are written again"
    )
