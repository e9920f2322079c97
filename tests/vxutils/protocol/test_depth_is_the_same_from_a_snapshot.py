"""A depth rendered from a snapshot that went through bytes is what the engine answers, byte for byte."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.support.inprocess import InProcessEngine
from vxutils import packing
from vxutils.protocol.book import BookError, BookSnapshot, decode_book, depth_text, encode_book

LEVELS = 20
SCALES = ((0, 0), (2, 4), (8, 8), (12, 20))


def exchange(style: str, price_scale: int, amount_scale: int) -> InProcessEngine:
    assets = [{"name": "S", "prec_save": 30}, {"name": "M", "prec_save": 40}]
    market: dict[str, Any] = {
        "name": "SM",
        "stock": {"name": "S", "prec": amount_scale},
        "money": {"name": "M", "prec": price_scale},
        "min_amount": "0",
    }
    exchange = InProcessEngine(assets, [market], style=style)
    for asset in ("S", "M"):
        exchange.call(102, [1, asset, "deposit", 1, "9" * 29, {}], 0)
    return exchange


def number(chance: random.Random, digits: int, scale: int) -> str:
    whole = str(chance.randrange(1, 10**digits))
    fraction = "".join(chance.choices("0123456789", k=chance.randrange(scale + 1)))
    return f"{whole}.{fraction}" if fraction else whole


@pytest.mark.parametrize("style", ["plain", "viabtc"])
@pytest.mark.parametrize("scales", SCALES)
def test_a_depth_from_a_snapshot_is_the_engines(style: str, scales: tuple[int, int]) -> None:
    price_scale, amount_scale = scales
    chance = random.Random(f"{style}{scales}")
    engine = exchange(style, price_scale, amount_scale)
    market = engine.engine.markets["SM"]
    for turn in range(60):
        price = number(chance, 3, price_scale)
        amount = number(chance, chance.choice((1, 6, 12)), amount_scale)
        engine.call(201, [1, "SM", chance.choice((1, 2)), amount, price, "0", "0", "s"], turn)
        if turn % 10:
            continue
        data = encode_book(
            "SM",
            turn,
            7,
            price_scale,
            amount_scale,
            market.asks.depth(LEVELS),
            market.bids.depth(LEVELS),
            LEVELS,
        )
        snapshot = decode_book(data)
        assert (snapshot.market, snapshot.sequence, snapshot.time_us) == ("SM", turn, 7)
        for limit in (0, 1, 5, LEVELS):
            assert depth_text(snapshot, limit, style) == engine.views.depth(market, limit, 0)
    assert len(market.asks.levels) + len(market.bids.levels) > 5


@pytest.mark.parametrize("wide", [1, 2**63, 2**64 - 1, 2**64, 10**60])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("member", [0, 1])
def test_integers_of_any_size_come_through(wide: int, side: int, member: int) -> None:
    sides: list[list[tuple[int, int]]] = [[(5, 1), (7, 2)], [(3, 1)]]
    sides[side][0] = (wide, 1) if member == 0 else (5, wide)
    snapshot = decode_book(encode_book("M", 2**60, 1, 20, 40, sides[0], sides[1], 10))
    assert snapshot == BookSnapshot("M", 2**60, 1, 20, 40, sides[0], sides[1], 10)


def test_an_empty_book() -> None:
    snapshot = decode_book(encode_book("M", 0, 0, 1, 2, [], [], 10))
    assert depth_text(snapshot, 10, "plain") == '{"asks":[],"bids":[]}'
    assert depth_text(snapshot, 10, "viabtc") == '{"asks": [], "bids": []}'


def test_what_a_snapshot_covers() -> None:
    full, short = [(price, 1) for price in range(3)], [(1, 1)]
    for asks, bids, limit, is_covered in (
        (full, short, 3, True),
        (full, short, 4, False),
        (short, full, 4, False),
        (short, short, 4, True),  # there are no more
        (short, [], 1000, True),
    ):
        assert BookSnapshot("M", 1, 1, 0, 0, asks, bids, 3).covers(limit) is is_covered


@pytest.mark.parametrize(
    "members",
    [
        None,
        [],
        ["M", 1, 1, 0, 0, [], []],
        ["M", 1, 1, 0, 0, [], [], 1, 1],
        [1, 1, 1, 0, 0, [], [], 1],
        ["M", 1, 1, 0, 0, [[1]], [], 1],
        ["M", 1, 1, 0, 0, "1 2 3", [], 1],
        ["M", 1, 1, 0, 0, [], "a b", 1],
    ],
)
def test_what_is_not_a_book_is_refused(members: object) -> None:
    with pytest.raises(BookError):
        decode_book(packing.pack(members))


def test_cut_bytes_are_refused() -> None:
    data = encode_book("M", 1, 1, 0, 0, [(1, 2)], [], 10)
    for length in range(len(data)):
        with pytest.raises(BookError):
            decode_book(data[:length])
