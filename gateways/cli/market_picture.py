"""What `vx watch` knows of one market: built from query results and pushes, without I/O.

    depth.update, deals.update, price.update, today.update, kline.update -> MarketPicture -> `market_drawing`

Texts stay as they came; only prices are compared, as numbers. Bounded: DEPTH levels a side, DEALS deals,
CANDLES candles.

Source: docs/websocket.md, "Pushes".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

DEPTH: Final = 10
DEALS: Final = 20
CANDLES: Final = 20
CANDLE_S: Final = 60

Level = tuple[Decimal, Decimal]
"""Price, amount."""


class Deal(msgspec.Struct, frozen=True):
    """One deal; `type` is the taker's side, `time` seconds since 1970."""

    id: int
    time: float
    price: Decimal
    amount: Decimal
    type: str


class Today(msgspec.Struct, frozen=True):
    """Numbers of today; `volume` and `deal` of the last 24 hours."""

    open: Decimal = Decimal(0)
    last: Decimal = Decimal(0)
    high: Decimal = Decimal(0)
    low: Decimal = Decimal(0)
    volume: Decimal = Decimal(0)
    deal: Decimal = Decimal(0)


class Candle(msgspec.Struct, frozen=True, array_like=True):
    """`start` in seconds since 1970."""

    start: int
    open: Decimal
    close: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal


class _Sides(msgspec.Struct, frozen=True):
    asks: list[Level] = []
    bids: list[Level] = []


class MarketPicture:
    """A market as it is known now. `take` changes it; a ValidationError of it leaves it as it was.

    `problem` is a sentence while nothing is heard, else empty.
    """

    def __init__(self, market: str) -> None:
        self.market = market
        self.problem = ""
        self.price = Decimal(0)
        self.is_rising = True
        self.today = Today()
        self.deals: list[Deal] = []
        """Newest first."""
        self._asks: dict[Decimal, Decimal] = {}
        self._bids: dict[Decimal, Decimal] = {}
        self._candles: dict[int, Candle] = {}

    @property
    def asks(self) -> list[Level]:
        """Best first."""
        return sorted(self._asks.items())

    @property
    def bids(self) -> list[Level]:
        """Best first."""
        return sorted(self._bids.items(), reverse=True)

    @property
    def candles(self) -> list[Candle]:
        """Oldest first."""
        return [self._candles[start] for start in sorted(self._candles)]

    def take(self, method: str, params: list[Any]) -> None:
        """A push. Raises: msgspec.ValidationError; other pushes and other markets are passed over."""
        match method:
            case "depth.update":
                is_whole, sides, market = _convert(params, tuple[bool, _Sides, str])
                if market == self.market:
                    self._take_depth(is_whole, sides)
            case "deals.update":
                market, deals = _convert(params, tuple[str, list[Deal]])
                if market == self.market:
                    self._take_deals(deals)
            case "price.update":
                market, price = _convert(params, tuple[str, Decimal])
                if market == self.market:
                    self._take_price(price)
            case "today.update":
                market, today = _convert(params, tuple[str, Today])
                if market == self.market:
                    self.today = today
            case "kline.update":
                self.take_candles(params)

    def take_depth(self, result: Any) -> None:
        """The result of a query: the whole book. Raises: msgspec.ValidationError."""
        self._take_depth(True, _convert(result, _Sides))

    def take_candles(self, params: Any) -> None:
        """Candles, each in place of the one with its start. Raises: msgspec.ValidationError."""
        self._candles |= {candle.start: candle for candle in _convert(params, list[Candle])}
        for start in sorted(self._candles)[:-CANDLES]:
            del self._candles[start]

    def _take_depth(self, is_whole: bool, sides: _Sides) -> None:
        self._asks = _merged({} if is_whole else self._asks, sides.asks, is_rising=True)
        self._bids = _merged({} if is_whole else self._bids, sides.bids, is_rising=False)

    def _take_deals(self, deals: list[Deal]) -> None:
        newest = self.deals[0].id if self.deals else 0
        self.deals = ([deal for deal in deals if deal.id > newest] + self.deals)[:DEALS]

    def _take_price(self, price: Decimal) -> None:
        if price != self.price:
            self.is_rising = price > self.price
            self.price = price


def _merged(side: dict[Decimal, Decimal], changes: list[Level], is_rising: bool) -> dict[Decimal, Decimal]:
    """Amounts set or, if 0, removed; then cut to DEPTH: what was pushed out by better levels is not told."""
    merged = side | dict(changes)
    best_first = sorted((level for level in merged.items() if level[1]), reverse=not is_rising)
    return dict(best_first[:DEPTH])


def _convert(value: Any, kind: Any) -> Any:
    return msgspec.convert(value, kind)
