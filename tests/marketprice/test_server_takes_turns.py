"""Sessions and datagrams on real sockets: order, fairness, what costs a connection, what is dropped."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from marketprice.core.kline import Retention
from marketprice.requests import Answer, Params, Requests
from marketprice.server import MarketServer
from marketprice.views import Views
from tests.marketprice.history import markets_of, trades
from vxnet.address import Address
from vxnet.clock import SystemClock
from vxnet.loop import new_event_loop
from vxutils.rpc.blocking import BlockingClient
from vxutils.rpc.packet import KIND_REQUEST, Packet, encode_packet
from vxutils.rpc.replies import ReplyFormat
from vxutils.settings import ServerSettings

SLOW, LAST = 302, 304


class SlowRequests(Requests):
    """Command 302 takes 20 ms; the order in which all others were answered is kept."""

    def answer(self, command: int, params: Params, body: bytes) -> Answer:
        if command == SLOW:
            time.sleep(0.02)
            return '"slow"'
        return super().answer(command, params, body)


@contextmanager
def serving(
    each_ms: Callable[[], None] = lambda: None, bind: tuple[str, ...] = ("tcp@127.0.0.1:0", "udp@127.0.0.1:0")
) -> Iterator[MarketServer]:
    """A server on a loop in a thread; `each_ms` runs on that loop all the time."""
    clock = SystemClock()
    markets = markets_of(trades("1000000000 M 10.00 1.5 buy"))
    requests = SlowRequests(
        markets, Views("viabtc", 10**6), Retention(60, 60, 24), clock, buckets_max=100, cache_timeout_us=0
    )
    loop = new_event_loop()
    settings = ServerSettings(bind=bind, max_pkg_size=20_000)
    server = MarketServer(loop, settings, requests, ReplyFormat("viabtc", False), clock)

    def tick() -> None:
        each_ms()
        loop.call_later(0.001, tick)

    def run() -> None:
        server.start()
        tick()
        loop.call_soon(started.set)
        loop.run_forever()
        server.stop()
        loop.close()

    started = threading.Event()
    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(5)
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)


def address(server: MarketServer, kind: str = "tcp") -> Address:
    return next(bound for bound in server.bound if bound.kind == kind)


def request(command: int, number: int, body: bytes = b'["M"]') -> bytes:
    return encode_packet(command, KIND_REQUEST, number, number, body)


def result(packet: Packet) -> Any:
    return json.loads(packet.body)["result"]


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_an_answer(kind: str) -> None:
    with serving() as server, BlockingClient(address(server, kind)) as client:
        assert client.call(LAST, ["M"]) == {"error": None, "result": "10.00", "id": 1}
        assert client.call(LAST, ["NOPE"])["error"]["code"] == 1


def test_answers_of_a_session_keep_their_order() -> None:
    with serving() as server, BlockingClient(address(server)) as client:
        client.send(b"".join(request(SLOW if n % 5 == 0 else LAST, n) for n in range(50)))
        assert [client.receive().sequence for _ in range(50)] == list(range(50))


def test_a_packet_in_pieces() -> None:
    with serving() as server, BlockingClient(address(server)) as client:
        for byte in request(LAST, 7):
            client.send(bytes([byte]))
        assert client.receive().request_id == 7


def test_others_are_served_between_large_questions() -> None:
    """One session asks 50 questions of 20 ms at once; small ones of others do not wait for all of them."""
    with (
        serving() as server,
        BlockingClient(address(server)) as busy,
        BlockingClient(address(server)) as other,
    ):
        busy.send(b"".join(request(SLOW, n) for n in range(50)))
        assert result(busy.receive()) == "slow"
        for _ in range(5):
            other.call(LAST, ["M"])
        with BlockingClient(address(server, "udp")) as datagrams:
            datagrams.call(LAST, ["M"])
        assert server.answered < 40
        assert [busy.receive().sequence for _ in range(49)] == list(range(1, 50))


def test_the_loop_goes_on_between_large_questions() -> None:
    ticks: list[float] = []
    with serving(lambda: ticks.append(time.monotonic())) as server, BlockingClient(address(server)) as busy:
        busy.send(b"".join(request(SLOW, n) for n in range(30)))
        busy.receive()
        before = len(ticks)
        for _ in range(29):
            busy.receive()
        assert len(ticks) - before > 20, "deals are taken in between any two answers"


def test_an_unknown_command_gets_no_answer_and_costs_nothing() -> None:
    with serving() as server, BlockingClient(address(server)) as client:
        client.send(request(999, 1) + request(101, 2) + request(LAST, 3))
        assert client.receive().sequence == 3


def test_a_malformed_body_costs_the_connection_after_the_answers_before_it() -> None:
    with serving() as server, BlockingClient(address(server)) as client:
        client.send(request(LAST, 1) + request(LAST, 2, b"{}") + request(LAST, 3))
        assert client.receive().sequence == 1
        with pytest.raises(ConnectionError):
            client.receive()
        with BlockingClient(address(server)) as again:
            assert again.call(LAST, ["M"])["result"] == "10.00"


def test_a_broken_packet_costs_the_connection_after_the_answers_before_it() -> None:
    with serving() as server, BlockingClient(address(server)) as client:
        client.send(request(SLOW, 1) + request(LAST, 2) + b"nonsense" * 10)
        assert [client.receive().sequence for _ in range(2)] == [1, 2]
        with pytest.raises(ConnectionError):
            client.receive()


def test_a_malformed_datagram_is_dropped() -> None:
    with serving() as server, BlockingClient(address(server, "udp")) as client:
        client.send(request(LAST, 1, b"{}"))
        client.send(b"nonsense")
        client.send(request(LAST, 3))
        assert client.receive().sequence == 3


def test_who_left_is_forgotten() -> None:
    with serving() as server:
        for _ in range(5):
            with BlockingClient(address(server)) as client:
                client.send(b"".join(request(SLOW, n) for n in range(20)))
        with BlockingClient(address(server)) as client:
            assert client.call(LAST, ["M"])["result"] == "10.00"


def test_heartbeats_are_answered() -> None:
    with serving() as server, BlockingClient(address(server)) as client:
        client.send(encode_packet(0, KIND_REQUEST, 5, 9, b"") + request(LAST, 6))
        assert {client.receive().sequence for _ in range(2)} == {5, 6}


def test_a_unix_socket_of_messages(tmp_path: Any) -> None:
    path = tmp_path / "s"
    with (
        serving(bind=(f"seqpacket@{path}",)) as server,
        BlockingClient(address(server, "seqpacket")) as client,
    ):
        client.send(request(LAST, 1))
        client.send(request(LAST, 2))
        assert [client.receive().sequence for _ in range(2)] == [1, 2]
