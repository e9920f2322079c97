"""The state of each market: last price, four series of candles, recent deals; and what is not saved yet.

    deal --> candle of its second, minute, hour, day --> last price --> recent deals
                    `- remembered as changed, until the owner says it is saved

`Markets` is the whole state of the process and its only mutator is `apply`. It knows no clock: how far back
candles are kept is decided by the owner, who calls `drop_before`.

Source: protocol.md 6.1, 6.3.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from marketprice.core.calendar import MINUTE_S, Calendar
from marketprice.core.candle import DAY, HOUR, MINUTE, PERIODS, SECOND, Candle, CandleSeries, flat
from marketprice.core.trades import RECENT_MAX, Deal, RecentDeals


class Market:
    """One market. `last` at `last_scale` decimals is the latest price; 0 while nothing was ever traded.

    `changed`: period and start of the candles that are not saved yet; `unsaved_deals`: the same of deals, as
    far as they are still among the recent ones.
    """

    __slots__ = ("changed", "last", "last_scale", "name", "recent", "series", "unsaved_deals")

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.last = 0
        self.last_scale = 0
        self.series: Final = {period: CandleSeries() for period in PERIODS}
        self.recent: Final = RecentDeals()
        self.changed: Final[set[tuple[str, int]]] = set()
        self.unsaved_deals: Final[deque[Deal]] = deque(maxlen=RECENT_MAX)

    def apply(self, deal: Deal, calendar: Calendar) -> None:
        """Takes one deal in.

        A new candle opens at the last price before it, so high and low include that. The first candles of a
        market open at its first price (the C system: at 0, protocol.md 12.3 number 50).
        """
        second = deal.time_us // 1_000_000
        hour, day = calendar.hour_and_day(second)
        price, price_scale = deal.price, deal.price_scale
        opening = (self.last, self.last_scale) if self.last else (price, price_scale)
        starts = ((SECOND, second), (MINUTE, second - second % MINUTE_S), (HOUR, hour), (DAY, day))
        for key in starts:
            series = self.series[key[0]]
            candle = series.by_start.get(key[1])
            if candle is None:
                candle = flat(*opening)
                series.put(key[1], candle)
            candle.add(price, price_scale, deal.amount, deal.amount_scale)
        self.changed.update(starts)
        self.last, self.last_scale = price, price_scale
        self.recent.add(deal)
        self.unsaved_deals.append(deal)

    def candle(self, period: str, start: int) -> Candle | None:
        """The candle that begins at `start`, if there is one."""
        return self.series[period].by_start.get(start)

    @property
    def is_saved(self) -> bool:
        """Whether nothing has happened since `mark_saved`."""
        return not self.changed

    def mark_saved(self) -> None:
        """What was changed so far is safe."""
        self.changed.clear()
        self.unsaved_deals.clear()


class Markets:
    """All markets by name, in the order in which they became known."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar: Final = calendar
        self.by_name: Final[dict[str, Market]] = {}

    def apply(self, deal: Deal) -> None:
        """Takes one deal in; an unknown market is made."""
        self.know(deal.market).apply(deal, self.calendar)

    def know(self, name: str) -> Market:
        """The market of this name, made if need be."""
        market = self.by_name.get(name)
        if market is None:
            market = self.by_name[name] = Market(name)
        return market

    def decimals(self, name: str) -> int:
        """How many the latest price of a market has; 0 if it is not known. From any thread."""
        market = self.by_name.get(name)
        return market.last_scale if market is not None else 0

    def drop_before(self, limits: dict[str, int]) -> None:
        """Forgets, per period in `limits`, the candles that begin before that second."""
        for market in self.by_name.values():
            for period, start in limits.items():
                market.series[period].drop_before(start)
            outdated = {key for key in market.changed if key[1] < limits.get(key[0], 0)}
            market.changed.difference_update(outdated)
