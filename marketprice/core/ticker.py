"""What a market did in the last seconds, and today. Times are whole seconds since 1970 UTC.

Source: protocol.md 6.6 (301, 305).
"""

from __future__ import annotations

from itertools import chain

import msgspec

from marketprice.core.calendar import DAY_S, HOUR_S, MINUTE_S, Calendar
from marketprice.core.candle import DAY, HOUR, MINUTE, SECOND, Candle, flat, merged
from marketprice.core.market import Market

QUIET_DAYS_MAX = 30  # how far back a price is looked for when nothing was traded


class Today(msgspec.Struct, frozen=True):
    """`prices`: of the local day so far, or flat at the last close. `rolling`: of the last 24 hours."""

    prices: Candle | None
    rolling: Candle | None


def status(market: Market, calendar: Calendar, period: int, now: int) -> Candle | None:
    """The last `period` seconds as one candle; None if nothing was traded."""
    return traded_between(market, calendar, now - period, now)


def traded_between(market: Market, calendar: Calendar, start: int, end: int) -> Candle | None:
    """From the second `start` to the last minute that begins before `end`, as one candle.

    Second candles up to the first full minute, minute candles from there; those of whole hours in between are
    taken together. Cost: at most 60 steps for each of them and one per hour.
    """
    minute = start - start % MINUTE_S + MINUTE_S
    minutes, hours = market.series[MINUTE], market.series[HOUR]
    parts = [market.series[SECOND].between(start, minute)]
    first_hour = hours.next_start(minute)
    last_hour = hours.previous_start(end - HOUR_S + 1)
    if last_hour is not None and calendar.after(last_hour, HOUR_S) > end:
        last_hour = hours.previous_start(last_hour)  # where clocks are set by half an hour, one is longer
    if first_hour is None or last_hour is None or first_hour > last_hour:
        parts.append(minutes.between(minute, end))
    else:
        behind = calendar.after(last_hour, HOUR_S)
        parts += (minutes.between(minute, first_hour), hours.between(first_hour, last_hour + 1))
        parts.append(minutes.between(behind, end))
    return merged(chain.from_iterable(parts))


def status_today(market: Market, calendar: Calendar, now: int) -> Today:
    """The local day of `now`; open, high and low are those of its candle."""
    return Today(prices_today(market, calendar, now), status(market, calendar, DAY_S, now))


def prices_today(market: Market, calendar: Calendar, now: int) -> Candle | None:
    """The candle of the local day, or a flat one at the last close; None if that is long ago."""
    today = calendar.bucket(now, DAY_S)
    prices = market.candle(DAY, today)
    if prices is not None:
        return prices
    before = market.series[DAY].newest(today, calendar.days_before(today, QUIET_DAYS_MAX))
    return None if before is None else flat(before.close, before.price_scale)
