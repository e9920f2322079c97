"""Who ends a connection, what is still sent then, and who is told."""

from __future__ import annotations

import gc
import socket
import struct
from functools import partial
from pathlib import Path

import pytest
from httptools import HttpRequestParser

from tests.vxutils.http.driving import Served, get, post, serving, unix_address
from vxutils.http import HttpLimits
from vxutils.http.collector import Collector
from vxutils.http.connection import Connection
from vxutils.http.parser import RequestParser
from vxutils.http.session import HttpSession

CLOSE = "Connection: close\r\n"


class EndsCounted:
    """Stands before a connection and counts how often it hears of the end of the input."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.received = connection.received
        self.output_sent = connection.output_sent
        self.ends = 0

    def input_ended(self) -> None:
        self.ends += 1
        self._connection.input_ended()


def has_more_than(served: Served, count: int) -> bool:
    return len(served.handler.exchanges) > count


@pytest.mark.parametrize(
    ("request_bytes", "closes"),
    [
        (get(), False),
        (get(extra=CLOSE), True),
        (b"GET / HTTP/1.0\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False),
    ],
)
def test_the_client_says_whether_it_stays(request_bytes: bytes, closes: bool) -> None:
    with serving() as served:
        client = served.client()
        client.send(request_bytes)
        assert client.answers(1) == [(200, b"GET / ")]
        assert client.is_open() is not closes
        assert (b"Connection: close" in client.received) is closes
        assert (b"Connection: keep-alive" in client.received) is (b"keep-alive" in request_bytes)


def test_nothing_is_read_behind_a_request_that_closes() -> None:
    with serving() as served:
        client = served.client()
        client.send(get("/last", CLOSE) + get("/behind"))
        assert client.to_the_end().count(b"HTTP/1.1") == 1
        assert len(served.handler.exchanges) == 1


def test_a_client_that_only_stops_sending_gets_its_answers() -> None:
    with serving() as served:
        served.handler.holds = True
        client = served.client()
        client.send(get("/0") + get("/1") + b"GET /unfinis")
        served.run_until(lambda: len(served.handler.exchanges) == 2)
        (session,) = served.server.sessions.values()
        assert isinstance(session, HttpSession) and isinstance(session.connection, Connection)
        counted = session.connection = EndsCounted(session.connection)
        client.sock.shutdown(socket.SHUT_WR)
        served.run_for(0.1)
        assert counted.ends == 1, (
            "an ended input stays readable: looking at it again and again is a busy loop"
        )
        served.handler.exchanges[1].respond(200, b"1")
        served.handler.exchanges[0].respond(200, b"0" * 3_000_000)
        assert [len(body) for _, body in client.answers(2)] == [3_000_000, 1]
        client.to_the_end()
        served.run_until(lambda: not served.server.sessions)


def test_a_client_that_stops_sending_over_its_pipeline_gets_its_answers() -> None:
    with serving(HttpLimits(pipeline_max=2)) as served:
        served.handler.holds = True
        client = served.client()
        client.send(b"".join(get(f"/{number}") for number in range(5)))
        client.sock.shutdown(socket.SHUT_WR)
        for number in range(5):
            served.run_until(partial(has_more_than, served, number))
            served.handler.exchanges[number].respond(200, b"%d" % number)
        assert [body for _, body in client.answers(5)] == [b"0", b"1", b"2", b"3", b"4"]
        client.to_the_end()


def test_a_client_that_leaves_is_told_to_who_works_for_it() -> None:
    with serving() as served:
        served.handler.holds = True
        client = served.client()
        client.send(get("/0") + get("/1"))
        served.run_until(lambda: len(served.handler.exchanges) == 2)
        gone: list[int] = []
        for number, exchange in enumerate(served.handler.exchanges):
            exchange.on_gone = partial(gone.append, number)
        assert not served.handler.exchanges[0].is_gone
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        served.run_until(lambda: gone)
        assert gone == [0, 1]
        for exchange in served.handler.exchanges:
            assert exchange.is_gone
            exchange.respond(200, b"for nobody")
        assert not served.server.sessions


def test_a_last_answer_larger_than_the_socket_arrives_whole() -> None:
    with serving(HttpLimits(write_mem=4096)) as served:
        served.handler.on_request = lambda exchange: exchange.respond(200, b"z" * 2_000_000, close=True)
        client = served.client(receive_buffer=4096)
        client.send(get() + b"more that nobody reads" * 1000)
        client.to_the_end()
        assert [len(body) for _, body in client.answers(1)] == [2_000_000]


def test_who_does_not_close_after_the_last_answer_is_closed() -> None:
    with serving() as served:
        client = served.client()
        client.send(get(extra=CLOSE))
        client.to_the_end()
        assert served.server.sessions
        served.run_until(lambda: not served.server.sessions)


def test_abandoned_means_closed_without_an_answer() -> None:
    with serving() as served:
        served.handler.holds = True
        client = served.client()
        client.send(get("/0") + get("/1"))
        served.run_until(lambda: len(served.handler.exchanges) == 2)
        served.handler.exchanges[1].abandon()
        served.handler.exchanges[0].respond(200, b"0")
        client.to_the_end()
        assert client.answers(1) == [(200, b"0")]


def test_draining_finishes_what_has_begun() -> None:
    with serving() as served:
        idle, working, beginning = served.client(), served.client(), served.client()
        served.handler.holds = True
        working.send(get("/0") + get("/1"))
        beginning.send(post(b"abc")[:-1])
        served.run_until(lambda: len(served.handler.exchanges) == 2)
        served.turn()
        served.server.drain()
        assert idle.to_the_end() == b""
        working.send(get("/not any more"))
        beginning.send(b"c")
        served.run_until(lambda: len(served.handler.exchanges) == 3)
        for exchange in reversed(served.handler.exchanges):
            exchange.respond(200, b"done")
        assert [status for status, _ in working.answers(2)] == [200, 200]
        assert working.to_the_end().count(b"Connection: close") == 1
        assert b"Connection: close" in beginning.to_the_end()
        for client in (idle, working, beginning):
            client.close()
        served.run_until(lambda: not served.server.sessions)


def test_stopping_tells_who_works() -> None:
    with serving() as served:
        served.handler.holds = True
        client = served.client()
        client.send(get())
        served.run_until(lambda: served.handler.exchanges)
        gone: list[bool] = []
        served.handler.exchanges[0].on_gone = lambda: gone.append(True)
        served.server.stop()
        assert gone == [True]
        assert client.to_the_end() == b""


def test_adopted_sockets_are_served_without_any_address() -> None:
    with serving(address="tcp@127.0.0.1:0") as served:
        client = served.adopt()
        client.send(get("/adopted") + get("/gone", CLOSE))
        assert [body for _, body in client.answers(2)] == [b"GET /adopted ", b"GET /gone "]
        client.to_the_end()


def test_unix_sockets_are_served(tmp_path: Path) -> None:
    with serving(address=unix_address(tmp_path)) as served:
        client = served.client()
        client.send(get())
        assert client.answers(1) == [(200, b"GET / ")]


def test_a_closed_connection_is_freed_without_the_garbage_collector() -> None:
    with serving() as served:
        gc.collect()
        gc.disable()
        try:
            for data in (
                get() + post(b"abc"),
                b"nonsense\r\n\r\n",
                get("/" + "x" * 9000),
                get(extra="A:1\r\n" * 200),
            ):
                client = served.client()
                client.send(data)
                client.answers(1)
                served.handler.exchanges.clear()
                client.close()
                served.run_until(lambda: not served.server.sessions)
            kinds = (Connection, RequestParser, Collector, HttpSession, HttpRequestParser)
            assert not [thing for thing in gc.get_objects() if isinstance(thing, kinds)]
        finally:
            gc.enable()


def test_thousands_of_idle_connections_do_not_hurt_one_that_works() -> None:
    with serving(HttpLimits(connections_max=3000)) as served:
        idle = []
        for _ in range(2000):
            idle.append(served.client())
            if len(idle) % 100 == 0:
                served.turn()
        served.run_until(lambda: len(served.server.sessions) == 2000)
        client = served.client()
        for _ in range(50):
            client.received = b""
            client.send(get())
            assert client.answers(1) == [(200, b"GET / ")]
        some = idle[::200]
        for one in some:
            one.send(get("/awake"))
        assert [one.answers(1) for one in some] == [[(200, b"GET /awake ")]] * 10
