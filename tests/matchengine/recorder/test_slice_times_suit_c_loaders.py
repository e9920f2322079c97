"""The time of a slice is one from which the C loader's walk over the days leaves none out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest

from matchengine.recorder.loader_days import loader_finds_all, slice_time
from tests.support.c_loader import days_read

BERLIN, AZORES, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("Atlantic/Azores"), ZoneInfo("Asia/Kolkata")
LORD_HOWE, SANTIAGO = ZoneInfo("Australia/Lord_Howe"), ZoneInfo("America/Santiago")
HOUR_S = 3_600


def at(zone: tzinfo, text: str) -> int:
    return int(
        datetime.fromisoformat(text.rstrip("!")).replace(tzinfo=zone, fold=text.count("!")).timestamp()
    )


def missed(time_s: int, record_s: int, now_s: int, zone: tzinfo) -> set[str]:
    """Days with operations after a record, that a loader does not read which starts from `time_s`."""
    day, last = (datetime.fromtimestamp(one, zone).date() for one in (record_s, now_s))
    needed = {f"operlog_{day + timedelta(days=ahead):%Y%m%d}" for ahead in range((last - day).days + 1)}
    return needed - set(days_read(time_s, now_s, zone))


@pytest.mark.parametrize(
    ("zone", "record", "loaded", "lost", "named"),
    [
        (BERLIN, "2026-03-28T23:30:00", "2026-03-29T12:00:00", "2026-03-29", "2026-03-28T22:59:59"),
        (BERLIN, "2026-03-26T23:00:00", "2026-03-30T12:00:00", "2026-03-29", "2026-03-26T22:59:59"),
        (BERLIN, "2026-10-25T23:30:00", "2026-10-25T23:59:00", "2026-10-25", "2026-10-25T22:59:59"),
        (AZORES, "2026-03-28T23:00:05", "2026-03-29T12:00:00", "2026-03-29", "2026-03-28T22:59:59"),
        (LORD_HOWE, "2026-10-03T23:45:00", "2026-10-04T12:00:00", "2026-10-04", "2026-10-03T23:29:59"),
        (SANTIAGO, "2026-09-05T23:10:00", "2026-09-06T12:00:00", "2026-09-06", "2026-09-05T22:59:59"),
    ],
)
def test_a_day_that_would_be_missed(zone: tzinfo, record: str, loaded: str, lost: str, named: str) -> None:
    record_s, now_s = at(zone, record), at(zone, loaded)
    assert missed(record_s, record_s, now_s, zone) == {f"operlog_{lost.replace('-', '')}"}
    found_s = slice_time(record_s, zone)
    assert found_s == at(zone, named)
    assert missed(found_s, record_s, now_s, zone) == set()


@pytest.mark.parametrize(
    ("zone", "record"),
    [
        (UTC, "2026-03-28T23:59:59"),
        (KOLKATA, "2026-03-28T23:59:59"),
        (BERLIN, "2026-03-28T22:59:59"),
        (BERLIN, "2026-03-29T23:59:59"),
        (BERLIN, "2026-10-24T23:59:59"),
        (BERLIN, "2026-10-25T00:00:00"),
        (BERLIN, "2026-10-25T02:30:00!"),
    ],
)
def test_any_other_time_stays(zone: tzinfo, record: str) -> None:
    assert slice_time(at(zone, record), zone) == at(zone, record)


@pytest.mark.parametrize("zone", [UTC, BERLIN, AZORES, KOLKATA, LORD_HOWE, SANTIAGO], ids=str)
def test_no_day_is_missed_by_any_slice_of_a_year(zone: tzinfo) -> None:
    """Slices at odd times, loaded soon, on the next evening, and three days later."""
    for record_s in range(at(UTC, "2026-01-01T00:00:07"), at(UTC, "2027-01-01T00:00:00"), 5 * HOUR_S + 1_741):
        found_s = slice_time(record_s, zone)
        assert record_s - HOUR_S < found_s <= record_s
        for later_s in (1, 90 * 60, 26 * HOUR_S, 72 * HOUR_S):
            assert not missed(found_s, record_s, record_s + later_s, zone), (record_s, later_s)


def test_a_time_is_given_once() -> None:
    record_s = at(BERLIN, "2026-03-28T23:30:00")
    taken = {at(BERLIN, "2026-03-28T22:59:59"), at(BERLIN, "2026-03-28T22:59:58")}
    assert slice_time(record_s, BERLIN, taken) == at(BERLIN, "2026-03-28T22:59:57")
    assert slice_time(record_s, UTC, {record_s}) == record_s - 1


def test_a_day_that_a_zone_left_out_is_not_waited_for() -> None:
    assert loader_finds_all(at(ZoneInfo("Pacific/Apia"), "2011-12-29T12:00:00"), ZoneInfo("Pacific/Apia"))
