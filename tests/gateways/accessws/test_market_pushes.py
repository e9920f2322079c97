"""Prices, states and candles: what is pushed when, and how backends are asked.

Source: protocol.md 9.6.
"""

from __future__ import annotations

from typing import Any

import pytest

from gateways.common.errors import WireStyle
from tests.gateways.accessws.pushing import WALL_US, Pushing

LAST, STATUS, TODAY, KLINE = 304, 301, 305, 302
NOW_S = WALL_US // 1_000_000


def test_price_is_pushed_raw_and_shown_short_to_those_who_come_later() -> None:
    pushing = Pushing("viabtc", timing="interval")
    price = '"0"'
    pushing.backends.answers[LAST] = lambda params: price
    first, second = pushing.client(), pushing.client()
    pushing.call(first, "price.subscribe", "BTCUSD")
    pushing.loop.advance(1)
    assert first.pushes() == [], "never traded"
    price = '"10.00000000"'
    pushing.loop.advance(0.6)
    assert first.texts() == ['{"method": "price.update", "params": ["BTCUSD", "10.00000000"], "id": null}']
    price = '"10.0"'
    pushing.loop.advance(0.6)
    assert first.pushes() == [], "the same number"
    pushing.call(second, "price.subscribe", "BTCUSD")
    assert second.pushes() == [("price.update", ["BTCUSD", "10"])]


@pytest.mark.parametrize(
    ("kind", "command", "params"),
    [("state", STATUS, ["BTCUSD", 86400]), ("today", TODAY, ["BTCUSD"])],
)
def test_states_are_pushed_when_they_differ(kind: str, command: int, params: list[Any]) -> None:
    pushing = Pushing()
    state = {"last": "1", "open": "2"}
    pushing.backends.answers[command] = lambda _: dict(state)
    client, late = pushing.client(), pushing.client()
    pushing.call(client, f"{kind}.subscribe", "BTCUSD")
    pushing.loop.advance(2)
    assert client.pushes() == [(f"{kind}.update", ["BTCUSD", {"last": "1", "open": "2"}])]
    assert pushing.backends.asked[-1] == (command, params)
    state = {"open": "2", "last": "1"}
    pushing.loop.advance(1)
    assert client.pushes() == [], "another order of members is no change"
    state["last"] = "3"
    pushing.loop.advance(1)
    assert client.pushes() == [(f"{kind}.update", ["BTCUSD", state])]
    pushing.call(late, f"{kind}.subscribe", "BTCUSD")
    assert late.pushes() == [(f"{kind}.update", ["BTCUSD", state])]


def test_candles_are_pushed_when_the_last_one_differs() -> None:
    pushing = Pushing()
    candles: list[Any] = []
    pushing.backends.answers[KLINE] = lambda _: candles
    client, late = pushing.client(), pushing.client()
    pushing.call(client, "kline.subscribe", "BTCUSD", 60)
    pushing.loop.advance(1)
    assert client.pushes() == []
    assert pushing.backends.asked[-1] == (KLINE, ["BTCUSD", NOW_S - 1, NOW_S, 60])
    candles = [[60, "1"], [120, "1"]]
    pushing.loop.advance(1)
    assert client.pushes() == [("kline.update", candles)]
    candles = [[120, "1"]]
    pushing.loop.advance(1)
    assert client.pushes() == []
    pushing.call(late, "kline.subscribe", "BTCUSD", 60)
    assert late.pushes() == [("kline.update", [[60, "1"], [120, "1"]])]


@pytest.mark.parametrize("style", ["plain", "viabtc"])
def test_an_error_drops_no_subscriber(style: WireStyle) -> None:
    pushing = Pushing(style, timing="interval" if style == "viabtc" else "change")
    client, other = pushing.client(), pushing.client()
    pushing.call(client, "price.subscribe", "LATER")
    pushing.call(other, "price.subscribe", "BTCUSD")
    pushing.backends.answers[LAST] = lambda params: 1 if params == ["LATER"] else '"5"'
    pushing.loop.advance(60)
    asked = [params for command, params in pushing.backends.asked if command == LAST and params == ["LATER"]]
    assert 5 <= len(asked) <= 11, "a failing key is asked for less and less often"
    assert other.pushes() == [("price.update", ["BTCUSD", "5"])]
    pushing.backends.answers[LAST] = lambda params: '"7"'
    pushing.loop.advance(11)
    assert client.pushes() == [("price.update", ["LATER", "7"])], "it exists now"


def test_a_backend_that_is_away_is_asked_again_soon() -> None:
    pushing = Pushing()
    pushing.backends.answers[TODAY] = lambda _: {"last": "1"}
    pushing.backends.is_up = False
    client = pushing.client()
    pushing.call(client, "today.subscribe", "BTCUSD")
    pushing.loop.advance(30)
    assert 20 <= pushing.backends.count(TODAY) <= 40
    pushing.backends.is_up = True
    pushing.loop.advance(1.6)
    assert client.pushes() == [("today.update", ["BTCUSD", {"last": "1"}])]


def test_one_query_of_a_key_is_on_its_way_at_a_time() -> None:
    pushing = Pushing()
    pushing.backends.answers[STATUS] = lambda _: {"last": "1"}
    pushing.backends.is_silent = True
    client = pushing.client()
    pushing.call(client, "state.subscribe", "BTCUSD")
    pushing.loop.advance(10)
    assert pushing.backends.count(STATUS) == 1
    pushing.leave(client)
    pushing.backends.answer_all()
    pushing.loop.advance(10)
    assert pushing.backends.count(STATUS) == 1, "nobody wants it any more"


def test_a_result_that_is_none_is_a_failure() -> None:
    pushing = Pushing()
    pushing.backends.answers[LAST] = lambda _: '{"a":1}'
    client = pushing.client()
    pushing.call(client, "price.subscribe", "BTCUSD")
    pushing.loop.advance(5)
    assert client.pushes() == []
    assert pushing.subscriptions.counters.failed > 1


def test_deals_move_prices_at_once_and_states_soon() -> None:
    pushing = Pushing()
    volume = 0
    pushing.backends.answers[LAST] = lambda _: '"9"'
    pushing.backends.answers[STATUS] = lambda _: {"volume": str(volume)}
    client = pushing.client()
    pushing.call(client, "price.subscribe", "BTCUSD")
    pushing.call(client, "state.subscribe", "BTCUSD")
    pushing.loop.advance(0.45)
    assert len(client.pushes()) == 2
    pushing.deal(1, price="11.50")
    pushing.loop.advance(0.02)
    assert client.pushes() == [("price.update", ["BTCUSD", "11.5"])], "not asked for"
    volume = 1  # marketprice is a moment behind the message
    pushing.loop.advance(0.25)
    assert client.pushes() == [("state.update", ["BTCUSD", {"volume": "1"}])]
    pushing.loop.advance(5)
    assert client.pushes() == [], "what marketprice still says is older than the message"
    pushing.deal(2, price="11.5")
    pushing.loop.advance(0.02)
    assert client.pushes() == []


def test_a_change_waits_for_the_query_under_way() -> None:
    pushing = Pushing()
    pushing.backends.answers[STATUS] = lambda _: {"last": "1"}
    pushing.backends.is_silent = True
    client = pushing.client()
    pushing.call(client, "state.subscribe", "BTCUSD")
    for deal_id in range(1, 20):
        pushing.deal(deal_id)
        pushing.loop.advance(0.3)
    assert pushing.backends.count(STATUS) == 1
    pushing.backends.answer_all()
    pushing.loop.advance(0.02)
    assert pushing.backends.count(STATUS) == 2, "the answer may be older than the deals"


def test_a_message_overtakes_the_answer_under_way() -> None:
    pushing = Pushing()
    pushing.backends.answers[LAST] = lambda _: '"9"'
    pushing.backends.is_silent = True
    client = pushing.client()
    pushing.call(client, "price.subscribe", "BTCUSD")
    pushing.loop.advance(0.05)
    pushing.deal(1, price="11")
    pushing.loop.advance(0.05)
    pushing.backends.answer_all()
    pushing.loop.advance(1)
    assert client.pushes() == [("price.update", ["BTCUSD", "11"])]
