"""Candles and deals as the store has them, printed, read and printed again; both styles side by side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketprice.core.candle import Candle
from marketprice.texts import Texts, parse_candle, parse_deal
from tests.marketprice.history import Trade, markets_of

VIABTC, PLAIN = Texts("viabtc"), Texts("plain")
NUMBER = st.integers(0, 10**40)
SCALE = st.integers(0, 40)


@given(st.builds(Candle, NUMBER, NUMBER, NUMBER, NUMBER, SCALE, NUMBER, SCALE, NUMBER, SCALE))
def test_candles(candle: Candle) -> None:
    text = VIABTC.candle(candle)
    read = parse_candle(text)
    assert read is not None
    assert VIABTC.candle(read) == text
    assert PLAIN.candle(read) == PLAIN.candle(candle)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('["1", "2.5", "3", "0.5", "10", "20"]', '["1", "2.5", "3", "0.5", "10", "20"]'),
        ('["1","2.50","3","0.5","10"]', '["1", "2.5", "3", "0.5", "10", "0"]'),
        ('["0", "5.0e-7", "5.0e-7", "0", "0e-8", "0"]', '["0", "5.0e-7", "5.0e-7", "0", "0e-8", "0"]'),
    ],
)
def test_what_the_c_system_left_is_read(text: str, shown: str) -> None:
    candle = parse_candle(text)
    assert candle is not None
    assert VIABTC.candle(candle) == shown


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '["1","2","3","4"]', '["1","2","3","4",5]', '["1","2","3","x","5"]',
             '["1","2","3","-4","5"]']
)  # fmt: skip
def test_no_candle(text: str) -> None:
    assert parse_candle(text) is None


def test_a_deal_in_both_styles() -> None:
    deal = (
        markets_of([Trade(1795340599855095, "M", "0.00000050", "1.00", 1, 7)])
        .by_name["M"]
        .recent.newest_first[0]
    )
    stored = '{"id": 7, "time": 1795340599.8550949, "price": "5.0e-7", "amount": "1", "type": "sell"}'
    assert VIABTC.deal(deal) == stored
    assert PLAIN.deal(deal) == (
        '{"id":7,"time":1795340599.855095,"price":"0.0000005","amount":"1","type":"sell"}'
    )
    read = parse_deal(stored, 3, "M")
    assert read is not None
    assert (read.offset, VIABTC.deal(read), PLAIN.deal(read)) == (3, stored, PLAIN.deal(deal))


@pytest.mark.parametrize(
    ("old", "new"),
    [('"id": 7', '"id": "7"'), ("1795340599.8550949", "5"), ('"5.0e-7"', "5"), ('"sell"', '"x"'), ("}", "")],
)
def test_no_deal(old: str, new: str) -> None:
    stored = '{"id": 7, "time": 1795340599.8550949, "price": "5.0e-7", "amount": "1", "type": "sell"}'
    assert parse_deal(stored.replace(old, new), 3, "M") is None
