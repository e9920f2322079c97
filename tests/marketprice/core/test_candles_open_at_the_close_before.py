"""Candles of one market after a few deals, by hand. Columns: open, close, high, low, volume, money."""

from __future__ import annotations

import pytest

from marketprice.core.candle import Candle, CandleSeries, flat, merged
from tests.marketprice.history import contents, markets_of, seconds, trades

DEALS = """
2026-05-01T10:00:58 M 10.00 1.0 buy
2026-05-01T10:00:58 M 12.00 0.5 buy
2026-05-01T10:00:59 M 9.00  0.5 sell
2026-05-01T10:01:03 M 9.50  2.0 buy
2026-05-01T11:59:59 M 9.25  1.0 sell
2026-05-02T00:00:00 M 20.00 0.1 buy
"""

CANDLES = """
1s 2026-05-01T10:00:58  10    12   12   10    1.5  16
1s 2026-05-01T10:00:59  12    9    12   9     0.5  4.5
1s 2026-05-01T10:01:03  9     9.5  9.5  9     2    19
1s 2026-05-01T11:59:59  9.5   9.25 9.5  9.25  1    9.25
1s 2026-05-02T00:00:00  9.25  20   20   9.25  0.1  2
1m 2026-05-01T10:00     10    9    12   9     2    20.5
1m 2026-05-01T10:01     9     9.5  9.5  9     2    19
1m 2026-05-01T11:59     9.5   9.25 9.5  9.25  1    9.25
1m 2026-05-02T00:00     9.25  20   20   9.25  0.1  2
1h 2026-05-01T10:00     10    9.5  12   9     4    39.5
1h 2026-05-01T11:00     9.5   9.25 9.5  9.25  1    9.25
1h 2026-05-02T00:00     9.25  20   20   9.25  0.1  2
1d 2026-05-01T00:00     10    9.25 12   9     5    48.75
1d 2026-05-02T00:00     9.25  20   20   9.25  0.1  2
"""


def test_each_deal_is_in_four_candles() -> None:
    found = contents(markets_of(trades(DEALS)))["M"]
    expected = {}
    for line in filter(None, CANDLES.splitlines()):
        period, start, *numbers = line.split()
        text = ", ".join(f'"{number}"' for number in numbers)
        expected[period, seconds(start)] = f"[{text}]"
    assert isinstance(found, dict)
    assert found["candles"] == expected
    assert found["last"] == "20.00"


def test_a_late_deal_finds_its_candle_and_keeps_the_order() -> None:
    markets = markets_of(trades("105 M 10 1 buy\n101 M 11 1 buy\n103 M 12 1 buy\n101 M 9 1 sell"))
    series = markets.by_name["M"].series["1s"]
    assert series.starts == [101, 103, 105]
    assert (series.by_start[101].volume, series.by_start[101].close) == (2, 9)


def test_numbers_meet_at_the_larger_scale() -> None:
    """A market whose decimals were changed: nothing is cut, nothing counts twice."""
    made = trades("60 M 10.00 1.0 buy\n60 M 10.125 0.25 buy\n60 M 9 3 sell\n120 M 8.5 0.001 sell")
    found = contents(markets_of(made))["M"]
    assert isinstance(found, dict)
    assert found["candles"]["1m", 60] == '["10", "9", "10.125", "9", "4.25", "39.53125"]'
    assert found["candles"]["1d", 0] == '["10", "8.5", "10.125", "8.5", "4.251", "39.53975"]'


def test_no_digit_is_ever_lost() -> None:
    price, amount = "0.12345678901234567890", "98765432109876543210.12345678901234567891"
    made = trades(f"60 M {price} {amount} buy\n60 M {price} {amount} buy")
    candle = markets_of(made).by_name["M"].series["1d"].by_start[0]
    assert candle.volume == 2 * int(amount.replace(".", ""))
    assert candle.deal == 2 * int(price.replace(".", "")) * int(amount.replace(".", ""))
    assert (candle.amount_scale, candle.deal_scale) == (20, 40)


def test_merging_leaves_its_parts_alone() -> None:
    parts = [Candle(5, 6, 7, 4, 0, 10, 0, 55, 0), Candle(60, 80, 90, 10, 1, 25, 1, 1, 2)]
    before = [part.copy() for part in parts]
    whole = merged(parts)
    assert whole == Candle(50, 80, 90, 10, 1, 125, 1, 5501, 2)
    assert parts == before
    assert merged([]) is None


@pytest.mark.parametrize(
    ("before", "not_before", "close"), [(10, 0, 5), (11, 0, 10), (10, 5, 5), (10, 6, None), (5, 0, None)]
)
def test_the_newest_before(before: int, not_before: int, close: int | None) -> None:
    series = CandleSeries()
    for start in (5, 10, 20):
        series.put(start, flat(start, 0))
    found = series.newest(before, not_before)
    assert (None if found is None else found.close) == close


def test_old_candles_are_dropped_up_to_a_start() -> None:
    series = CandleSeries()
    for start in (5, 10, 20):
        series.put(start, flat(start, 0))
    series.drop_before(10)
    assert (series.starts, sorted(series.by_start)) == ([10, 20], [10, 20])
    assert series.next_start(11) == 20
    assert series.next_start(21) is None
