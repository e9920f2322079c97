"""What a market did in the last seconds, and today. Times are whole seconds since 1970 UTC.

Source: protocol.md 6.6 (301, 305).
"""

from __future__ import annotations

from itertools import chain

import msgspec

from marketprice.core.calendar import DAY_S, MINUTE_S, Calendar
from marketprice.core.candle import DAY, MINUTE, SECOND, Candle, flat, merged
from marketprice.core.market import Market

QUIET_DAYS_MAX = 30  # how far back a price is looked for when nothing was traded


class Today(msgspec.Struct, frozen=True):
    """`prices`: of the local day so far, or flat at the last close. `rolling`: of the last 24 hours."""

    prices: Candle | None
    rolling: Candle | None


def status(market: Market, period: int, now: int) -> Candle | None:
    """The last `period` seconds as one candle; None if nothing was traded.

    Second candles up to the first full minute, minute candles from there. Cost: one step per minute traded.
    """
    start = now - period
    minute = start - start % MINUTE_S + MINUTE_S
    seconds = market.series[SECOND].between(start, minute)
    return merged(chain(seconds, market.series[MINUTE].between(minute, now)))


def status_today(market: Market, calendar: Calendar, now: int) -> Today:
    """The local day of `now`; open, high and low are those of its candle."""
    today = calendar.bucket(now, DAY_S)
    prices = market.candle(DAY, today)
    if prices is None:
        before = market.series[DAY].newest(today, calendar.days_before(today, QUIET_DAYS_MAX))
        prices = None if before is None else flat(before.close, before.price_scale)
    return Today(prices, status(market, DAY_S, now))
