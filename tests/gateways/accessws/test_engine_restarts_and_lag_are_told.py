"""What clients are told when the engine was restarted, and when user events lag."""

from __future__ import annotations

from typing import Any

from gateways.accessws.lag import LagWatch
from tests.gateways.accessws.pushing import FakeClient, Pushing, book
from vxutils.store.embedded.feed import AnotherHistory

DEPTH, MARKETS, BALANCE = 206, 307, 101


def statuses(client: FakeClient) -> list[Any]:
    return [params[0] for method, params in client.pushes() if method == "system.status"]


def with_engine(pushing: Pushing) -> None:
    pushing.backends.answers[MARKETS] = lambda _: [{"name": "BTCUSD"}]
    pushing.backends.answers[DEPTH] = lambda _: {"asks": [], "bids": []}


def test_a_lag_of_two_seconds_is_told_and_its_end() -> None:
    pushing = Pushing(has_books=False)
    with_engine(pushing)
    pushing.backends.sequence = pushing.recorded = 100
    client, anonymous = pushing.client(7), pushing.client()
    pushing.call(client, "order.subscribe", "BTCUSD")
    pushing.call(anonymous, "deals.subscribe", "BTCUSD")
    pushing.loop.advance(5)
    assert statuses(client) == []
    pushing.backends.sequence = 101
    pushing.loop.advance(2.2)
    assert statuses(client) == []
    pushing.loop.advance(1.2)
    (status,) = statuses(client)
    assert status["lagging"] is True and 2 < status["behind_s"] < 3
    pushing.loop.advance(10)
    assert len(statuses(client)) == 1, "said again, now and then"
    pushing.recorded = 101
    pushing.loop.advance(1)
    assert statuses(client) == [{"lagging": False, "behind_s": 0.0}]
    pushing.loop.advance(30)
    assert statuses(client) == statuses(anonymous) == []


def test_messages_tell_that_there_is_no_lag() -> None:
    pushing = Pushing(has_books=False)
    with_engine(pushing)
    pushing.recorded = None  # the history can not be read
    client = pushing.client(7)
    pushing.call(client, "order.subscribe", "BTCUSD")
    for sequence in range(1, 40):
        pushing.backends.sequence = sequence
        pushing.order(1, user=9, sequence=sequence)
        pushing.loop.advance(0.3)
    assert statuses(client) == []


def test_on_another_host_only_messages_tell() -> None:
    pushing = Pushing(has_books=False, is_recorder_here=False)
    with_engine(pushing)
    pushing.backends.sequence = 70  # of a day before this gateway
    client = pushing.client(7)
    pushing.call(client, "order.subscribe", "BTCUSD")
    pushing.loop.advance(5)
    pushing.backends.sequence = 80
    pushing.order(1, user=9, sequence=80)
    pushing.loop.advance(0.3)
    pushing.backends.sequence = 81  # a mark: nothing comes of it
    pushing.loop.advance(30)
    assert statuses(client) == []
    pushing.backends.sequence = 82
    pushing.loop.advance(3.5)
    (status,) = statuses(client)
    assert status["lagging"] is True and 2 < status["behind_s"] < 4
    pushing.order(1, user=9, sequence=82)
    pushing.loop.advance(1)
    assert statuses(client) == [{"lagging": False, "behind_s": 0.0}]
    pushing.backends.is_up = False
    pushing.loop.advance(2)
    pushing.backends.is_up = True
    pushing.backends.sequence = 90  # a restarted engine with records that make no messages
    pushing.loop.advance(30)
    assert [status.get("lagging") for status in statuses(client)] == [False], "that it was restarted"


def test_an_end_that_is_found_late_is_told() -> None:
    pushing = Pushing(has_books=False)
    with_engine(pushing)
    client = pushing.client(7)
    pushing.call(client, "order.subscribe", "BTCUSD")
    pushing.loop.advance(1)
    client.texts()
    pushing.may_place = False
    pushing.feeds["orders"].broken = AnotherHistory("made anew")
    pushing.loop.advance(0.5)
    told = {"lagging": False, "behind_s": 0.0, "refreshed": True, "missed": True}
    assert statuses(client) == [told]
    pushing.loop.advance(5)
    assert statuses(client) == [], "nobody knows when it is found"
    pushing.feeds["orders"].is_placed = True
    pushing.loop.advance(0.5)
    assert statuses(client) == [told], "events in between were missed too"
    pushing.order(1, user=7, sequence=5)
    pushing.loop.advance(0.5)
    assert [method for method, _ in client.pushes()] == ["order.update"]


def test_lag_is_measured_from_when_it_was_seen() -> None:
    watch = LagWatch()
    watch.saw_recorder(10)
    watch.saw_engine(10, 0.0)
    assert watch.behind_s(9.0) == 0
    watch.saw_engine(11, 10.0)
    watch.saw_engine(12, 10.05)
    watch.saw_engine(13, 11.0)
    assert watch.behind_s(12.0) == 2.0
    watch.saw_recorder(11)
    assert watch.behind_s(12.0) == 2.0, "12 was seen a moment after 11"
    watch.saw_recorder(12)
    assert watch.behind_s(12.0) == 1.0
    watch.saw_recorder(13)
    assert watch.behind_s(12.0) == 0
    for count in range(20_000):
        watch.saw_engine(100 + count, 20.0 + count)
    assert watch.behind_s(20_020.0) == 20_000.0


def test_a_restarted_engine_is_shown_whole() -> None:
    pushing = Pushing()
    pushing.backends.answers[BALANCE] = lambda params: {"BTC": {"available": "2", "freeze": "0"}}
    pushing.recorded = 9
    pushing.books.publish(book("BTCUSD", 9, [(100, 5)], []))
    client = pushing.client(7)
    pushing.call(client, "depth.subscribe", "BTCUSD", 5, "0")
    pushing.call(client, "asset.subscribe", "BTC")
    pushing.loop.advance(1)
    client.texts()
    pushing.books.generation += 1
    pushing.books.publish(book("BTCUSD", 9, [(100, 5)], []))
    pushing.loop.advance(0.3)
    assert sorted(client.pushes()) == [
        ("asset.update", [{"BTC": {"available": "2", "freeze": "0"}}]),
        ("depth.update", [True, {"asks": [["1", "0.05"]], "bids": []}, "BTCUSD"]),
        ("system.status", [{"lagging": False, "behind_s": 0.0, "refreshed": True}]),
    ]
    pushing.loop.advance(2)
    assert client.pushes() == []


def test_a_lost_connection_to_the_engine_is_a_seam_too() -> None:
    pushing = Pushing(has_books=False)
    with_engine(pushing)
    client = pushing.client(7)
    pushing.call(client, "depth.subscribe", "BTCUSD", 5, "0")
    pushing.call(client, "order.subscribe", "BTCUSD")
    pushing.loop.advance(1)
    assert [method for method, _ in client.pushes()] == ["depth.update"]
    pushing.backends.is_up = False
    pushing.loop.advance(3)
    assert client.pushes() == []
    pushing.backends.is_up = True
    pushing.loop.advance(2)
    assert sorted(method for method, _ in client.pushes()) == ["depth.update", "system.status"]


def test_an_older_reply_never_follows_a_newer_book() -> None:
    pushing = Pushing()
    pushing.backends.is_silent = True
    pushing.backends.answers[DEPTH] = lambda _: {"asks": [["9", "9"]], "bids": []}
    client = pushing.client()
    pushing.call(client, "depth.subscribe", "BTCUSD", 5, "0")
    pushing.loop.advance(0.05)
    assert pushing.backends.count(DEPTH) == 1, "no ring: asked for"
    pushing.books.publish(book("BTCUSD", 20, [(100, 5)], []))
    pushing.loop.advance(0.05)
    pushing.backends.sequence = 19
    pushing.backends.answer_all()
    pushing.loop.advance(0.05)
    assert client.pushes() == [("depth.update", [True, {"asks": [["1", "0.05"]], "bids": []}, "BTCUSD"])]


def test_the_whole_book_comes_once_a_minute_if_anything_changes() -> None:
    pushing = Pushing()
    pushing.books.publish(book("BTCUSD", 1, [(100, 5)], []))
    client = pushing.client()
    pushing.call(client, "depth.subscribe", "BTCUSD", 5, "0")
    cleans = []
    for sequence in range(2, 130):
        pushing.books.publish(book("BTCUSD", sequence, [(100, sequence)], []))
        pushing.loop.advance(1)
        cleans += [params[0] for _, params in client.pushes()]
    assert cleans.count(True) == 3 and len(cleans) == 129
    pushing.loop.advance(200)
    assert client.pushes() == [], "nothing changes"
