"""Which parameters are taken, in which order they are checked, and what a refusal leaves behind.

Source: protocol.md 9.4, 9.5.
"""

from __future__ import annotations

from typing import Any

import pytest

from gateways.accessws.topics import Kind
from tests.gateways.accessws.pushing import FakeClient, Pushing

LONG = "A" * 16


def subscribed(pushing: Pushing, client: FakeClient, kind: str) -> list[Any]:
    topics = pushing.subscriptions.registry.topics[Kind(kind)].values()
    return [topic.key for topic in topics if client.client in topic.clients]


CASES = [
    # method, params, code, what is subscribed afterwards (before: one valid subscription)
    ("kline", ["M", 60], 0, [("M", 60)]),
    ("kline", ["M"], 1, [("OLD", 1)]),
    ("kline", [LONG, 60], 1, [("OLD", 1)]),
    ("kline", [1, 60], 1, [("OLD", 1)]),
    ("kline", ["M", 0], 1, [("OLD", 1)]),
    ("kline", ["M", -5], 1, [("OLD", 1)]),
    ("kline", ["M", True], 1, [("OLD", 1)]),
    ("kline", ["M", 1.0], 1, [("OLD", 1)]),
    ("kline", ["M", 10**30], 1, [("OLD", 1)]),
    ("depth", ["M", 5, "0"], 0, [("M", "0", 5)]),
    ("depth", ["M", 5, "0.10"], 0, [("M", "0.10", 5)]),
    ("depth", ["M", 5], 1, [("OLD", "0", 1)]),
    ("depth", [LONG, 5, "0"], 1, [("OLD", "0", 1)]),
    ("depth", ["M", 0, "0"], 1, [("OLD", "0", 1)]),
    ("depth", ["M", "5", "0"], 1, [("OLD", "0", 1)]),
    ("depth", ["M", 5, 0], 1, [("OLD", "0", 1)]),
    ("depth", ["M", 5, "0" * 16], 1, [("OLD", "0", 1)]),
    ("depth", ["M", 7, "0"], 1, []),  # from here on the old one is gone
    ("depth", ["M", 5, "0.3"], 1, []),
    ("depth", ["M", 5, "x"], 1, []),
    ("depth", ["M", 5, ""], 1, []),
    *[
        case
        for kind in ("price", "state", "today", "deals")
        for case in (
            (kind, ["A", "B"], 0, [("A",), ("B",)]),
            (kind, ["A", "A"], 0, [("A",)]),
            (kind, [], 0, []),
            (kind, [1], 1, []),
            (kind, ["A", LONG, "B"], 1, [("A",)]),
            (kind, ["Ä" * 7, "Ä" * 8], 1, [("Ä" * 7,)]),  # bytes count
        )
    ],
    ("order", ["A", 1, "B"], 1, [(7, "A")]),
    ("asset", ["A", "B"], 0, [(7, "A"), (7, "B")]),
]
OLD: dict[str, list[Any]] = {"kline": ["OLD", 1], "depth": ["OLD", 1, "0"]}


@pytest.mark.parametrize(("kind", "params", "code", "left"), CASES)
def test_subscribe(kind: str, params: list[Any], code: int, left: list[Any]) -> None:
    pushing = Pushing()
    client = pushing.client(user_id=7)
    assert pushing.call(client, f"{kind}.subscribe", *OLD.get(kind, ["OLD"])) == 0
    assert pushing.call(client, f"{kind}.subscribe", *params) == code
    assert subscribed(pushing, client, kind) == left
    assert pushing.call(client, f"{kind}.unsubscribe", "anything", 1) == 0
    assert subscribed(pushing, client, kind) == []
    pushing.loop.advance(0.6)
    assert not any(pushing.subscriptions.registry.topics.values()), "topics without subscribers are removed"


@pytest.mark.parametrize("method", ["order.subscribe", "order.unsubscribe", "asset.subscribe"])
def test_user_events_need_a_user(method: str) -> None:
    pushing = Pushing()
    assert pushing.call(pushing.client(), method, 1) == 6


def test_user_events_need_messages() -> None:
    pushing = Pushing(has_feeds=False)
    client = pushing.client(user_id=7)
    assert pushing.call(client, "order.subscribe", "BTCUSD") == 3
    assert pushing.call(client, "order.unsubscribe") == 0


def test_subscriptions_of_one_connection_are_bounded() -> None:
    pushing = Pushing(subscriptions_max=5)
    client, other = pushing.client(7), pushing.client(7)
    assert pushing.call(client, "price.subscribe", "A", "B", "C") == 0
    assert pushing.call(client, "state.subscribe", "A", "B", "C") == 1
    assert len(subscribed(pushing, client, "state")) == 2
    assert pushing.call(client, "order.subscribe", "A") == 1
    assert pushing.call(client, "price.subscribe", "D") == 0, "replacing makes room"
    assert pushing.call(other, "order.subscribe", "A") == 0


def test_topics_of_a_worker_are_bounded() -> None:
    pushing = Pushing(topics_max=3)
    client, other = pushing.client(7), pushing.client(8)
    assert pushing.call(client, "price.subscribe", "A", "B", "C") == 0
    assert pushing.call(other, "price.subscribe", "A", "D") == 3
    assert subscribed(pushing, other, "price") == [("A",)]
    assert pushing.call(other, "asset.subscribe", "X", "Y") == 0, "those of one user do not count"
    assert pushing.call(client, "price.subscribe") == 0
    assert pushing.call(other, "price.subscribe", "A", "D", "E") == 0, "what nobody watches makes room"


def test_leaving_removes_everything() -> None:
    pushing = Pushing()
    client = pushing.client(7)
    for kind in ("price", "state", "today", "deals", "order", "asset"):
        assert pushing.call(client, f"{kind}.subscribe", "A", "B") == 0
    assert pushing.call(client, "kline.subscribe", "A", 60) == 0
    assert pushing.call(client, "depth.subscribe", "A", 5, "0") == 0
    pushing.leave(client)
    pushing.loop.advance(1)
    registry = pushing.subscriptions.registry
    assert not any(registry.topics.values())
    assert registry.clients(Kind) == []


def test_another_user_has_no_events_of_the_former() -> None:
    pushing = Pushing()
    client = pushing.client(7)
    assert pushing.call(client, "order.subscribe", "BTCUSD") == 0
    assert pushing.call(client, "price.subscribe", "BTCUSD") == 0
    client.client.user_id = 8
    pushing.subscriptions.user_changed(client.client)
    assert subscribed(pushing, client, "order") == []
    assert subscribed(pushing, client, "price") == [("BTCUSD",)]
    pushing.order(1, user=7, sequence=5)
    pushing.order(1, user=8, sequence=6)
    pushing.loop.advance(0.05)
    assert client.pushes() == []


def test_the_reply_comes_before_the_first_push() -> None:
    pushing = Pushing()
    pushing.backends.answers[304] = lambda params: '"10"'
    first, second = pushing.client(), pushing.client()
    pushing.call(first, "price.subscribe", "A")
    pushing.loop.advance(0.05)
    assert [text[:9] for text in first.texts()] == ['{"result"', '{"method"']
    pushing.call(second, "price.subscribe", "A")
    assert [text[:9] for text in second.texts()] == ['{"result"', '{"method"']
    assert len(second.connection.sends) == 1, "both left in one piece"
