"""What a message must be to count as a deal, and what becomes of its numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marketprice.core.trades import Deal
from marketprice.messages import BadMessage, decode_deal

GOOD = [1500000000.25, "M", 1, 2, 3, 4, "8000.00000000", "0.40000000", "0", "0", 2, 7, "S", "T"]


def test_a_deal() -> None:
    assert decode_deal(json.dumps(GOOD), 5) == Deal(
        5, 7, "M", 1500000000250000, "1500000000.25", 800000000000, 8, 40000000, 8, False
    )


def test_twelve_elements_are_enough() -> None:
    assert decode_deal(json.dumps(GOOD[:12]), 0).id == 7


def test_the_time_is_written_as_it_was() -> None:
    text = json.dumps(GOOD).replace("1500000000.25", "1795340599.8550949")
    deal = decode_deal(text, 0)
    assert (deal.time_us, deal.time_text) == (1795340599855095, "1795340599.8550949")
    whole = decode_deal(json.dumps(GOOD).replace("1500000000.25", "1500000000.0"), 0)
    assert whole.time_text == "1500000000.0"


@pytest.mark.parametrize(
    ("index", "value"),
    [(0, 0.0), (0, 1500000000), (0, "1"), (0, -1.5), (0, 1e300), (1, 5), (1, ""), (1, None), (6, 8000),
     (6, "x"), (6, "NaN"), (6, "-1"), (7, None), (7, ""), (10, 0), (10, 3), (10, "1"), (10, True), (11, 0),
     (11, "7"), (11, 7.0)],
)  # fmt: skip
def test_no_deal(index: int, value: Any) -> None:
    with pytest.raises(BadMessage):
        decode_deal(json.dumps([*GOOD[:index], value, *GOOD[index + 1 :]]), 0)


@pytest.mark.parametrize("payload", ["", "{}", "[1", "[]", json.dumps(GOOD[:11]), "[" * 5000, b"\xff\xfe"])
def test_no_array_of_twelve(payload: str | bytes) -> None:
    with pytest.raises(BadMessage):
        decode_deal(payload, 0)
