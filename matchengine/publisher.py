"""The books of the engine in shared memory: one snapshot ring per market.

    pipeline: commands touch books -> turn durable -> publish(dirty books) -> replies leave

So whoever already has an answer finds nothing older in a ring. Each snapshot holds the best levels of both
sides as they are at the end of the turn. An idle market costs nothing; one beat per second and ring tells
readers that the engine lives. A ring that can not be made or filled is done without: an alarm, a count,
another try every RETRY_US; readers then ask by RPC, and the engine goes on.

The publisher owns the rings and reads the books between two turns. It decides nothing about orders.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from matchengine.core.engine import Engine
from matchengine.core.market import Market
from matchengine.position import Position
from vxutils.protocol.book import encode_book
from vxutils.ring.segment import RingError
from vxutils.ring.snapshot import SnapshotWriter

RETRY_US = 10_000_000

_log = logging.getLogger("vx.matchengine.publisher")


class BookPublisher:
    """Publishes books; without rings until `open`, and again after `close`.

    `levels` per side; `slots`, `slot_bytes`: of each ring; `name_of(what)`: the name of a ring of this
    exchange; `monotonic_us`: the clock that readers compare heartbeats with.
    """

    def __init__(
        self,
        engine: Engine,
        position: Position,
        name_of: Callable[[str], str],
        monotonic_us: Callable[[], int],
        *,
        levels: int,
        slots: int,
        slot_bytes: int,
    ) -> None:
        self._engine = engine
        self._position = position
        self._name_of = name_of
        self._monotonic_us = monotonic_us
        self._levels = levels
        self._slots = slots
        self._slot_bytes = slot_bytes
        self._rings: dict[str, SnapshotWriter] = {}
        self._failed: dict[str, str] = {}  # market: why it has no ring
        self._too_large: set[str] = set()
        self._alarmed: set[str] = set()  # markets whose book was once too large: one alarm each
        self._rules = engine.rules
        self._is_open = False
        self._retry_at_us = 0

    @property
    def opened(self) -> int:
        """Markets with a ring."""
        return len(self._rings)

    @property
    def failed(self) -> int:
        """Markets whose readers must ask by RPC: no ring, or a book that does not fit."""
        return len(self._failed) + len(self._too_large)

    def open(self) -> None:
        """Makes a ring for every market and publishes all books. To be called when they are recovered."""
        self._is_open = True
        self._make(self._engine.markets)

    def publish(self, markets: Iterable[str]) -> None:
        """Publishes the books of these markets. To be called when all that was applied is durable.

        Cost: 26 us for each at 100 levels a side.
        """
        for name in markets:
            ring, market = self._rings.get(name), self._engine.markets.get(name)
            if ring is not None and market is not None:
                self._publish(market, ring)

    def _publish(self, market: Market, ring: SnapshotWriter) -> None:
        levels, position = self._levels, self._position
        book = encode_book(
            market.name,
            position.sequence,
            position.time_us,
            market.money_prec,
            market.stock_prec,
            market.asks.depth(levels),
            market.bids.depth(levels),
            levels,
        )
        if ring.publish(book, position.sequence, position.time_us):
            if self._too_large:
                self._too_large.discard(market.name)
            return
        self._too_large.add(market.name)
        if market.name not in self._alarmed:
            self._alarmed.add(market.name)
            _log.critical(
                "the book of %s takes %d bytes, rings.slot_size_bytes is %d: its depth is asked by RPC",
                market.name,
                len(book),
                self._slot_bytes,
            )

    def tick(self) -> None:
        """Once a second: the heartbeat, removed names, changed markets, and rings that failed before."""
        if not self._is_open:
            return
        now_us = self._monotonic_us()
        if self._engine.rules is not self._rules:
            self._follow_rules()
        for name, ring in list(self._rings.items()):
            try:
                is_new = ring.check()
            except RingError as error:
                self._rings.pop(name).close()
                self._fail(name, error)
                continue
            ring.beat(now_us)
            if is_new:
                _log.error("the name of the ring of %s was removed: made anew", name)
                self._publish(self._engine.markets[name], ring)
        if self._failed and now_us >= self._retry_at_us:
            self._make(list(self._failed))

    def _follow_rules(self) -> None:
        """Markets come and go, and scales widen, with the rules."""
        self._rules = self._engine.rules
        markets = self._engine.markets
        for name in [name for name in self._rings if name not in markets]:
            self._rings.pop(name).close()
        for name in [name for name in self._failed if name not in markets]:
            del self._failed[name]
        self._too_large &= markets.keys()
        self.publish(list(self._rings))
        self._make([name for name in markets if name not in self._rings and name not in self._failed])

    def _make(self, names: Iterable[str]) -> None:
        self._retry_at_us = self._monotonic_us() + RETRY_US
        for name in names:
            try:
                ring = SnapshotWriter(
                    self._name_of(f"book.{name}"), self._slot_bytes, self._slots, now=self._monotonic_us
                )
            except RingError as error:
                self._fail(name, error)
                continue
            if self._failed.pop(name, None):
                _log.info("the ring of %s is made again", name)
            self._rings[name] = ring
            self._publish(self._engine.markets[name], ring)

    def _fail(self, name: str, error: RingError) -> None:
        """One alarm for the first ring that fails; those after it, and later tries, are less loud."""
        level = logging.ERROR if self._failed else logging.CRITICAL
        if self._failed.get(name) != str(error):
            _log.log(level, "no ring for the book of %s, its depth is asked by RPC: %s", name, error)
        self._failed[name] = str(error)

    def close(self) -> None:
        """Ends all rings; readers know at once."""
        self._is_open = False
        for ring in self._rings.values():
            ring.close()
        self._rings.clear()
