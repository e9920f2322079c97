"""Order events and balances: every event to its user, balances asked for until they are answered.

Source: protocol.md 9.8.
"""

from __future__ import annotations

import json

from tests.gateways.accessws.pushing import Pushing
from vxutils.store.embedded.feed import MessagesGone

BALANCE = 101


def test_order_events_reach_their_user_and_market_only() -> None:
    pushing = Pushing()
    mine, other_market, other_user, nobody = (pushing.client(user) for user in (7, 7, 8, 0))
    pushing.call(mine, "order.subscribe", "BTCUSD")
    pushing.call(other_market, "order.subscribe", "ETHUSD")
    pushing.call(other_user, "order.subscribe", "BTCUSD")
    pushing.order(1, user=7, sequence=41)
    pushing.order(2, user=7, sequence=42, left="0.50")
    pushing.order(3, user=0, sequence=43)
    pushing.order(0, user=7, sequence=44)
    pushing.loop.advance(0.05)
    assert other_market.pushes() == other_user.pushes() == nobody.pushes() == []
    first, second = mine.texts()[1:]
    assert first == (
        '{"method":"order.update","params":[1,{"id":8,"market":"BTCUSD","source":"web","type":1,"side":1,'
        '"user":7,"ctime":1700000000.250000,"mtime":1700000001.500000,"price":"20","amount":"1",'
        '"taker_fee":"0.002","maker_fee":"0.001","left":"1","deal_stock":"0","deal_money":"0",'
        '"deal_fee":"0.0000005"}],"id":null,"sequence":41}'
    )
    assert json.loads(second)["params"][1]["left"] == "0.5"
    assert json.loads(second)["sequence"] == 42
    assert len(mine.connection.sends) == 2, "events of one tick leave in one piece"


def test_order_events_in_viabtc_style_are_the_messages() -> None:
    pushing = Pushing("viabtc", timing="interval")
    client = pushing.client(7)
    pushing.call(client, "order.subscribe", "BTCUSD")
    pushing.order(3, user=7, sequence=41, source='"é')
    order = json.loads(pushing.feeds["orders"].messages[0].payload)["order"]
    pushing.loop.advance(0.05)
    (_, text) = client.texts()
    assert text == '{"method": "order.update", "params": [3, ' + json.dumps(order) + '], "id": null}'


def test_balances_are_asked_once_however_much_happens() -> None:
    pushing = Pushing()
    pushing.backends.answers[BALANCE] = lambda params: {params[1]: {"available": "1", "freeze": "0"}}
    client, twin = pushing.client(7), pushing.client(7)
    pushing.call(client, "asset.subscribe", "BTC", "USD")
    pushing.call(twin, "asset.subscribe", "BTC")
    pushing.backends.sequence = 50
    pushing.backends.is_silent = True
    for sequence in range(40, 50):
        pushing.order(2, user=7, sequence=sequence)
        pushing.deposit(7, "BTC", sequence)
        pushing.deposit(8, "BTC", sequence)
    pushing.loop.advance(0.05)
    assert [ask for ask in pushing.backends.asked if ask[0] == BALANCE] == [
        (BALANCE, [7, "BTC"]),
        (BALANCE, [7, "USD"]),
    ]
    pushing.deposit(7, "BTC", 51)  # the answer under way may be older than this
    pushing.loop.advance(0.05)
    assert pushing.backends.count(BALANCE) == 2
    pushing.backends.is_silent = False
    pushing.backends.answer_all()
    pushing.loop.advance(0.05)
    assert pushing.backends.count(BALANCE) == 3
    assert client.texts()[1] == (
        '{"method":"asset.update","params":[{"BTC":{"available":"1","freeze":"0"}}],"id":null,"sequence":50}'
    )
    assert [params[0].popitem()[0] for _, params in twin.pushes()] == ["BTC", "BTC"]


def test_a_balance_is_asked_for_until_it_is_answered() -> None:
    pushing = Pushing()
    pushing.backends.answers[BALANCE] = lambda params: {"BTC": {"available": "2", "freeze": "0"}}
    client = pushing.client(7)
    pushing.call(client, "asset.subscribe", "BTC")
    pushing.backends.is_silent = True
    pushing.deposit(7, "BTC", 5)
    for _ in range(5):
        pushing.loop.advance(0.6)
        pushing.backends.fail()
    assert pushing.backends.count(BALANCE) == 5
    pushing.backends.is_silent = False
    pushing.loop.advance(0.6)
    assert [method for method, _ in client.pushes()] == ["asset.update"]
    pushing.loop.advance(5)
    assert pushing.backends.count(BALANCE) == 6


def test_an_unknown_asset_is_not_asked_for_again() -> None:
    pushing = Pushing()
    client = pushing.client(7)
    pushing.call(client, "asset.subscribe", "NOPE")
    pushing.deposit(7, "NOPE", 5)
    pushing.loop.advance(5)
    assert pushing.backends.count(BALANCE) == 1
    assert client.pushes() == []


def test_who_left_is_not_asked_for() -> None:
    pushing = Pushing()
    client = pushing.client(7)
    pushing.call(client, "asset.subscribe", "BTC")
    pushing.backends.is_silent = True
    pushing.deposit(7, "BTC", 5)
    pushing.loop.advance(0.05)
    pushing.leave(client)
    pushing.backends.fail()
    pushing.loop.advance(5)
    assert pushing.backends.count(BALANCE) == 1


def test_lost_messages_are_told_and_balances_shown_anew() -> None:
    pushing = Pushing()
    pushing.backends.answers[BALANCE] = lambda params: {"BTC": {"available": "2", "freeze": "0"}}
    client, anonymous = pushing.client(7), pushing.client()
    pushing.call(client, "asset.subscribe", "BTC")
    pushing.call(anonymous, "price.subscribe", "BTCUSD")
    pushing.feeds["orders"].broken = MessagesGone("messages 3 to 7 are no longer there", 8)
    pushing.loop.advance(0.1)
    assert client.pushes() == [
        ("system.status", [{"lagging": False, "behind_s": 0, "refreshed": True, "missed": True}]),
        ("asset.update", [{"BTC": {"available": "2", "freeze": "0"}}]),
    ]
    assert anonymous.pushes() == []
    assert pushing.subscriptions.counters.lost == {"orders": 1}


def test_unreadable_messages_are_counted_and_skipped() -> None:
    pushing = Pushing()
    client = pushing.client(7)
    pushing.call(client, "order.subscribe", "BTCUSD")
    for payload in ("", "[]", '{"event":1}', '{"event":1,"order":{"user":7},"stock":"A","money":"B"}'):
        pushing.write("orders", payload)
        pushing.write("balances", payload)
    pushing.order(1, user=7, sequence=9)
    pushing.loop.advance(0.05)
    assert len(client.pushes()) == 1
    assert pushing.subscriptions.counters.unreadable == {"orders": 4, "balances": 4}
