"""Answers leave in the order of the requests, however they are given; who asks too much has to wait."""

from __future__ import annotations

import random

import pytest

from tests.vxutils.http.driving import Handler, chunked, get, post, serving
from vxutils.http import Exchange, HttpLimits


def numbers(handler: Handler) -> list[str]:
    return [exchange.request.target for exchange in handler.exchanges]


@pytest.mark.parametrize("seed", range(5))
def test_answers_given_in_any_order(seed: int) -> None:
    with serving(HttpLimits(pipeline_max=30)) as served:
        served.handler.holds = True
        client = served.client()
        client.send(b"".join(post(b"%d" % n) if n % 3 else chunked(b"%d" % n) for n in range(30)))
        served.run_until(lambda: len(served.handler.exchanges) == 30)
        order = list(range(30))
        random.Random(seed).shuffle(order)
        for number in order:
            served.handler.exchanges[number].respond(200, b"%d" % number)
            served.turn()
            client.pull()
        assert [int(body) for _, body in client.answers(30)] == list(range(30))
        assert client.is_open()


def test_at_most_pipeline_max_are_handed_over_and_the_rest_follows() -> None:
    with serving(HttpLimits(pipeline_max=4)) as served:
        served.handler.holds = True
        client = served.client()
        client.send(b"".join(get(f"/{n}") for n in range(10)))
        served.turn()
        assert numbers(served.handler) == ["/0", "/1", "/2", "/3"]
        served.handler.exchanges[1].respond(200, b"1")
        served.turn()
        assert len(served.handler.exchanges) == 4, "the oldest is not answered yet"
        served.handler.exchanges[0].respond(200, b"0")
        served.run_until(lambda: len(served.handler.exchanges) == 6)
        answered = 2
        while answered < 10:
            served.handler.exchanges[answered].respond(200, b"%d" % answered)
            answered += 1
            served.turn()
        assert [int(body) for _, body in client.answers(10)] == list(range(10))


def test_a_client_over_its_limit_is_not_read() -> None:
    with serving(HttpLimits(pipeline_max=1, read_mem=4096)) as served:
        served.handler.holds = True
        client = served.client()
        client.send(get())
        served.run_until(lambda: served.handler.exchanges)
        sent = 0
        for _ in range(2000):
            try:
                sent += client.sock.send(get() * 1000)
            except BlockingIOError:
                served.turn()
                break
        with pytest.raises(BlockingIOError):
            client.sock.send(b"x" * 1_000_000)
            client.sock.send(b"x" * 1_000_000)
            client.sock.send(b"x" * 8_000_000)
        assert len(served.handler.exchanges) == 1


def test_one_connection_does_not_keep_the_others_waiting() -> None:
    with serving() as served:
        greedy, modest = served.client(), served.client()
        seen: list[str] = []

        def answer(exchange: Exchange) -> None:
            seen.append(exchange.request.target)
            exchange.respond(200)

        served.handler.on_request = answer
        greedy.sock.send(get("/greedy") * 2000)
        modest.sock.send(get("/modest"))
        modest.answers(1)
        assert seen.index("/modest") < 1000
        greedy.answers(2000)
        assert len(seen) == 2001


def test_answering_inside_the_call_and_later_mixed() -> None:
    with serving() as served:
        held: list[Exchange] = []

        def answer(exchange: Exchange) -> None:
            if exchange.request.target == "/later":
                held.append(exchange)
            else:
                exchange.respond(200, b"now")

        served.handler.on_request = answer
        client = served.client()
        client.send(get("/now") + get("/later") + get("/now"))
        assert client.answers(1) == [(200, b"now")]
        assert client.is_open()
        held[0].respond(200, b"later")
        assert [body for _, body in client.answers(3)] == [b"now", b"later", b"now"]


def test_after_a_closing_answer_nobody_is_answered() -> None:
    with serving() as served:
        served.handler.holds = True
        client = served.client()
        client.send(get("/0") + get("/1") + get("/2"))
        served.run_until(lambda: len(served.handler.exchanges) == 3)
        first, second, third = served.handler.exchanges
        gone: list[str] = []
        second.on_gone = lambda: gone.append("second")
        third.on_gone = lambda: gone.append("third")
        third.respond(200, b"third")
        first.respond(400, b"", close=True)
        assert client.to_the_end().count(b"HTTP/1.1") == 1
        assert second.is_gone
        second.respond(200, b"second")
        assert gone == ["second"], "the third was answered already"
