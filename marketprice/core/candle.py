"""Candles, and the series of candles of one market and one period.

A candle holds its six numbers as integers with three scales: one of its prices, one of the volume, one of
the money sum. Scales are those of the deals in it; when a market's decimals change, numbers meet at the
larger scale, so nothing is ever cut. Not here: which candle a moment belongs to (`calendar`).

Source: protocol.md 6.3; 2.3 (exponents of sums and products), without its limit of 34 digits.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from vxutils.fixed import power10

SECOND: Final = "1s"
MINUTE: Final = "1m"
HOUR: Final = "1h"
DAY: Final = "1d"
PERIODS: Final = (SECOND, MINUTE, HOUR, DAY)


class Candle(msgspec.Struct, gc=False):
    """`open`, `close`, `high`, `low` at `price_scale` decimals; `volume` (of stock) and `deal` (of money)."""

    open: int
    close: int
    high: int
    low: int
    price_scale: int
    volume: int = 0
    amount_scale: int = 0
    deal: int = 0
    deal_scale: int = 0

    def add(self, price: int, price_scale: int, amount: int, amount_scale: int) -> None:
        """Takes one deal in."""
        deal, deal_scale = price * amount, price_scale + amount_scale
        if price_scale != self.price_scale:
            price = self._meet_prices(price, price_scale)
        self.close = price
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self._add_sums(amount, amount_scale, deal, deal_scale)

    def include(self, later: Candle) -> None:
        """Takes in the candle that follows this one in time."""
        close, high, low = later.close, later.high, later.low
        if later.price_scale != self.price_scale:
            scale = later.price_scale
            close, high, low = (self._meet_prices(price, scale) for price in (close, high, low))
        self.close = close
        if high > self.high:
            self.high = high
        if low < self.low:
            self.low = low
        self._add_sums(later.volume, later.amount_scale, later.deal, later.deal_scale)

    def copy(self) -> Candle:
        """Another candle with the same numbers."""
        return msgspec.structs.replace(self)

    def _add_sums(self, amount: int, amount_scale: int, deal: int, deal_scale: int) -> None:
        if amount_scale == self.amount_scale and deal_scale == self.deal_scale:
            self.volume += amount
            self.deal += deal
            return
        self.volume, self.amount_scale = _sum(self.volume, self.amount_scale, amount, amount_scale)
        self.deal, self.deal_scale = _sum(self.deal, self.deal_scale, deal, deal_scale)

    def _meet_prices(self, price: int, scale: int) -> int:
        """`price` at the larger of both scales, where our own prices are afterwards too."""
        if scale < self.price_scale:
            return price * power10(self.price_scale - scale)
        factor = power10(scale - self.price_scale)
        self.open *= factor
        self.close *= factor
        self.high *= factor
        self.low *= factor
        self.price_scale = scale
        return price


def _sum(one: int, one_scale: int, other: int, other_scale: int) -> tuple[int, int]:
    if one_scale < other_scale:
        return one * power10(other_scale - one_scale) + other, other_scale
    return one + other * power10(one_scale - other_scale), one_scale


def flat(price: int, price_scale: int) -> Candle:
    """A candle in which nothing was traded yet."""
    return Candle(price, price, price, price, price_scale)


def merged(candles: Iterable[Candle]) -> Candle | None:
    """One candle for several in order of time, None for none."""
    whole: Candle | None = None
    for candle in candles:
        if whole is None:
            whole = candle.copy()
        else:
            whole.include(candle)
    return whole


class CandleSeries:
    """The candles of one period by their start (seconds since 1970), and their starts in order."""

    __slots__ = ("by_start", "starts")

    def __init__(self) -> None:
        self.by_start: dict[int, Candle] = {}
        self.starts: list[int] = []

    def put(self, start: int, candle: Candle) -> None:
        """Keeps a candle. Cost O(1) when it is the newest, O(n) of memory moved otherwise."""
        if start not in self.by_start:
            if self.starts and start < self.starts[-1]:
                insort(self.starts, start)
            else:
                self.starts.append(start)
        self.by_start[start] = candle

    def between(self, first: int, end: int) -> Iterator[Candle]:
        """The candles with first <= start < end, in order."""
        starts, by_start = self.starts, self.by_start
        for index in range(bisect_left(starts, first), bisect_left(starts, end)):
            yield by_start[starts[index]]

    def newest(self, before: int, not_before: int) -> Candle | None:
        """The newest candle with not_before <= start < before."""
        index = bisect_left(self.starts, before) - 1
        if index < 0 or self.starts[index] < not_before:
            return None
        return self.by_start[self.starts[index]]

    def next_start(self, start: int) -> int | None:
        """The first start at or after `start`."""
        index = bisect_left(self.starts, start)
        return self.starts[index] if index < len(self.starts) else None

    def previous_start(self, before: int) -> int | None:
        """The last start before `before`."""
        index = bisect_left(self.starts, before) - 1
        return self.starts[index] if index >= 0 else None

    def drop_before(self, start: int) -> None:
        """Forgets the candles that begin before `start`."""
        count = bisect_right(self.starts, start - 1)
        for dropped in self.starts[:count]:
            del self.by_start[dropped]
        del self.starts[:count]
