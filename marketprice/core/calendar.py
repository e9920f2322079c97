"""Which bucket a moment belongs to: seconds and minutes by division, the rest by the calendar of one zone.

    interval (s)      bucket
    up to 1800        floor(t, interval)
    3600 .. 43200     hours of the local clock, counted from local midnight
    86400 * n, n < 7  n local days, counted from 1970-01-01
    604800            local week, from Monday
    2592000           local month

Local days follow the calendar, so one is 23 or 25 hours long where clocks are set, and a zone may be half an
hour off. A repeated hour is two buckets of one hour, and one bucket of any longer interval. The zone is
passed in; nothing here looks at a clock.

Source: protocol.md 6.6 (302), whose zones have whole hours and no daylight saving.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

MINUTE_S: Final = 60
HOUR_S: Final = 3_600
DAY_S: Final = 86_400
WEEK_S: Final = 604_800
MONTH_S: Final = 2_592_000
"""Not its length, but the interval that stands for it."""

TIME_MAX_S: Final = 250_000_000_000
"""Seconds since 1970 up to which the calendar goes: in the year 9892."""

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_STEP_S: Final = 900  # every change of a clock is a multiple of it


class Calendar:
    """The calendar of `zone`. All moments and starts are whole seconds since 1970 UTC."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._is_utc = zone is UTC
        self._known_minute = -1
        self._known = (0, 0)

    def hour_and_day(self, moment: int) -> tuple[int, int]:
        """The starts of the local hour and of the local day. The latest answer is remembered."""
        minute = moment // MINUTE_S
        if minute != self._known_minute:
            self._known_minute = minute
            self._known = (self.bucket(moment, HOUR_S), self.bucket(moment, DAY_S))
        return self._known

    def bucket(self, moment: int, interval: int) -> int:
        """The start of the bucket that holds `moment`; `interval` is one of those above."""
        if interval < HOUR_S or (self._is_utc and interval < WEEK_S):
            return moment - moment % interval
        local = datetime.fromtimestamp(moment, self._zone)
        if interval >= DAY_S:
            return self._start(_first_day(local.date(), interval))
        hours = interval // HOUR_S
        start = local.replace(hour=local.hour - local.hour % hours, minute=0, second=0, microsecond=0)
        if hours > 1:
            start = start.replace(fold=0)
        # For a time of day that the clock skipped, timestamp() gives the moment when it was set.
        return int(start.timestamp())

    def after(self, start: int, interval: int) -> int:
        """The start of the bucket behind the one which begins at `start`."""
        if interval < HOUR_S or (self._is_utc and interval < WEEK_S):
            return start + interval
        if interval >= DAY_S:
            local_day = datetime.fromtimestamp(start, self._zone).date()
            return self._start(_next_day(_first_day(local_day, interval), interval))
        moment = start + interval
        while (found := self.bucket(moment, interval)) <= start:
            moment += _STEP_S  # this bucket is longer than usual
        return found

    def days_before(self, start: int, days: int) -> int:
        """The start of the day so many days before the one that holds `start`."""
        return self._start(datetime.fromtimestamp(start, self._zone).date() - timedelta(days))

    def _start(self, day: date) -> int:
        return int(datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp())


def _first_day(day: date, interval: int) -> date:
    if interval == MONTH_S:
        return day.replace(day=1)
    if interval == WEEK_S:
        return day - timedelta(day.weekday())
    return day - timedelta((day.toordinal() - _EPOCH_DAY) % (interval // DAY_S))


def _next_day(first: date, interval: int) -> date:
    if interval == MONTH_S:
        return (first + timedelta(31)).replace(day=1)
    return first + timedelta(interval // DAY_S)
