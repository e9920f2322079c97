"""A client that applies `depth.update` always ends with the book that `order.depth` shows.

Random trading in the real engine; depths of all limits and merges, from rings, from replies, and from both
in turn. The client knows only the documented algorithm.
"""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest

from gateways.common.errors import WireStyle
from tests.gateways.accessws.pushing import DepthReader, FakeClient, Pushing
from tests.support.inprocess import InProcessEngine
from vxutils.protocol.book import BookSnapshot
from vxutils.protocol.commands import BALANCE_UPDATE, ORDER_CANCEL, ORDER_DEPTH, ORDER_PUT_LIMIT

MARKET = "BTCUSD"
LIMITS = (1, 5, 20)
MERGES = ("0", "0.00", "0.1", "1")
RING_LEVELS = 10
STEPS = 150


class Exchange:
    """The engine, and how it is seen by a gateway."""

    def __init__(self, seed: int, style: WireStyle) -> None:
        assets = [{"name": name, "prec_save": 8, "prec_show": 8} for name in ("BTC", "USD")]
        market = {
            "name": MARKET,
            "stock": {"name": "BTC", "prec": 4},
            "money": {"name": "USD", "prec": 3},
            "min_amount": "0.0001",
        }
        self.engine = InProcessEngine(assets, [market], style=style)
        self.random = random.Random(seed)
        self.sequence = 0
        self.open: list[tuple[int, int]] = []
        for user in (1, 2):
            for asset in ("BTC", "USD"):
                self.call(BALANCE_UPDATE, [user, asset, "deposit", user, "1000000", {}])

    def call(self, command: int, params: list[Any]) -> Any:
        self.sequence += 1
        return self.engine.call(command, params, self.sequence)

    def step(self) -> None:
        """Place or cancel an order near the spread, so that levels come and go."""
        chance = self.random
        if self.open and chance.random() < 0.45:
            user, order_id = self.open.pop(chance.randrange(len(self.open)))
            self.call(ORDER_CANCEL, [user, MARKET, order_id])
            return
        user = chance.choice((1, 2))
        side = chance.choice((1, 2))
        offset = chance.randrange(0, 2500) / 1000
        price = f"{10 + (offset if side == 1 else -offset) + chance.choice((0, 0, 0, -0.05, 0.05)):.3f}"
        amount = f"{chance.randrange(1, 90000) / 10000}"
        params = [user, MARKET, side, amount, price, "0.001", "0.001", "test"]
        reply = self.call(ORDER_PUT_LIMIT, params)
        assert reply["error"] is None, reply
        if Decimal(reply["result"]["left"]):
            self.open.append((user, reply["result"]["id"]))

    def depth(self, params: list[Any]) -> str:
        text = self.engine.requests.queries[ORDER_DEPTH](params)
        assert isinstance(text, str)
        return text

    def snapshot(self) -> BookSnapshot:
        market = self.engine.engine.markets[MARKET]
        asks, bids = market.asks.depth(RING_LEVELS), market.bids.depth(RING_LEVELS)
        return BookSnapshot(MARKET, self.sequence, 1, 3, 4, asks, bids, RING_LEVELS)


@pytest.mark.parametrize("style", ["plain", "viabtc"])
@pytest.mark.parametrize("source", ["ring", "replies", "both"])
def test_pushes_lead_to_the_book(style: WireStyle, source: str) -> None:
    seed = 20 + len(source)
    exchange = Exchange(seed, style)
    pushing = Pushing(style, has_books=source != "replies", depth_limit=LIMITS, depth_merge=MERGES)
    pushing.backends.answers[ORDER_DEPTH] = exchange.depth
    if source == "both":
        pushing.books.publish(exchange.snapshot())
    readers: list[tuple[FakeClient, str, DepthReader]] = []
    for limit in LIMITS:
        for interval in MERGES:
            client = pushing.client()
            assert pushing.call(client, "depth.subscribe", MARKET, limit, interval) == 0
            readers.append((client, interval, DepthReader(limit)))
    for step in range(STEPS):
        for _ in range(exchange.random.choice((0, 1, 1, 3))):
            exchange.step()
        pushing.backends.sequence = exchange.sequence
        if source == "ring" or (source == "both" and step % 40 < 20):
            pushing.books.publish(exchange.snapshot())
        elif source == "both":
            pushing.books._numbers.clear()  # no ring for a while
        pushing.loop.advance(1.1 if source != "ring" else 0.15)
        for client, interval, reader in readers:
            for method, params in client.pushes():
                assert method == "depth.update"
                reader.apply(params)
            truth = json.loads(exchange.depth([MARKET, reader.limit, interval]))
            assert reader.shown() == {
                name: [[Decimal(price), Decimal(amount)] for price, amount in levels]
                for name, levels in truth.items()
            }, f"limit {reader.limit}, interval {interval}, step {step}, seed {seed}"
    kinds = pushing.subscriptions.counters
    assert kinds.taken_ring == 0 if source == "replies" else kinds.taken_ring > 10
