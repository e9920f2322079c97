"""Candles of random deals, aggregated from base candles, equal those made of the deals one by one."""

from __future__ import annotations

import random
from fractions import Fraction
from zoneinfo import ZoneInfo

import msgspec
import pytest

from marketprice.core.calendar import Calendar
from marketprice.core.kline import Retention, kline
from marketprice.views import Views
from tests.marketprice.history import Trade, markets_of

RETENTION = Retention(sec_max=10**9, min_max=10**8, hour_max=10**7)
SPANS = {1: 600, 5: 3_000, 30: 20_000, 60: 40_000, 900: 600_000, 3600: 10**6, 14400: 5 * 10**6,
         86400: 3 * 10**7, 3 * 86400: 6 * 10**7, 604800: 10**8, 2592000: 2 * 10**8}  # fmt: skip


def random_trades(dice: random.Random, span: int) -> list[Trade]:
    begin = 1_770_000_000
    times = sorted(
        dice.randrange(begin * 10**6, (begin + span) * 10**6) for _ in range(dice.randrange(1, 200))
    )
    return [
        Trade(at, "M", f"{dice.randrange(1, 10**4) / 100:.2f}", f"0.{dice.randrange(1, 10**4):04}", 1, number)
        for number, at in enumerate(times, start=1)
    ]


def naive(made: list[Trade], calendar: Calendar, start: int, end: int, interval: int) -> list[list[object]]:
    """Bucket by bucket from the deals themselves."""
    found: list[list[object]] = []
    bucket = calendar.bucket(start, interval)
    last: Fraction | None = None
    for trade in made:
        if trade.time_us < bucket * 10**6:
            last = Fraction(trade.price)
    while bucket <= end:
        after = calendar.after(bucket, interval)
        inside = [trade for trade in made if bucket * 10**6 <= trade.time_us < after * 10**6]
        prices = [Fraction(trade.price) for trade in inside]
        if inside or last is not None:
            opening = last if last is not None else prices[0]
            closing = prices[-1] if prices else opening
            volume = sum(Fraction(trade.amount) for trade in inside)
            deal = sum(Fraction(trade.price) * Fraction(trade.amount) for trade in inside)
            extremes = [opening, *prices]
            found.append([bucket, opening, closing, max(extremes), min(extremes), volume, deal, "M"])
            last = closing
        bucket = after
    return found


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"])
@pytest.mark.parametrize("interval", SPANS)
def test_equal(interval: int, zone: str) -> None:
    dice = random.Random(f"{interval} {zone}")
    for _ in range(4):
        made = random_trades(dice, SPANS[interval])
        markets = markets_of(made, ZoneInfo(zone))
        begin, end = made[0].time_us // 10**6, made[-1].time_us // 10**6
        # From before the first deal on, so that there is no limit to how far the price before is looked for.
        start = begin - interval
        found = kline(markets.by_name["M"], markets.calendar, RETENTION, start, end, interval, end)
        # The C system cuts the last month at the end, in whole days; here the end is the last deal.
        text = Views("plain", 10**9).kline("M", found)
        assert text is not None
        got = [
            [row[0], *map(Fraction, row[1:7]), row[7]]
            for row in msgspec.json.decode(text, type=list[tuple[int, str, str, str, str, str, str, str]])
        ]
        assert got == naive(made, markets.calendar, start, end, interval)
