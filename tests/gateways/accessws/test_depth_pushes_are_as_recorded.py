"""The texts that the C system pushed while its book went through these states, from ring and replies."""

from __future__ import annotations

import json

import pytest

from tests.conformance.replay import VECTORS
from tests.gateways.accessws.pushing import Pushing, book

STATES = [
    # asks and bids, price:amount in hundredths
    ("", ""),
    ("1000:100", ""),
    ("1000:60", ""),
    ("1000:60", "900:30"),
    ("", "900:30"),
]


@pytest.mark.parametrize("source", ["ring", "replies"])
def test_texts(source: str) -> None:
    lines = [json.loads(line) for line in (VECTORS / "11_ws.jsonl").read_text().splitlines()]
    recorded = [
        line["frame"] for line in lines if line["dir"] == "<-" and '"depth.update"' in str(line["frame"])
    ]
    pushing = Pushing("viabtc", has_books=source == "ring", timing="interval")
    client = pushing.client()
    state = book("BTCBCH", 1, [], [])
    pushing.backends.answers[206] = lambda _: {
        "asks": [[f"{price / 100:g}", f"{amount / 100:g}"] for price, amount in state.asks],
        "bids": [[f"{price / 100:g}", f"{amount / 100:g}"] for price, amount in state.bids],
    }
    pushing.books.publish(state)
    pushing.call(client, "depth.subscribe", "BTCBCH", 5, "0")
    for sequence, (asks, bids) in enumerate(STATES):
        state = book("BTCBCH", sequence + 1, levels(asks), levels(bids))
        pushing.books.publish(state)
        pushing.loop.advance(0.7)
    assert client.texts()[1:] == recorded


def levels(text: str) -> list[tuple[int, int]]:
    return [(int(price), int(amount)) for price, _, amount in (word.partition(":") for word in text.split())]
