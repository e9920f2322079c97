"""Clients that do not read: states replace one another, events wait within a bound, then comes the end."""

from __future__ import annotations

import json

from gateways.accessws.outgoing import SLOW_BYTES, TOO_SLOW_CODE
from tests.gateways.accessws.pushing import FakeClient, Pushing, book
from vxutils.ws import text_frame

PADDING = text_frame("x" * (SLOW_BYTES + 1))


def make_slow(pushing: Pushing, client: FakeClient) -> None:
    client.connection.is_stuck = True
    client.client.outgoing.queue(PADDING)
    pushing.loop.run_soon()
    client.texts()


def drain(pushing: Pushing, client: FakeClient) -> None:
    client.connection.is_stuck = False
    client.connection.pending_output = 0
    client.client.outgoing.drained()
    pushing.loop.run_soon()


def test_depth_differences_become_one_whole_book() -> None:
    pushing = Pushing()
    pushing.books.publish(book("BTCUSD", 1, [(100, 5)], []))
    slow, fast = pushing.client(), pushing.client()
    for client in (slow, fast):
        pushing.call(client, "depth.subscribe", "BTCUSD", 5, "0")
    assert (
        fast.pushes()
        == slow.pushes()
        == [("depth.update", [True, {"asks": [["1", "0.05"]], "bids": []}, "BTCUSD"])]
    )
    make_slow(pushing, slow)
    for sequence in range(2, 50):
        pushing.books.publish(book("BTCUSD", sequence, [(100, sequence)], [(99, 1)]))
        pushing.loop.advance(0.02)
    assert slow.texts() == []
    drain(pushing, slow)
    (text,) = slow.texts()
    assert json.loads(text)["params"] == [
        True,
        {"asks": [["1", "0.49"]], "bids": [["0.99", "0.01"]]},
        "BTCUSD",
    ]
    assert json.loads(text)["sequence"] == 49
    assert len(fast.pushes()) == 48, "nobody else notices"
    pushing.books.publish(book("BTCUSD", 50, [(100, 50)], [(99, 1)]))
    pushing.loop.advance(0.02)
    assert slow.pushes() == [("depth.update", [False, {"asks": [["1", "0.5"]]}, "BTCUSD"])]
    assert pushing.outbox.conflated == 48
    assert slow.connection.is_open


def test_one_that_left_a_topic_gets_no_state_of_it() -> None:
    pushing = Pushing()
    pushing.books.publish(book("BTCUSD", 1, [(100, 5)], []))
    client = pushing.client()
    pushing.call(client, "depth.subscribe", "BTCUSD", 5, "0")
    make_slow(pushing, client)
    pushing.books.publish(book("BTCUSD", 2, [(100, 6)], []))
    pushing.loop.advance(0.02)
    pushing.call(client, "depth.unsubscribe")
    drain(pushing, client)
    assert client.texts() == ['{"result":"success"}']


def test_order_events_wait_in_order_and_none_is_lost() -> None:
    pushing = Pushing()
    client = pushing.client(7)
    pushing.call(client, "order.subscribe", "BTCUSD")
    make_slow(pushing, client)
    for sequence in range(100):
        pushing.order(2, user=7, sequence=sequence)
        pushing.loop.advance(0.02)
    assert client.texts() == []
    drain(pushing, client)
    assert [json.loads(text)["sequence"] for text in client.texts()] == list(range(100))


def test_too_much_waiting_disconnects_that_client() -> None:
    pushing = Pushing(client_queue_size_bytes_max=128 * 1024)
    slow, fast = pushing.client(7), pushing.client(7)
    for client in (slow, fast):
        pushing.call(client, "order.subscribe", "BTCUSD")
    make_slow(pushing, slow)
    for sequence in range(1_000):
        pushing.order(2, user=7, sequence=sequence)
    pushing.loop.advance(0.1)
    assert slow.connection.closed_with == (TOO_SLOW_CODE, "too slow")
    assert pushing.outbox.disconnected_slow == 1
    assert len(fast.pushes()) == 1_000
    pushing.leave(slow)
    pushing.order(2, user=7, sequence=2_000)
    pushing.loop.advance(0.1)
    assert len(fast.pushes()) == 1
    assert not pushing.outbox.slow


def test_a_client_that_caught_up_unnoticed_is_found() -> None:
    pushing = Pushing()
    pushing.books.publish(book("BTCUSD", 1, [(100, 5)], []))
    client = pushing.client()
    pushing.call(client, "depth.subscribe", "BTCUSD", 5, "0")
    make_slow(pushing, client)
    pushing.books.publish(book("BTCUSD", 2, [(100, 6)], []))
    pushing.loop.advance(0.05)
    client.connection.is_stuck = False
    client.connection.pending_output = 0
    pushing.loop.advance(0.2)
    assert [params[0] for _, params in client.pushes()] == [True]


def test_a_frame_is_encoded_once_for_all() -> None:
    pushing = Pushing()
    clients = [pushing.client() for _ in range(10)]
    for client in clients:
        pushing.call(client, "depth.subscribe", "BTCUSD", 5, "0")
    pushing.books.publish(book("BTCUSD", 1, [(100, 5)], []))
    pushing.loop.advance(0.05)
    assert len({id(client.connection.sends[-1][-1]) for client in clients}) == 1
