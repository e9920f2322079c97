"""Deals: new ones at once, older ones to whoever comes later, nothing twice, nothing silently left out."""

from __future__ import annotations

from typing import Any

from tests.gateways.accessws.pushing import FakeClient, Pushing
from vxutils.store.embedded.feed import MessagesGone

DEALS = 303


def shown(deal_id: int) -> dict[str, Any]:
    return {"id": deal_id, "time": 1.5, "price": "10", "amount": "1.5", "type": "buy"}


def ids(client: FakeClient) -> list[list[int]]:
    found = []
    for method, params in client.pushes():
        assert method == "deals.update" and params[0] == "BTCUSD"
        found.append([deal["id"] for deal in params[1]])
    return found


def test_history_first_then_each_deal() -> None:
    pushing = Pushing()
    pushing.backends.answers[DEALS] = lambda _: [shown(2), shown(1)]
    client, late = pushing.client(), pushing.client()
    pushing.call(client, "deals.subscribe", "BTCUSD")
    pushing.loop.advance(0.05)
    assert ids(client) == [[2, 1]]
    pushing.deal(3)
    pushing.deal(4, side=1)
    pushing.loop.advance(0.05)
    assert client.texts() == [
        '{"method":"deals.update","params":["BTCUSD",['
        '{"id":4,"time":1700000000.500000,"price":"10","amount":"1.5","type":"sell"},'
        '{"id":3,"time":1700000000.500000,"price":"10","amount":"1.5","type":"buy"}]],"id":null}'
    ]
    pushing.call(late, "deals.subscribe", "BTCUSD")
    assert ids(late) == [[4, 3, 2, 1]]
    pushing.loop.advance(5)
    assert ids(client) == ids(late) == []
    assert pushing.backends.count(DEALS) == 1, "messages tell the rest"


def test_history_and_messages_overlap() -> None:
    pushing = Pushing()
    pushing.deal(5)  # before anybody was interested
    pushing.loop.advance(0.05)
    pushing.backends.is_silent = True
    pushing.backends.answers[DEALS] = lambda _: [shown(6), shown(4)]  # 5 is not there yet, 6 is
    client = pushing.client()
    pushing.call(client, "deals.subscribe", "BTCUSD")
    pushing.loop.advance(0.05)
    assert ids(client) == []
    pushing.backends.answer_all()
    pushing.loop.advance(0.05)
    assert ids(client) == [[6, 5, 4]]
    pushing.deal(6)
    pushing.deal(7)
    pushing.loop.advance(0.05)
    assert ids(client) == [[7]], "6 was pushed"


def test_deals_flow_without_marketprice() -> None:
    pushing = Pushing()
    pushing.backends.is_silent = True
    client = pushing.client()
    pushing.call(client, "deals.subscribe", "BTCUSD")
    pushing.deal(1)
    pushing.loop.advance(0.05)
    assert ids(client) == [], "what was before comes first, if it can be had"
    pushing.backends.fail()
    pushing.loop.advance(0.05)
    assert ids(client) == [[1]]
    pushing.deal(2)
    pushing.loop.advance(0.05)
    assert ids(client) == [[2]]
    pushing.backends.answers[DEALS] = lambda _: [shown(3), shown(2), shown(1), shown(0)]
    pushing.backends.is_silent = False
    pushing.loop.advance(1.6)
    assert ids(client) == [[3]], "of the rest only what is new"
    pushing.deal(3)
    pushing.loop.advance(0.05)
    assert ids(client) == []
    late = pushing.client()
    pushing.call(late, "deals.subscribe", "BTCUSD")
    assert ids(late) == [[3, 2, 1, 0]]


def test_more_than_a_hundred_have_a_gap_mark() -> None:
    pushing = Pushing()
    pushing.backends.answers[DEALS] = lambda _: []
    client = pushing.client()
    pushing.call(client, "deals.subscribe", "BTCUSD")
    pushing.loop.advance(0.05)
    client.texts()
    for deal_id in range(1, 101):
        pushing.deal(deal_id)
    pushing.loop.advance(0.05)
    (text,) = client.texts()
    assert text.endswith('"id":null}')
    for deal_id in range(101, 202):
        pushing.deal(deal_id)
    pushing.loop.advance(0.05)
    (text,) = client.texts()
    assert text.endswith('"id":null,"gap":true}')
    assert text.count('"price"') == 100 and '"id":201' in text and '"id":102' in text


def test_polled_each_interval_without_messages() -> None:
    pushing = Pushing("viabtc", timing="interval")
    deals = [shown(2), shown(1)]
    pushing.backends.answers[DEALS] = lambda params: [deal for deal in deals if deal["id"] > params[2]]
    client, late = pushing.client(), pushing.client()
    pushing.call(client, "deals.subscribe", "BTCUSD")
    pushing.loop.advance(1)
    assert ids(client) == [[2, 1]]
    deals = [shown(3), *deals]
    pushing.loop.advance(1)
    assert ids(client) == [[3]]
    assert pushing.backends.asked[-1] == (DEALS, ["BTCUSD", 100, 3])
    pushing.call(late, "deals.subscribe", "BTCUSD")
    assert ids(late) == [[3, 2, 1]]


def test_unreadable_messages_are_counted_and_skipped() -> None:
    pushing = Pushing()
    pushing.backends.answers[DEALS] = lambda _: []
    client = pushing.client()
    pushing.call(client, "deals.subscribe", "BTCUSD")
    bad = [
        "",
        "{}",
        "[1]",
        '[1.5, ["BTCUSD"], 1, 2, 3, 4, "1", "1", "0", "0", 1, 5]',
        '["x", "BTCUSD", 1, 2, 3, 4, "1", "1", "0", "0", 1, 5]',
        '[1.5, "BTCUSD", 1, 2, 3, 4, "1", "1", "0", "0", 1, "5"]',
        '[1.5, "BTCUSD", 1, 2, 3, 4, 1, "1", "0", "0", 1, 5]',
    ]
    for payload in bad:
        pushing.write("deals", payload)
    pushing.deal(1)
    pushing.loop.advance(0.05)
    assert ids(client) == [[1]]
    assert pushing.subscriptions.counters.unreadable == {"deals": len(bad)}


def test_lost_messages_are_asked_for() -> None:
    pushing = Pushing()
    pushing.backends.answers[DEALS] = lambda _: [shown(1)]
    client = pushing.client()
    pushing.call(client, "deals.subscribe", "BTCUSD")
    pushing.loop.advance(0.2)
    assert ids(client) == [[1]]
    pushing.backends.answers[DEALS] = lambda _: [shown(9), shown(8), shown(1)]
    pushing.feeds["deals"].broken = MessagesGone("messages 3 to 7 are no longer there", 8)
    pushing.loop.advance(0.2)
    assert ids(client) == [[9, 8, 1]], "shown anew"
    pushing.deal(10)
    pushing.loop.advance(0.2)
    assert ids(client) == [[10]], "the new feed works"
