"""The time that a slice for the C system bears, so that a C loader finds every day after it.

    the loader reads the tables of the days of T, T + 86400, T + 2 * 86400, ... before midnight today + 86400

Days have 23 or 25 hours where clocks change. From 23:30 on the evening before a short day these steps lead to
00:30 of the day after it: its operations would be left out. In the last hour of a long day they do not even
begin. The same slice under a somewhat earlier time is read whole: operations that are in it already are known
by their ids, and left alone.

Pure: no clock, no database. Source: protocol.md 4.4.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

DAY_S: Final = 86_400
DAYS_AHEAD: Final = 32
"""How much later a loader may still find this slice to be the newest. Slices come every hour, or day."""

QUARTER_S: Final = 900
"""Clocks change at full quarters of an hour, and by as many."""


def loader_finds_all(time_s: int, zone: tzinfo, days_ahead: int = DAYS_AHEAD) -> bool:
    """Whether a loader that starts from a slice of `time_s`, on that day or a later one, reads each day."""
    first = _day_of(time_s, zone)
    read = [(time_s + DAY_S * step, _day_of(time_s + DAY_S * step, zone)) for step in range(days_ahead + 2)]
    for ahead in range(days_ahead + 1):
        today = first + timedelta(days=ahead)
        midnight_s = _midnight_s(today, zone)
        if _day_of(midnight_s, zone) != today:
            continue  # a zone that moved over the date line left it out
        end_s = midnight_s + DAY_S
        # The days before were found with an earlier end, so they are now.
        if not any(day == today and value_s < end_s for value_s, day in read):
            return False
    return True


def slice_time(time_s: int, zone: tzinfo, taken: Container[int] = ()) -> int:
    """The latest time at or before `time_s` that a loader copes with and that is not `taken`."""
    found_s = time_s
    while True:
        if not loader_finds_all(found_s, zone):
            found_s = found_s // QUARTER_S * QUARTER_S - 1
        elif found_s in taken:
            found_s -= 1
        else:
            return found_s
        assert time_s - found_s < DAY_S, "at noon all is well"


def _day_of(time_s: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(time_s, zone).date()


def _midnight_s(day: date, zone: tzinfo) -> int:
    """The earlier one, where there are two."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
