"""What was traded in a window that ends now, kept up to date as deals come and time passes.

    now - period            settled                  open_from     now
         |==================================================|--------|
           one candle, made again when something leaves it    minutes, looked up each time

The answer is always that of `ticker.status`, which costs up to 200 steps; here a deal costs a few. It reads
the market and keeps nothing of it but the settled candle.
"""

from __future__ import annotations

from itertools import chain
from typing import Final

from marketprice.core.calendar import MINUTE_S, Calendar
from marketprice.core.candle import MINUTE, SECOND, Candle, merged
from marketprice.core.market import Market
from marketprice.core.ticker import traded_between

OPEN_S: Final = 2 * MINUTE_S  # at least so much is looked up: deals of the past minute may still come
SETTLED_S: Final = 600  # settled again at the latest, so that what is looked up stays short


class Rolling:
    """The last `period` seconds of one market. Its owner tells it of deals and of dropped candles."""

    __slots__ = ("_calendar", "_market", "_open_from", "_period", "_settled", "_settled_at", "_settled_until")

    def __init__(self, market: Market, calendar: Calendar, period: int) -> None:
        assert period > OPEN_S + SETTLED_S + MINUTE_S, period
        self._market = market
        self._calendar = calendar
        self._period = period
        self._settled: Candle | None = None
        self._open_from = 0
        self._settled_at = 0
        self._settled_until = -1

    def whole(self, now: int) -> Candle | None:
        """What `status` gives at the second `now`. To be called before `unchanged_until`."""
        if not self._settled_at <= now <= self._settled_until:
            self._settle(now)
        settled = () if self._settled is None else (self._settled,)
        return merged(chain(settled, self._market.series[MINUTE].between(self._open_from, now)))

    def unchanged_until(self, now: int) -> int:
        """The last second for which it is known that `whole` is that of `now` unless there is a deal."""
        beginning = self._market.series[MINUTE].next_start(now)  # not counted before the second behind
        return self._settled_until if beginning is None else min(beginning, self._settled_until)

    def traded(self, second: int) -> None:
        """A deal was made then."""
        if second < self._open_from:
            self.forget()

    def forget(self) -> None:
        """Candles were dropped."""
        self._settled_until = -1

    def _settle(self, now: int) -> None:
        start, period = now - self._period, self._period
        minute = start - start % MINUTE_S + MINUTE_S
        seconds, minutes = self._market.series[SECOND], self._market.series[MINUTE]
        until = now + SETTLED_S
        second = seconds.next_start(start)
        if second is not None and second < minute:
            until = min(until, second + period)
        # When a minute is no longer whole, its seconds count instead.
        for next_start in (seconds.next_start(minute), minutes.next_start(minute)):
            if next_start is not None:
                until = min(until, next_start - next_start % MINUTE_S + period - 1)
        self._open_from = now - now % MINUTE_S - OPEN_S
        self._settled = traded_between(self._market, self._calendar, start, self._open_from)
        self._settled_at, self._settled_until = now, until
