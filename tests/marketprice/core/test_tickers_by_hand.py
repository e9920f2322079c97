"""The last seconds, and today. Columns: open, close, high, low, volume, money."""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from marketprice.core.candle import Candle
from marketprice.core.ticker import status, status_today
from marketprice.texts import Texts
from tests.marketprice.history import markets_of, seconds, trades

DEALS = """
2026-05-01T09:59:30 M 5  1 buy
2026-05-01T10:00:10 M 10 1 buy
2026-05-01T10:00:20 M 11 2 buy
2026-05-01T10:01:10 M 12 4 buy
2026-05-02T10:00:05 M 8  8 buy
"""


def shown(candle: Candle | None) -> str:
    return " ".join(Texts("plain").numbers(candle)) if candle else ""


def at(now: str, period: int) -> str:
    markets = markets_of(trades(DEALS))
    return shown(status(markets.by_name["M"], markets.calendar, period, seconds(now)))


def test_seconds_to_the_first_full_minute_and_minutes_from_there() -> None:
    assert at("2026-05-01T10:01:15", 60) == "10 12 12 10 6 70"  # 10:00:15 is the first second
    assert at("2026-05-01T10:01:11", 61) == "5 12 12 5 7 80"  # 10:00:10 too
    assert at("2026-05-01T10:01:11", 51) == "10 12 12 10 6 70"
    assert at("2026-05-01T10:01:11", 50) == "11 12 12 11 4 48"
    assert at("2026-05-01T10:01:10", 5) == "11 12 12 11 4 48"
    assert at("2026-05-01T12:00:00", 60) == ""
    assert at("2026-05-02T10:00:05", 86_400) == "5 8 12 5 15 144"
    assert at("2026-05-02T10:00:10", 86_400) == "5 8 12 5 15 144"
    assert at("2026-05-02T10:00:11", 86_400) == "10 8 12 8 14 134"


def test_the_minute_that_has_just_begun_counts_as_a_minute() -> None:
    assert at("2026-05-01T10:02:00", 60) == "11 12 12 11 4 48"


def today(now: str, zone: tzinfo = UTC) -> tuple[str, str]:
    now_s = seconds(now, zone)
    markets = markets_of([trade for trade in trades(DEALS, zone) if trade.time_us <= now_s * 10**6], zone)
    found = status_today(markets.by_name["M"], markets.calendar, now_s)
    return shown(found.prices), shown(found.rolling)


def test_today_is_the_local_day_and_its_volume_the_last_24_hours() -> None:
    assert today("2026-05-01T10:01:15") == ("5 12 12 5 8 85", "5 12 12 5 8 85")
    assert today("2026-05-02T09:00:00") == ("12 12 12 12 0 0", "5 12 12 5 8 85")
    assert today("2026-05-02T10:00:15") == ("12 8 12 8 8 64", "10 8 12 8 14 134")
    assert today("2026-05-03T10:00:06") == ("8 8 8 8 0 0", "")
    assert today("2026-06-01T23:59:59") == ("8 8 8 8 0 0", "")
    assert today("2026-06-02T00:00:00") == ("", "")
    assert today("2026-05-01T10:01:15", ZoneInfo("Asia/Kolkata"))[0] == "5 12 12 5 8 85"


def test_a_day_of_23_hours() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    markets = markets_of(trades("2026-03-29T23:30 M 5 1 buy\n2026-03-30T00:30 M 6 1 buy", berlin), berlin)
    found = status_today(markets.by_name["M"], markets.calendar, seconds("2026-03-30T00:45", berlin))
    assert shown(found.prices) == "5 6 6 5 1 6"
    assert shown(found.rolling) == "5 6 6 5 2 11"
