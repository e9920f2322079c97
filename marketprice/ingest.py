"""Deals into the state, and the state into its store: both in small steps between answers to clients.

    every POLL_S, at once while there is more:  feed -> decode -> markets     at most STEP_MESSAGES
    every SAVE_S, sooner after SAVE_DEALS:      markets + position -> store -> consumer position
    every PURGE_S, sooner after PURGE_DEALS:    candles that are too old

What can not be saved is kept and tried again; when UNSAVED_MAX deals wait for the disk, no more are taken
until it is back, so nothing is lost and memory is bounded. A store that is elsewhere takes what is saved, and
says later that it is safe. A message that is no deal is skipped, as in the C
system, and counted. It owns the position; the state is changed by nobody else.

Source: protocol.md 6.3, 6.4 (timers; the C system saves every 10 s, piece by piece).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path
from typing import Final, Protocol

from marketprice.core.kline import Retention
from marketprice.core.market import Markets
from marketprice.core.trades import Deal
from marketprice.feed import Feed, position_of, publish
from marketprice.messages import BadMessage, decode_deal
from marketprice.persistence import Position
from vxnet.clock import Clock, OncePer
from vxnet.timer import Timer
from vxutils.disk import Disk

POLL_S: Final = 0.005  # a look at shared memory
STEP_MESSAGES: Final = 500  # some 5 ms
SAVE_S: Final = 1.0
SAVE_DEALS: Final = 5_000  # some 25 ms
UNSAVED_MAX: Final = 100_000
PURGE_S: Final = 3_600.0
PURGE_DEALS: Final = 100_000  # when old ones come fast, as those of the history do
LOG_PERIOD_S: Final = 60.0

_log = logging.getLogger("vx.marketprice.ingest")


class Follower(Protocol):
    """Who wants to know what becomes of the state."""

    def took(self, deals: list[Deal], position: Position) -> None:
        """Deals were taken in; the state is at `position`."""

    def dropped(self) -> None:
        """Old candles were dropped."""


class StateStore(Protocol):
    """Where the state is kept. `saved`: the position that is safe; `trouble`: why it does not go on."""

    saved: Position
    trouble: str | None

    def save(self, markets: Markets, position: Position) -> int:
        """Takes what has changed."""

    def drop_before(self, markets: Markets, limits: dict[str, int]) -> None:
        """Deletes candles that begin before `limits`; in `markets` they are dropped after it."""

    def finish(self) -> None:
        """Makes safe what was taken, as far as that can be done in some seconds."""


class Ingest:
    """Feeds `markets` between `start` and `stop` with what `feed` has behind `position`.

    `follower` is told of it. `is_beside_recorder`: the feed is of its messages, which it keeps for us.
    `saved` is how far the store is; `trouble` what keeps it from going on, None if
    nothing does.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        directory: Path,
        markets: Markets,
        position: Position,
        feed: Feed,
        store: StateStore,
        retention: Retention,
        clock: Clock,
        disk: Disk,
        follower: Follower | None = None,
        *,
        is_beside_recorder: bool = True,
    ) -> None:
        self.markets = markets
        self.position = position
        self.saved = position
        self.deals = 0
        self.bad_messages = 0
        self._unsaved = 0
        self._unpurged = 0  # deals since the last purge
        self._save_trouble: str | None = None
        self._loop = loop
        self._directory = directory
        self.feed = feed
        self._store = store
        self._retention = retention
        self._clock = clock
        self._disk = disk
        self._follower = follower
        self._is_beside_recorder = is_beside_recorder
        self._next_step: asyncio.Handle | None = None
        self._failure_log = OncePer(LOG_PERIOD_S)
        self._bad_log = OncePer(LOG_PERIOD_S)
        self._timers = (
            Timer(loop, POLL_S, self.step, repeat=True),
            Timer(loop, SAVE_S, self.save, repeat=True),
            Timer(loop, PURGE_S, self.purge, repeat=True),
        )

    @property
    def trouble(self) -> str | None:
        """What an operator should look at."""
        return self._save_trouble or self._store.trouble or self.feed.trouble

    def start(self) -> None:
        """Begins. FeedBroken comes out of the loop if the feed can not go on."""
        self._publish()
        self.step()
        for timer in self._timers:
            timer.start()

    def stop(self) -> None:
        """Ends, and saves what came since the last time."""
        for timer in self._timers:
            timer.stop()
        if self._next_step is not None:
            self._next_step.cancel()
        self.save()
        self._store.finish()
        self._note_saved()

    def step(self) -> None:
        """Takes the next messages in, if there are any. Raises: FeedBroken."""
        if self._next_step is not None:
            self._next_step.cancel()
            self._next_step = None
        if self._unsaved >= UNSAVED_MAX:
            return
        messages = self.feed.poll(STEP_MESSAGES)
        if not messages:
            return
        deals: list[Deal] = []
        for message in messages:
            try:
                deal = decode_deal(message.payload, message.offset)
                if not self._is_beside_recorder:
                    deal.offset = deal.id  # offsets of a topic that is made anew go back
                self.markets.apply(deal)
                deals.append(deal)
            except BadMessage as error:
                self.bad_messages += 1
                if self._bad_log.allows(self._clock.monotonic_us() / 1_000_000):
                    _log.error("message %d is no deal, skipped: %s", message.offset, error)
        self.deals += len(deals)
        self._unsaved += len(messages)
        self.position = position_of(messages[-1])
        if self._follower is not None:
            self._follower.took(deals, self.position)
        if self._unsaved >= SAVE_DEALS:
            self.save()
        self._unpurged += len(messages)
        if self._unpurged >= PURGE_DEALS:
            self.purge()
        if len(messages) == STEP_MESSAGES:
            self._next_step = self._loop.call_soon(self.step)

    def save(self) -> None:
        """Makes durable what has been taken in; if the disk does not let us, the same is tried again later.

        Raises: StoreDamaged.
        """
        try:
            self._store.save(self.markets, self.position)
        except sqlite3.OperationalError as error:
            self._fail("market data can not be saved", error)
            return
        self._unsaved = 0
        self._save_trouble = None
        self._note_saved()

    def purge(self) -> None:
        """Forgets candles that are older than they are kept. Raises: StoreDamaged."""
        self._unpurged = 0
        limits = self._retention.limits(self._clock.wall_us() // 1_000_000)
        try:
            self._store.drop_before(self.markets, limits)
        except sqlite3.OperationalError as error:
            self._fail("old candles can not be deleted", error)
        self.markets.drop_before(limits)
        if self._follower is not None:
            self._follower.dropped()

    def _note_saved(self) -> None:
        if self._store.saved != self.saved:
            self.saved = self._store.saved
            self._publish()

    def _publish(self) -> None:
        if not self._is_beside_recorder:
            return  # brokers keep what they are told to keep
        try:
            publish(self._disk, self._directory, self.saved)
        except OSError as error:
            # The recorder keeps more messages than it has to, that is all.
            self._fail("the position can not be published", error)

    def _fail(self, what: str, error: Exception) -> None:
        self._save_trouble = f"{what}: {error}"
        if self._failure_log.allows(self._clock.monotonic_us() / 1_000_000):
            _log.critical("%s: %s", what, error)
