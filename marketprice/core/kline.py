"""Candles of any interval: buckets of base candles, with gaps filled by the close before them.

    interval rule -> base period -> start clamped and aligned -> previous close -> bucket, bucket, ...

Nothing is copied out of the series before it is asked for, and what would be too much is known before.

Source: protocol.md 6.6 (302).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

import msgspec

from marketprice.core.calendar import DAY_S, HOUR_S, MINUTE_S, MONTH_S, WEEK_S, Calendar
from marketprice.core.candle import DAY, HOUR, MINUTE, SECOND, Candle, CandleSeries
from marketprice.core.market import Market
from marketprice.core.ticker import QUIET_DAYS_MAX

QUIET_S_MAX: Final = QUIET_DAYS_MAX * DAY_S


class Retention(msgspec.Struct, frozen=True):
    """How far back candles are kept: seconds, minutes, hours. Days are kept for ever."""

    sec_max: int
    min_max: int
    hour_max: int

    def limits(self, now: int) -> dict[str, int]:
        """The earliest start of each period that is kept at `now`."""
        return {
            SECOND: now - self.sec_max,
            MINUTE: now - now % MINUTE_S - self.min_max * MINUTE_S,
            HOUR: now - now % HOUR_S - self.hour_max * HOUR_S,
        }


class Kline(msgspec.Struct, frozen=True):
    """Buckets from `first` on while their start is at most `end`; `previous` is the candle before them."""

    calendar: Calendar
    series: CandleSeries
    interval: int
    first: int
    end: int
    previous: Candle | None

    @property
    def count(self) -> int:
        """How many buckets, about: a day may have an hour more or less."""
        return max(0, (self.end - self.first) // self.interval + 1)

    def buckets(self) -> Iterator[tuple[int, Candle | None]]:
        """Start and candle of each bucket; None where nothing was traded, which repeats the close before.

        The candle is only good until the next step.
        """
        calendar, interval, end = self.calendar, self.interval, self.end
        starts, by_start = self.series.starts, self.series.by_start
        index, count = bisect_left(starts, self.first), len(starts)
        start = self.first
        while start <= end:
            following = calendar.after(start, interval)
            # Only the last month is cut at `end`: the C system's other buckets are whole.
            limit = min(following, end + 1) if interval == MONTH_S else following
            candle: Candle | None = None
            is_copy = False
            while index < count and starts[index] < limit:
                found = by_start[starts[index]]
                if candle is None:
                    candle = found
                else:
                    if not is_copy:
                        candle, is_copy = candle.copy(), True
                    candle.include(found)
                index += 1
            yield start, candle
            start = following


def base_period(interval: int) -> str | None:
    """The period whose candles make up this interval (seconds), None if there is no such interval."""
    if 0 < interval < MINUTE_S:
        return SECOND if MINUTE_S % interval == 0 else None
    if MINUTE_S <= interval < HOUR_S:
        return MINUTE if interval % MINUTE_S == 0 and HOUR_S % interval == 0 else None
    if HOUR_S <= interval < DAY_S:
        return HOUR if interval % HOUR_S == 0 and DAY_S % interval == 0 else None
    if DAY_S <= interval < WEEK_S:
        return DAY if interval % DAY_S == 0 else None
    return DAY if interval in (WEEK_S, MONTH_S) else None


def kline(
    market: Market, calendar: Calendar, retention: Retention, start: int, end: int, interval: int, now: int
) -> Kline:
    """The candles of `market` from `start` to `end` (at most `now`), `interval` seconds each.

    Empty buckets before the first data are not among them. `interval` must have a base period.
    """
    base = base_period(interval)
    assert base is not None, f"{interval} s is no interval"
    series = market.series[base]
    not_before = retention.limits(now).get(base)
    requested = start if not_before is None else max(start, not_before)
    first = calendar.bucket(requested, interval)
    if not_before is None:
        is_month = interval == MONTH_S
        not_before = requested - QUIET_S_MAX if is_month else calendar.days_before(first, QUIET_DAYS_MAX)
    previous = series.newest(first, not_before)
    if previous is None:
        first_candle = series.next_start(first)
        # Behind the end there is nothing to begin with.
        first = end + 1 if first_candle is None else calendar.bucket(first_candle, interval)
    return Kline(calendar, series, interval, first, end, previous)
