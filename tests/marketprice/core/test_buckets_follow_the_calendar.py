"""Where buckets begin, by hand: midnights, weeks, months, clocks set forward and back, half hours.

Times with Z are UTC, the others local. `!` marks the later one of two equal local times.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from marketprice.core.calendar import DAY_S, HOUR_S, MONTH_S, WEEK_S, Calendar
from tests.marketprice.history import seconds

INTERVALS = {"1h": HOUR_S, "2h": 7200, "4h": 14400, "12h": 43200, "1d": DAY_S, "2d": 2 * DAY_S,
             "3d": 3 * DAY_S, "5d": 5 * DAY_S, "week": WEEK_S, "month": MONTH_S}  # fmt: skip

BUCKETS = """
UTC                 1h    2026-05-01T23:59:59  2026-05-01T23:00Z  2026-05-02T00:00Z
UTC                 4h    2026-05-01T23:59:59  2026-05-01T20:00Z  2026-05-02T00:00Z
UTC                 1d    2026-05-01T23:59:59  2026-05-01T00:00Z  2026-05-02T00:00Z
UTC                 1d    2026-05-02T00:00:00  2026-05-02T00:00Z  2026-05-03T00:00Z
UTC                 3d    1970-01-03T23:59:59  1970-01-01T00:00Z  1970-01-04T00:00Z
UTC                 3d    1970-01-04T00:00:00  1970-01-04T00:00Z  1970-01-07T00:00Z
UTC                 week  2026-11-22T12:00:00  2026-11-16T00:00Z  2026-11-23T00:00Z
UTC                 week  2026-11-23T00:00:00  2026-11-23T00:00Z  2026-11-30T00:00Z
UTC                 month 2028-02-29T12:00:00  2028-02-01T00:00Z  2028-03-01T00:00Z
UTC                 month 2026-12-31T23:59:59  2026-12-01T00:00Z  2027-01-01T00:00Z

Asia/Shanghai       1h    2026-05-01T00:30:00  2026-04-30T16:00Z  2026-04-30T17:00Z
Asia/Shanghai       12h   2026-05-01T13:00:00  2026-05-01T04:00Z  2026-05-01T16:00Z
Asia/Shanghai       1d    2026-05-01T00:00:00  2026-04-30T16:00Z  2026-05-01T16:00Z
Asia/Shanghai       2d    1970-01-02T23:59:59  1969-12-31T16:00Z  1970-01-02T16:00Z
Asia/Shanghai       week  2026-11-23T00:00:00  2026-11-22T16:00Z  2026-11-29T16:00Z
Asia/Shanghai       month 2026-03-01T00:00:00  2026-02-28T16:00Z  2026-03-31T16:00Z

Asia/Kolkata        1h    2026-05-01T00:10:00  2026-04-30T18:30Z  2026-04-30T19:30Z
Asia/Kolkata        4h    2026-05-01T07:59:00  2026-04-30T22:30Z  2026-05-01T02:30Z
Asia/Kolkata        1d    2026-05-01T23:59:59  2026-04-30T18:30Z  2026-05-01T18:30Z
Asia/Kolkata        week  2026-11-23T00:00:00  2026-11-22T18:30Z  2026-11-29T18:30Z
Asia/Kathmandu      1h    2026-05-01T00:10:00  2026-04-30T18:15Z  2026-04-30T19:15Z

Europe/Berlin       1h    2026-03-29T01:59:59  2026-03-29T00:00Z  2026-03-29T01:00Z
Europe/Berlin       1h    2026-03-29T03:00:00  2026-03-29T01:00Z  2026-03-29T02:00Z
Europe/Berlin       2h    2026-03-29T03:59:00  2026-03-29T01:00Z  2026-03-29T02:00Z
Europe/Berlin       4h    2026-03-29T03:59:00  2026-03-28T23:00Z  2026-03-29T02:00Z
Europe/Berlin       4h    2026-03-29T04:00:00  2026-03-29T02:00Z  2026-03-29T06:00Z
Europe/Berlin       1d    2026-03-29T12:00:00  2026-03-28T23:00Z  2026-03-29T22:00Z
Europe/Berlin       week  2026-03-29T23:59:59  2026-03-22T23:00Z  2026-03-29T22:00Z
Europe/Berlin       month 2026-03-31T23:59:59  2026-02-28T23:00Z  2026-03-31T22:00Z
Europe/Berlin       1h    2026-10-25T02:30:00  2026-10-25T00:00Z  2026-10-25T01:00Z
Europe/Berlin       1h    2026-10-25T02:30:00! 2026-10-25T01:00Z  2026-10-25T02:00Z
Europe/Berlin       2h    2026-10-25T02:30:00! 2026-10-25T00:00Z  2026-10-25T03:00Z
Europe/Berlin       4h    2026-10-25T03:30:00  2026-10-24T22:00Z  2026-10-25T03:00Z
Europe/Berlin       12h   2026-10-25T13:00:00  2026-10-25T11:00Z  2026-10-25T23:00Z
Europe/Berlin       1d    2026-10-25T23:59:59  2026-10-24T22:00Z  2026-10-25T23:00Z
Europe/Berlin       2d    2026-10-25T12:00:00  2026-10-23T22:00Z  2026-10-25T23:00Z
Europe/Berlin       month 2026-10-31T12:00:00  2026-09-30T22:00Z  2026-10-31T23:00Z

America/New_York    1d    2026-03-08T12:00:00  2026-03-08T05:00Z  2026-03-09T04:00Z
America/New_York    1d    2026-11-01T12:00:00  2026-11-01T04:00Z  2026-11-02T05:00Z
America/New_York    week  2026-11-01T12:00:00  2026-10-26T04:00Z  2026-11-02T05:00Z

America/Havana      1h    2026-11-01T00:30:00  2026-11-01T04:00Z  2026-11-01T05:00Z
America/Havana      1h    2026-11-01T00:30:00! 2026-11-01T05:00Z  2026-11-01T06:00Z
America/Havana      1d    2026-11-01T00:30:00! 2026-11-01T04:00Z  2026-11-02T05:00Z
America/Sao_Paulo   1d    2017-10-15T12:00:00  2017-10-15T03:00Z  2017-10-16T02:00Z
America/Sao_Paulo   1h    2017-10-15T01:30:00  2017-10-15T03:00Z  2017-10-15T04:00Z
Australia/Lord_Howe 1h    2026-10-04T01:30:00  2026-10-03T14:30Z  2026-10-03T15:30Z
Australia/Lord_Howe 1h    2026-10-04T02:45:00  2026-10-03T15:30Z  2026-10-03T16:00Z
Australia/Lord_Howe 1h    2026-04-05T01:45:00! 2026-04-04T14:00Z  2026-04-04T15:30Z
Australia/Lord_Howe 1d    2026-04-05T12:00:00  2026-04-04T13:00Z  2026-04-05T13:30Z
Pacific/Apia        1d    2011-12-29T12:00:00  2011-12-29T10:00Z  2011-12-30T10:00Z
Pacific/Apia        1d    2011-12-31T12:00:00  2011-12-30T10:00Z  2011-12-31T10:00Z
"""


@pytest.mark.parametrize("line", [*filter(None, BUCKETS.splitlines())])
def test_bucket_and_the_one_behind(line: str) -> None:
    zone_name, interval_name, moment_text, start, after = line.split()
    zone = ZoneInfo(zone_name)
    interval = INTERVALS[interval_name]
    calendar = Calendar(UTC if zone_name == "UTC" else zone)
    found = calendar.bucket(seconds(moment_text, zone), interval)
    shown = [datetime.fromtimestamp(at, UTC) for at in (found, calendar.after(found, interval))]
    assert shown == [datetime.fromtimestamp(seconds(text), UTC) for text in (start, after)]


@pytest.mark.parametrize("interval", INTERVALS)
def test_utc_is_computed_as_any_zone_is(interval: str) -> None:
    ours, other = Calendar(UTC), Calendar(ZoneInfo("Etc/UTC"))
    dice = random.Random(7)
    for _ in range(200):
        moment = dice.randrange(4_000_000_000)
        start = ours.bucket(moment, INTERVALS[interval])
        assert start == other.bucket(moment, INTERVALS[interval])
        assert ours.after(start, INTERVALS[interval]) == other.after(start, INTERVALS[interval])


@pytest.mark.parametrize(
    "zone",
    ["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana", "America/Sao_Paulo"],
)
@pytest.mark.parametrize("interval", INTERVALS)
def test_buckets_leave_no_gap_and_do_not_overlap(zone: str, interval: str) -> None:
    """Every moment lies in its bucket, and the bucket behind begins where it ends."""
    calendar = Calendar(ZoneInfo(zone))
    length = INTERVALS[interval]
    dice = random.Random(f"{zone} {interval}")
    for _ in range(200):
        moment = dice.randrange(1_400_000_000, 1_900_000_000)
        start = calendar.bucket(moment, length)
        after = calendar.after(start, length)
        assert start <= moment < after
        assert calendar.bucket(start, length) == start
        assert calendar.bucket(after - 1, length) == start
        assert calendar.bucket(after, length) == after


def test_days_before_are_local_days() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    calendar = Calendar(berlin)
    assert calendar.days_before(seconds("2026-04-10T15:00", berlin), 30) == seconds(
        "2026-03-11T00:00", berlin
    )


def test_hour_and_day_are_remembered_for_a_minute_only() -> None:
    calendar = Calendar(ZoneInfo("Europe/Berlin"))
    at = seconds("2026-03-28T22:59:59Z")
    assert calendar.hour_and_day(at) == (seconds("2026-03-28T22:00Z"), seconds("2026-03-27T23:00Z"))
    assert calendar.hour_and_day(at + 1) == (seconds("2026-03-28T23:00Z"), seconds("2026-03-28T23:00Z"))
    assert calendar.hour_and_day(at) == (seconds("2026-03-28T22:00Z"), seconds("2026-03-27T23:00Z"))
