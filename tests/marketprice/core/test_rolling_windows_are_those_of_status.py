"""The window that is kept up to date is the one computed anew, at every second and after every deal."""

from __future__ import annotations

import random
from zoneinfo import ZoneInfo

import msgspec
import pytest

from marketprice.core.calendar import DAY_S, MINUTE_S, Calendar
from marketprice.core.candle import MINUTE, SECOND, Candle, merged
from marketprice.core.market import Market, Markets
from marketprice.core.rolling import Rolling
from marketprice.core.ticker import status
from marketprice.messages import decode_deal
from tests.marketprice.history import Trade

ZONES = ("UTC", "Asia/Kolkata", "Australia/Lord_Howe")
BEGIN = 1_791_034_200  # 2026-10-03, some hours before Lord Howe sets its clocks by half an hour


def naive(market: Market, period: int, now: int) -> Candle | None:
    """Each second candle up to the first full minute, and each minute candle from there."""
    start = now - period
    minute = start - start % MINUTE_S + MINUTE_S
    seconds = market.series[SECOND].between(start, minute)
    return merged([*seconds, *market.series[MINUTE].between(minute, now)])


def numbers(candle: Candle | None) -> object:
    return None if candle is None else msgspec.structs.astuple(candle)


def deal(markets: Markets, rng: random.Random, second: int, number: int) -> None:
    price, amount = f"{rng.randint(1, 9)}.{rng.randint(0, 99):02d}", f"0.{rng.randint(1, 999)}"
    trade = Trade(second * 1_000_000 + number, "M", price, amount, 1, number + 1)
    markets.apply(decode_deal(trade.payload, number))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("seed", range(3))
def test_every_second(zone: str, seed: int) -> None:
    rng = random.Random(seed)
    markets = Markets(Calendar(ZoneInfo(zone)))
    market = markets.know("M")
    rolling = Rolling(market, markets.calendar, DAY_S)
    now, number = BEGIN, 0
    held: tuple[object, int] = (None, -1)
    latest = BEGIN
    for _ in range(1_500):
        now += rng.choice((0, 1, 1, 2, 30, 61, 600, 3_000))
        if rng.random() < 0.4:
            held = (None, -1)
            for _ in range(rng.randint(1, 3)):
                number += 1
                latest = max(latest, now - rng.choice((0, 0, 0, 1, 90, 400)))  # the recorder may be behind
                deal(markets, rng, latest, number)
                rolling.traded(latest)
        expected = numbers(naive(market, DAY_S, now))
        assert numbers(status(market, markets.calendar, DAY_S, now)) == expected, (zone, seed, now)
        if now <= held[1]:
            assert held[0] == expected, (zone, seed, now)
        found = numbers(rolling.whole(now))
        assert found == expected, (zone, seed, now)
        held = (found, rolling.unchanged_until(now))
        assert held[1] >= now


def test_time_alone_changes_what_is_shown_when_it_was_said() -> None:
    rng = random.Random(1)
    markets = Markets(Calendar(ZoneInfo("UTC")))
    market = markets.know("M")
    for number in range(200):
        deal(markets, rng, BEGIN + number * 3 // 2, number)
    rolling = Rolling(market, markets.calendar, DAY_S)
    until, shown, renewed = -1, None, 0
    for now in range(BEGIN + DAY_S - 10, BEGIN + DAY_S + 400):
        expected = numbers(naive(market, DAY_S, now))
        if now > until:
            shown, until = numbers(rolling.whole(now)), rolling.unchanged_until(now)
            renewed += 1
        assert shown == expected, now
    assert shown is None
    assert renewed < 310


def test_candles_that_are_dropped_and_clocks_set_back() -> None:
    rng = random.Random(2)
    markets = Markets(Calendar(ZoneInfo("UTC")))
    market = markets.know("M")
    for number in range(500):
        deal(markets, rng, BEGIN + number * 100, number)
    rolling = Rolling(market, markets.calendar, DAY_S)
    for now in (BEGIN + 50_000, BEGIN + 49_000, BEGIN + 60_000):
        assert numbers(rolling.whole(now)) == numbers(naive(market, DAY_S, now))
    for period in (SECOND, MINUTE):
        market.series[period].drop_before(BEGIN + 40_000)
    rolling.forget()
    now = BEGIN + 60_000
    assert numbers(rolling.whole(now)) == numbers(status(market, markets.calendar, DAY_S, now))
