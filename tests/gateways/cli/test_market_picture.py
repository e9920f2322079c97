"""Pushes become the picture of a market, and the picture can always be drawn."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from rich.console import Console

from gateways.cli.market_drawing import page, screen
from gateways.cli.market_picture import CANDLES, DEALS, DEPTH, MarketPicture

MARKET = "BTCUSDT"


def levels(*pairs: tuple[str, str]) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(amount)) for price, amount in pairs]


def test_depth_is_set_changed_removed_and_cut() -> None:
    picture = MarketPicture(MARKET)
    sides: dict[str, Any] = {"asks": [["101", "1"], ["102", "2"]], "bids": [["100", "3"]]}
    picture.take("depth.update", [True, sides, MARKET])
    assert picture.asks == levels(("101", "1"), ("102", "2")) and picture.bids == levels(("100", "3"))
    picture.take("depth.update", [False, {"asks": [["101.0", "0"], ["103", "4"]]}, MARKET])
    assert picture.asks == levels(("102", "2"), ("103", "4")) and picture.bids == levels(("100", "3"))
    picture.take("depth.update", [False, {"bids": [[str(price), "1"] for price in range(60, 99)]}, MARKET])
    assert len(picture.bids) == DEPTH and picture.bids[0] == (Decimal(100), Decimal(3))
    picture.take("depth.update", [True, {"asks": [], "bids": []}, MARKET])
    assert picture.asks == picture.bids == []


def test_deals_come_once_newest_first() -> None:
    picture = MarketPicture(MARKET)

    def push(*ids: int) -> None:
        deals = [{"id": i, "time": 1.5, "price": "7", "amount": "1", "type": "buy"} for i in ids]
        picture.take("deals.update", [MARKET, deals])

    push(3, 2, 1)
    push(5, 4, 3)
    assert [deal.id for deal in picture.deals] == [5, 4, 3, 2, 1]
    push(*range(100, 5, -1))
    assert [deal.id for deal in picture.deals] == list(range(100, 100 - DEALS, -1))


def test_candles_replace_those_of_their_minute() -> None:
    picture = MarketPicture(MARKET)
    for minute in range(CANDLES + 5):
        for close in ("8", "9"):
            picture.take("kline.update", [[minute * 60, "7", close, "9", "6", "1", "8", MARKET]])
    assert [candle.start for candle in picture.candles] == [60 * minute for minute in range(5, CANDLES + 5)]
    assert {candle.close for candle in picture.candles} == {Decimal(9)}


def test_other_markets_and_other_pushes_change_nothing() -> None:
    picture = MarketPicture(MARKET)
    picture.take("price.update", ["ETHUSDT", "5"])
    picture.take("depth.update", [True, {"asks": [["1", "1"]], "bids": []}, "ETHUSDT"])
    picture.take("something.new", [{"a": 1}])
    assert picture.price == 0 and picture.asks == []


BROKEN: list[tuple[str, list[Any]]] = [
    ("depth.update", []),
    ("depth.update", [True, {"asks": [["x", "1"]]}, MARKET]),
    ("deals.update", [MARKET, [{"id": "a"}]]),
    ("price.update", [MARKET, None]),
    ("today.update", [MARKET, []]),
    ("kline.update", [[1]]),
]


@pytest.mark.parametrize(("method", "params"), BROKEN)
def test_what_is_no_push_is_refused(method: str, params: list[Any]) -> None:
    picture = MarketPicture(MARKET)
    with pytest.raises(msgspec.ValidationError):
        picture.take(method, params)
    assert picture.asks == [] and picture.deals == [] and picture.price == 0


def full() -> MarketPicture:
    picture = MarketPicture(MARKET)
    sides = {"asks": [["101.25", "1"], ["102", "0.5"]], "bids": [["100", "0.00001"]]}
    picture.take("depth.update", [True, sides, MARKET])
    deal = {"id": 1, "time": 1_700_000_000.5, "price": "100.5", "amount": "2", "type": "sell"}
    picture.take("deals.update", [MARKET, [deal]])
    picture.take("price.update", [MARKET, "100.50"])
    today = {"open": "99", "last": "100.5", "high": "103", "low": "98", "volume": "7", "deal": "700.123"}
    picture.take("today.update", [MARKET, today])
    picture.take("kline.update", [[1_700_000_000, "99", "100.5", "103", "98", "7", "700", MARKET]])
    picture.take("kline.update", [[1_700_000_060, "100.5", "99.5", "101", "99", "7", "700", MARKET]])
    picture.problem = "gone; trying again"
    return picture


@pytest.mark.parametrize("picture", [MarketPicture(MARKET), full()], ids=["empty", "full"])
@pytest.mark.parametrize("size", [(20, 4), (80, 24), (200, 60)])
def test_any_picture_fits_any_terminal(picture: MarketPicture, size: tuple[int, int]) -> None:
    width, height = size
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as captured:
        console.print(screen(picture, height))
    lines = captured.get().splitlines()
    assert len(lines) == height and all(len(line) <= width for line in lines)


def test_a_page_shows_everything() -> None:
    console = Console(width=100, color_system=None)
    with console.capture() as captured:
        console.print(page(full()))
    text = captured.get()
    for expected in (
        "101.25",
        "102.00",
        "1.25 ",
        "0.00001",
        "100.5",
        "+1.52 %",
        "700.12",
        "┃",
        "gone; trying",
    ):
        assert expected in text, expected
    assert text.index("102.00") < text.index("101.25") < text.index("100.00"), "asks above bids"
