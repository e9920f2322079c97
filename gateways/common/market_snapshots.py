"""Market data from shared memory: results of four queries as the services would write them, or None.

    book.<market>     engine ------->  order.depth without merging
    ticker.<market>   marketprice -->  market.last, market.status of 24 hours, market.status_today

What is found here is never older than a reply that the service has given out; what is not found, or can not
be believed (no ring, dead writer, a window that slid, another wire style), is asked by RPC. Texts of a depth
are kept until the book changes: many clients ask for the same.

Source: protocol.md 2.7 (206), 6.6 (301, 304, 305); docs/shared-memory.md.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final, Literal

import msgspec

from gateways.common.errors import WireStyle
from gateways.common.ring_readers import RingReaders
from vxnet.clock import Clock, OncePer
from vxutils.protocol.book import BookError, BookSnapshot, decode_book, depth_text
from vxutils.protocol.ticker import TickerError, TickerSnapshot, decode_ticker
from vxutils.ring.snapshot import SnapshotReader

SnapshotSource = Literal["auto", "shm", "rpc"]
"""Where market data comes from: shared memory where it can be had, only there, or never."""

LATE_S: Final = 1
"""How many seconds a window of 24 hours may lag: marketprice needs a moment after each full second."""

KEPT_MAX: Final = 256
"""Books whose texts are kept; all go when one more comes."""

UNREADABLE_LOG_PERIOD_S: Final = 60.0

_log = logging.getLogger("vx.gateways.snapshots")


class Shown(msgspec.Struct, frozen=True, gc=False):
    """A result as JSON text, and the journal sequence it shows, None where replies tell none."""

    text: str
    sequence: int | None = None


class BeyondRing(Exception):
    """What no ring holds, or no service would answer: it is the service's to say so."""


class _Kept(msgspec.Struct):
    """A book of one publication, and what was printed of it, by limit."""

    mark: tuple[int, int]
    book: BookSnapshot
    shown: dict[int, Shown]


class MarketSnapshots:
    """The market data of the exchange in `data_directory`. One thread."""

    def __init__(self, data_directory: Path, style: WireStyle, clock: Clock) -> None:
        self.rings = RingReaders(data_directory, clock)
        self._style = style
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._unreadable_log = OncePer(UNREADABLE_LOG_PERIOD_S)

    def peek(self, market: str) -> tuple[int, int] | None:
        """Generation and number of a book's newest publication, without reading it; None without a ring."""
        reader = self.rings.find(f"book.{market}")
        mark = reader.mark if reader is not None else (0, 0)
        return mark if mark[1] else None

    def read(self, market: str) -> BookSnapshot | None:
        """The newest book."""
        reader = self.rings.find(f"book.{market}")
        return None if reader is None else self._read_book(reader, market)

    def depth(self, market: str, limit: int) -> Shown | None:
        """The result of `order.depth` with interval 0; `limit` >= 0. Raises: BeyondRing."""
        reader = self.rings.find(f"book.{market}")
        if reader is None:
            return None
        mark = reader.mark  # before the book: what is read may only be newer
        kept = self._kept.get(market)
        if kept is None or kept.mark != mark or not reader.is_alive:
            book = self._read_book(reader, market)
            if book is None:
                self._kept.pop(market, None)
                return None
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            kept = self._kept[market] = _Kept(mark, book, {})
        shown = kept.shown.get(limit)
        if shown is None:
            if not kept.book.covers(limit):
                raise BeyondRing
            shown = Shown(depth_text(kept.book, limit, self._style), kept.book.sequence)
            kept.shown[limit] = shown
        return shown

    def last(self, market: str) -> Shown | None:
        """The result of `market.last`."""
        ticker = self._ticker(market)
        return None if ticker is None else Shown(ticker.last)

    def status(self, market: str) -> Shown | None:
        """The result of `market.status` for STATUS_PERIOD_S."""
        ticker = self._ticker(market)
        return Shown(ticker.status) if ticker is not None and self._is_fresh(ticker) else None

    def today(self, market: str) -> Shown | None:
        """The result of `market.status_today`."""
        ticker = self._ticker(market)
        return Shown(ticker.today) if ticker is not None and self._is_fresh(ticker) else None

    def close(self) -> None:
        """Lets go of all rings."""
        self._kept.clear()
        self.rings.close()

    def _read_book(self, reader: SnapshotReader, market: str) -> BookSnapshot | None:
        snapshot = reader.read()
        if snapshot is None:
            return None
        try:
            return decode_book(snapshot.payload)
        except BookError as error:
            self._complain(market, error)
            return None

    def _ticker(self, market: str) -> TickerSnapshot | None:
        reader = self.rings.find(f"ticker.{market}")
        snapshot = reader.read() if reader is not None else None
        if snapshot is None:
            return None
        try:
            ticker = decode_ticker(snapshot.payload)
        except TickerError as error:
            self._complain(market, error)
            return None
        return ticker if ticker.style == self._style else None

    def _is_fresh(self, ticker: TickerSnapshot) -> bool:
        return self._clock.wall_us() // 1_000_000 <= ticker.good_until_s + LATE_S

    def _complain(self, market: str, error: ValueError) -> None:
        if self._unreadable_log.allows(self._clock.monotonic_us() / 1_000_000):
            _log.error("%s in shared memory can not be read: %s", market, error)
