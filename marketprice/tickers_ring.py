"""The latest numbers of every market in shared memory: one snapshot ring per market, for gateways beside us.

    deals -----> due at the next FLUSH_S --.
    time ------> due when a window slid  --+--> texts --> ring of the market
    a question > at once, if due ----------'

What a gateway reads there is never older than a reply that was given out: before a question of a market is
answered, its ring is brought up to date. A ring that can not be made is done without: an alarm, another try
every RETRY_US; gateways then ask by RPC. The rings belong to this process; the state is only read.

Source: protocol.md 6.6 (301, 304, 305); docs/shared-memory.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from marketprice.core.calendar import DAY_S
from marketprice.core.market import Market, Markets
from marketprice.core.rolling import Rolling
from marketprice.core.ticker import Today, prices_today
from marketprice.core.trades import Deal
from marketprice.persistence import Position
from marketprice.views import Views
from vxnet.clock import Clock
from vxnet.timer import Timer
from vxutils.protocol.ticker import STATUS_PERIOD_S, TickerSnapshot, encode_ticker
from vxutils.ring.segment import RingError, ring_name
from vxutils.ring.snapshot import SnapshotWriter
from vxutils.system_id import read_system_id

SLOTS: Final = 3
SLOT_BYTES: Final = 1_272  # with its header a ring is one page; a ticker takes some 400
FLUSH_S: Final = 0.01
FLUSH_US: Final = 3_000  # of one flush; the rest waits for the next one
BEAT_S: Final = 1.0
RETRY_US: Final = 10_000_000

_log = logging.getLogger("vx.marketprice.tickers")


class _Ticker:
    """One market with a ring, which says what a reply would from `at_s` to `until_s`."""

    __slots__ = ("at_s", "market", "ring", "rolling", "until_s")

    def __init__(self, market: Market, rolling: Rolling, ring: SnapshotWriter) -> None:
        self.market = market
        self.rolling = rolling
        self.ring = ring
        self.at_s = 0
        self.until_s = -1

    def shows(self, now_s: int) -> bool:
        """Whether time alone has changed nothing since it was published."""
        return self.at_s <= now_s <= self.until_s


class TickerRings:
    """Publishes between `open` and `close`.

    `style`: that of `views`; `has_status`: whether second candles are kept for STATUS_PERIOD_S; `position`:
    how far the state is.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        directory: Path,
        markets: Markets,
        position: Position,
        views: Views,
        style: str,
        clock: Clock,
        *,
        has_status: bool,
    ) -> None:
        self._directory = directory
        self._markets = markets
        self._position = position
        self._views = views
        self._style = style
        self._clock = clock
        self._has_status = has_status
        self._system_id: bytes | None = None
        self._tickers: dict[str, _Ticker] = {}
        self._failed: dict[str, str] = {}  # market: why it has no ring
        self._retry_at_us = 0
        self._due: dict[str, None] = {}
        self._looked_s = 0
        self._timers = (
            Timer(loop, FLUSH_S, self.flush, repeat=True),
            Timer(loop, BEAT_S, self.beat, repeat=True),
        )

    @property
    def opened(self) -> int:
        """Markets with a ring."""
        return len(self._tickers)

    @property
    def failed(self) -> int:
        """Markets whose ring could not be made."""
        return len(self._failed)

    @property
    def too_large(self) -> int:
        """Tickers that did not fit into their ring."""
        return sum(ticker.ring.too_large for ticker in self._tickers.values())

    def open(self) -> None:
        """Makes the rings and publishes every market."""
        self.follow_markets()
        for timer in self._timers:
            timer.start()

    def close(self) -> None:
        """Ends all rings; readers know at once."""
        for timer in self._timers:
            timer.stop()
        for ticker in self._tickers.values():
            ticker.ring.close()
        self._tickers.clear()
        self._due.clear()

    # What the owner of the state tells.

    def follow_markets(self) -> None:
        """Makes the rings of markets that have become known."""
        if len(self._tickers) + len(self._failed) < len(self._markets.by_name):
            known = self._tickers.keys() | self._failed.keys()
            self._make([name for name in self._markets.by_name if name not in known])

    def took(self, deals: Iterable[Deal], position: Position) -> None:
        """Deals were taken into the state, which is at `position` now."""
        self._position = position
        tickers, due = self._tickers, self._due
        for deal in deals:
            ticker = tickers.get(deal.market)
            if ticker is not None:
                ticker.rolling.traded(deal.time_us // 1_000_000)
                due[deal.market] = None

    def dropped(self) -> None:
        """Old candles were dropped."""
        for name, ticker in self._tickers.items():
            ticker.rolling.forget()
            self._due[name] = None

    def asked(self, market: Market, now_s: int) -> None:
        """A question of this market is going to be answered with what is so at `now_s`."""
        ticker = self._tickers.get(market.name)
        if ticker is not None and (market.name in self._due or not ticker.shows(now_s)):
            self._publish(ticker, now_s)

    # Time.

    def flush(self) -> None:
        """Publishes what is due, for FLUSH_US at most; the longest waiting first."""
        now_s = self._clock.wall_us() // 1_000_000
        if now_s != self._looked_s:
            self._looked_s = now_s
            for name, ticker in self._tickers.items():
                if not ticker.shows(now_s):
                    self._due[name] = None
        if not self._due:
            return
        end_us = self._clock.monotonic_us() + FLUSH_US
        for name in list(self._due):
            self._publish(self._tickers[name], now_s)
            if self._clock.monotonic_us() >= end_us:
                return

    def beat(self) -> None:
        """Once a second: the heartbeat, removed names, new markets, and rings that failed before."""
        now_us = self._clock.monotonic_us()
        for name, ticker in list(self._tickers.items()):
            try:
                is_new = ticker.ring.check()
            except RingError as error:
                ticker.ring.close()
                del self._tickers[name]
                self._due.pop(name, None)
                self._fail(name, error)
                continue
            ticker.ring.beat(now_us)
            if is_new:
                _log.error("the name of the ring of %s was removed: made anew", name)
                self._publish(ticker, self._clock.wall_us() // 1_000_000)
        if self._failed and now_us >= self._retry_at_us:
            self._retry_at_us = now_us + RETRY_US
            self._make(list(self._failed))
        self.follow_markets()

    # Rings.

    def _make(self, names: Iterable[str]) -> None:
        if self._system_id is None:
            self._system_id = read_system_id(self._directory)
            if self._system_id is None:
                return  # the engine has not been here yet; nobody can know a name
        for name in names:
            try:
                ring = SnapshotWriter(
                    ring_name(self._system_id, self._directory, f"ticker.{name}"),
                    SLOT_BYTES,
                    SLOTS,
                    now=self._clock.monotonic_us,
                )
            except RingError as error:
                self._fail(name, error)
                continue
            if self._failed.pop(name, None):
                _log.info("the ring of %s is made again", name)
            market = self._markets.by_name[name]
            ticker = _Ticker(market, Rolling(market, self._markets.calendar, DAY_S), ring)
            self._tickers[name] = ticker
            self._publish(ticker, self._clock.wall_us() // 1_000_000)

    def _fail(self, name: str, error: RingError) -> None:
        """One alarm for the first ring that fails; those after it, and later tries, are less loud."""
        level = logging.ERROR if self._failed else logging.CRITICAL
        if self._failed.get(name) != str(error):
            _log.log(level, "no ring for the numbers of %s, they are asked by RPC: %s", name, error)
        if not self._failed:
            self._retry_at_us = self._clock.monotonic_us() + RETRY_US
        self._failed[name] = str(error)

    def _publish(self, ticker: _Ticker, now_s: int) -> None:
        views, market, calendar = self._views, ticker.market, self._markets.calendar
        whole = ticker.rolling.whole(now_s)
        day_end_s = calendar.after(calendar.bucket(now_s, DAY_S), DAY_S)
        ticker.at_s = now_s
        ticker.until_s = min(ticker.rolling.unchanged_until(now_s), day_end_s - 1)
        position = self._position
        data = encode_ticker(
            TickerSnapshot(
                market=market.name,
                offset=position.offset,
                style=self._style,
                good_until_s=ticker.until_s,
                last=views.last(market),
                status=views.status(market, STATUS_PERIOD_S, whole) if self._has_status else "",
                today=views.status_today(Today(prices_today(market, calendar, now_s), whole)),
            )
        )
        ticker.ring.publish(data, position.sequence, self._clock.wall_us())
        self._due.pop(market.name, None)
