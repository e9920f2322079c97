"""Buckets of every kind of interval, by hand: aggregation, gaps, what is before the first, what is too old.

Columns: bucket, open, close, high, low, volume, money.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

import msgspec
import pytest

from marketprice.core.calendar import DAY_S, HOUR_S, MONTH_S, WEEK_S
from marketprice.core.kline import Retention, base_period, kline
from marketprice.core.market import Markets
from marketprice.views import Views
from tests.marketprice.history import markets_of, seconds, trades

RETENTION = Retention(sec_max=604_800, min_max=525_600, hour_max=87_600)
BERLIN = ZoneInfo("Europe/Berlin")
KOLKATA = ZoneInfo("Asia/Kolkata")

DEALS = """
2026-05-01T10:00:58 M 10 1   buy
2026-05-01T10:00:59 M 12 2   buy
2026-05-01T10:01:03 M 9  1   sell
2026-05-01T10:04:00 M 8  1   sell
2026-05-01T13:30:00 M 7  1   sell
2026-05-04T00:00:00 M 20 1   buy
"""


def rows(
    markets: Markets,
    start: str,
    end: str,
    interval: int,
    now: str | None = None,
    zone: tzinfo = UTC,
    retention: Retention = RETENTION,
) -> list[tuple[str | int, ...]]:
    now_s = seconds(now or end, zone)
    end_s = min(seconds(end, zone), now_s)
    market = markets.by_name["M"]
    found = kline(market, markets.calendar, retention, seconds(start, zone), end_s, interval, now_s)
    text = Views("viabtc", 10**9).kline("M", found)
    assert text is not None
    assert found.count >= len(msgspec.json.decode(text))
    return [tuple(row[:-1]) for row in msgspec.json.decode(text)]


def table(text: str, zone: tzinfo = UTC) -> list[tuple[str | int, ...]]:
    made: list[tuple[str | int, ...]] = []
    for line in filter(None, text.splitlines()):
        start, *numbers = line.split()
        made.append((seconds(start, zone), *numbers))
    return made


def test_seconds() -> None:
    markets = markets_of(trades(DEALS))
    assert rows(markets, "2026-05-01T10:00:57", "2026-05-01T10:01:04", 1) == table("""
2026-05-01T10:00:58 10 10 10 10 1 10
2026-05-01T10:00:59 10 12 12 10 2 24
2026-05-01T10:01:00 12 12 12 12 0 0
2026-05-01T10:01:01 12 12 12 12 0 0
2026-05-01T10:01:02 12 12 12 12 0 0
2026-05-01T10:01:03 12 9  12 9  1 9
2026-05-01T10:01:04 9  9  9  9  0 0
""")
    assert rows(markets, "2026-05-01T10:00:57", "2026-05-01T10:01:04", 30) == table("""
2026-05-01T10:00:30 10 12 12 10 3 34
2026-05-01T10:01:00 12 9  12 9  1 9
""")


def test_minutes() -> None:
    markets = markets_of(trades(DEALS))
    assert rows(markets, "2026-05-01T09:58:00", "2026-05-01T10:05:00", 60) == table("""
2026-05-01T10:00 10 12 12 10 3 34
2026-05-01T10:01 12 9  12 9  1 9
2026-05-01T10:02 9  9  9  9  0 0
2026-05-01T10:03 9  9  9  9  0 0
2026-05-01T10:04 9  8  9  8  1 8
2026-05-01T10:05 8  8  8  8  0 0
""")
    assert rows(markets, "2026-05-01T10:04:10", "2026-05-01T10:10:00", 300) == table("""
2026-05-01T10:00 10 8 12 8 5 51
2026-05-01T10:05 8  8 8  8 0 0
2026-05-01T10:10 8  8 8  8 0 0
""")


def test_hours() -> None:
    markets = markets_of(trades(DEALS))
    assert rows(markets, "2026-05-01T11:00:00", "2026-05-01T14:30:00", 3600) == table("""
2026-05-01T11:00 8 8 8 8 0 0
2026-05-01T12:00 8 8 8 8 0 0
2026-05-01T13:00 8 7 8 7 1 7
2026-05-01T14:00 7 7 7 7 0 0
""")
    assert rows(markets, "2026-05-01T11:00:00", "2026-05-01T23:00:00", 4 * 3600) == table("""
2026-05-01T08:00 10 8 12 8 5 51
2026-05-01T12:00 8  7 8  7 1 7
2026-05-01T16:00 7  7 7  7 0 0
2026-05-01T20:00 7  7 7  7 0 0
""")


def test_days_weeks_and_months() -> None:
    markets = markets_of(trades(DEALS))
    assert rows(markets, "2026-04-01T00:00", "2026-05-04T12:00", DAY_S) == table("""
2026-05-01 10 7  12 7  6 58
2026-05-02 7  7  7  7  0 0
2026-05-03 7  7  7  7  0 0
2026-05-04 7  20 20 7  1 20
""")
    assert rows(markets, "2026-04-01T00:00", "2026-05-17T12:00", WEEK_S) == table("""
2026-04-27 10 7  12 7  6 58
2026-05-04 7  20 20 7  1 20
2026-05-11 20 20 20 20 0 0
""")
    assert rows(markets, "2026-04-15T00:00", "2026-06-02T00:00", MONTH_S) == table("""
2026-05-01 10 20 20 7  7 78
2026-06-01 20 20 20 20 0 0
""")


def test_only_the_last_month_is_cut_at_the_end() -> None:
    markets = markets_of(trades(DEALS))
    now = "2026-06-01T00:00"
    assert rows(markets, "2026-05-01T00:00", "2026-05-03T00:00", MONTH_S, now) == table("""
2026-05-01 10 7 12 7 6 58
""")
    assert rows(markets, "2026-05-04T00:00", "2026-05-04T00:00", WEEK_S, now) == table("""
2026-05-04 7 20 20 7 1 20
""")
    assert rows(markets, "2026-04-28T00:00", "2026-04-29T00:00", WEEK_S, now) == table("""
2026-04-27 10 7 12 7 6 58
""")


def test_the_price_before_is_looked_for_but_not_for_ever() -> None:
    markets = markets_of(trades("2026-05-01T10:00:00 M 10 1 buy"))
    flat = "10 10 10 10 0 0"
    assert rows(markets, "2026-05-31T00:00", "2026-05-31T12:00", DAY_S) == table(f"2026-05-31 {flat}")
    assert rows(markets, "2026-06-01T00:00", "2026-06-01T12:00", DAY_S) == []
    # Months look back from what was asked for, not from the first of the month.
    assert rows(markets, "2026-05-31T00:00", "2026-06-02T00:00", MONTH_S)[0][5:] == ("1", "10")
    assert rows(markets, "2026-06-01T00:00", "2026-06-02T00:00", MONTH_S) == []
    markets = markets_of(trades("2026-05-02T10:00:00 M 10 1 buy"))
    assert rows(markets, "2026-06-01T00:00", "2026-06-02T00:00", MONTH_S) == table(f"2026-06-01 {flat}")
    assert rows(markets, "2026-06-02T00:00", "2026-06-02T00:00", MONTH_S) == []


def test_what_is_no_longer_kept_is_neither_shown_nor_remembered() -> None:
    markets = markets_of(trades("1000 M 5 1 buy\n1100 M 6 1 buy"))
    short = Retention(sec_max=60, min_max=60, hour_max=24)
    asked = ("990", "1105", 1)
    assert len(rows(markets, *asked, now="1105")) == 106
    assert rows(markets, *asked, now="1105", retention=short)[0] == (1100, "5", "6", "6", "5", "1", "6")
    assert len(rows(markets, *asked, now="1061", retention=short)) == 0
    assert rows(markets, *asked, now="1060", retention=short)[0] == (1000, "5", "5", "5", "5", "1", "5")
    minutes = markets_of(trades("2026-05-01T10:00:00 M 5 1 buy"))
    assert rows(minutes, "2026-05-01T10:00", "2026-05-01T11:00", 1800, retention=short)[0][2] == "5"
    assert rows(minutes, "2026-05-01T10:00", "2026-05-01T11:31", 1800, retention=short) == []


def test_clocks_are_set_forward() -> None:
    """2026-03-29 has 23 hours in Berlin; the third one does not exist."""
    deals = """
2026-03-28T12:00 M 1 1 buy
2026-03-29T01:30 M 2 1 buy
2026-03-29T03:30 M 3 1 buy
2026-03-29T23:59 M 4 1 buy
2026-03-30T00:00 M 5 1 buy
"""
    markets = markets_of(trades(deals, BERLIN), BERLIN)
    assert rows(markets, "2026-03-28T00:00", "2026-03-30T12:00", DAY_S, zone=BERLIN) == table(
        """
2026-03-28 1 1 1 1 1 1
2026-03-29 1 4 4 1 3 9
2026-03-30 4 5 5 4 1 5
""",
        BERLIN,
    )
    assert rows(markets, "2026-03-29T00:00", "2026-03-29T05:00", HOUR_S, zone=BERLIN) == table(
        """
2026-03-29T00:00 1 1 1 1 0 0
2026-03-29T01:00 1 2 2 1 1 2
2026-03-29T03:00 2 3 3 2 1 3
2026-03-29T04:00 3 3 3 3 0 0
2026-03-29T05:00 3 3 3 3 0 0
""",
        BERLIN,
    )
    assert rows(markets, "2026-03-29T00:00", "2026-03-29T23:00", 12 * HOUR_S, zone=BERLIN) == table(
        """
2026-03-29T00:00 1 3 3 1 2 5
2026-03-29T12:00 3 4 4 3 1 4
""",
        BERLIN,
    )


def test_clocks_are_set_back() -> None:
    """2026-10-25 has 25 hours in Berlin; the third one comes twice."""
    deals = """
2026-10-25T00:00  M 1 1 buy
2026-10-25T02:30  M 2 1 buy
2026-10-25T02:30! M 3 1 buy
2026-10-25T23:59  M 4 1 buy
2026-10-26T00:00  M 5 1 buy
"""
    markets = markets_of(trades(deals, BERLIN), BERLIN)
    assert rows(markets, "2026-10-25T00:00", "2026-10-26T12:00", DAY_S, zone=BERLIN) == table(
        """
2026-10-25 1 4 4 1 4 10
2026-10-26 4 5 5 4 1 5
""",
        BERLIN,
    )
    assert rows(markets, "2026-10-25T01:00", "2026-10-25T03:00", HOUR_S, zone=BERLIN) == table(
        """
2026-10-25T01:00  1 1 1 1 0 0
2026-10-25T02:00  1 2 2 1 1 2
2026-10-25T02:00! 2 3 3 2 1 3
2026-10-25T03:00  3 3 3 3 0 0
""",
        BERLIN,
    )
    assert rows(markets, "2026-10-25T00:00", "2026-10-25T05:00", 4 * HOUR_S, zone=BERLIN) == table(
        """
2026-10-25T00:00 1 3 3 1 3 6
2026-10-25T04:00 3 3 3 3 0 0
""",
        BERLIN,
    )


def test_a_zone_that_is_half_an_hour_off() -> None:
    deals = """
2026-05-01T23:45 M 1 1 buy
2026-05-02T00:15 M 2 1 buy
2026-05-02T00:45 M 3 1 buy
"""
    markets = markets_of(trades(deals, KOLKATA), KOLKATA)
    assert rows(markets, "2026-05-01T00:00", "2026-05-02T12:00", DAY_S, zone=KOLKATA) == table(
        """
2026-05-01 1 1 1 1 1 1
2026-05-02 1 3 3 1 2 5
""",
        KOLKATA,
    )
    assert rows(markets, "2026-05-01T23:30", "2026-05-02T01:10", HOUR_S, zone=KOLKATA) == table(
        """
2026-05-01T23:00 1 1 1 1 1 1
2026-05-02T00:00 1 3 3 1 2 5
2026-05-02T01:00 3 3 3 3 0 0
""",
        KOLKATA,
    )


INTERVALS = {
    "1s": [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30],
    "1m": [60 * n for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)],
    "1h": [3600 * n for n in (1, 2, 3, 4, 6, 8, 12)],
    "1d": [86400 * n for n in (1, 2, 3, 4, 5, 6, 7, 30)],
}


def test_there_are_these_intervals_and_no_others() -> None:
    expected = {interval: period for period, intervals in INTERVALS.items() for interval in intervals}
    multiples = range(3600, 40 * DAY_S, 3600)
    asked = {*range(-3, 3700), *multiples, *(n + 1 for n in multiples), 365 * DAY_S, 2**62}
    assert {n: base_period(n) for n in asked if base_period(n)} == expected


@pytest.mark.parametrize("interval", [1, 60, 3600, DAY_S, WEEK_S, MONTH_S])
def test_a_market_without_deals_has_no_buckets(interval: int) -> None:
    markets = markets_of([])
    markets.know("M")
    assert rows(markets, "1", "2026-05-01T00:00", interval) == []


def test_years_without_deals_cost_nothing() -> None:
    markets = markets_of(trades("2026-05-01T10:00:00 M 10 1 buy"))
    assert len(rows(markets, "1", "2026-05-03T00:00", DAY_S)) == 3
