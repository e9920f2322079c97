"""The monitor port over real sockets: health in its three states, the numbers, and bare port checks."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.vxutils.http.driving import Client, Served, get
from vxnet.address import parse_address
from vxnet.errors import AddressInUseError
from vxnet.loop import new_event_loop
from vxutils.metrics import Metrics
from vxutils.monitor import Health, Monitor


class Watched:
    """A monitor whose health the test decides."""

    def __init__(self) -> None:
        self.served = Served()
        self.health = Health("ok", {"backends": {"matchengine": True}, "journal_position": 7})
        self.requests = 3
        metrics = Metrics()
        metrics.counter("vx_requests", "Requests.", (), lambda: self.requests)
        address = parse_address("tcp@127.0.0.1:0")
        self.monitor = Monitor(self.served.loop, address, lambda: self.health, metrics)
        self.monitor.start()

    def client(self) -> Client:
        bound = self.monitor.bound
        return Client(self.served, socket.create_connection((bound.host, bound.port)))

    def ask(self, data: bytes) -> tuple[int, bytes]:
        client = self.client()
        client.send(data)
        answer = client.answers(1)[0]
        client.close()
        return answer


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    yield watched
    watched.monitor.stop()
    watched.served.stop()


@pytest.mark.parametrize(("status", "code"), [("ok", 200), ("degraded", 200), ("down", 503)])
def test_health_says_its_facts(watched: Watched, status: str, code: int) -> None:
    watched.health = Health(status, watched.health.facts)  # type: ignore[arg-type]
    found, body = watched.ask(get("/health"))
    assert found == code
    assert json.loads(body) == {
        "status": status,
        "facts": {"backends": {"matchengine": True}, "journal_position": 7},
    }


def test_metrics_are_read_when_asked(watched: Watched) -> None:
    assert b"vx_requests_total 3.0" in watched.ask(get("/metrics?x=1"))[1]
    watched.requests = 4
    status, body = watched.ask(get("/metrics"))
    assert status == 200
    assert b"vx_requests_total 4.0" in body


@pytest.mark.parametrize(
    "data",
    [
        get("/"),
        get("/healthy"),
        get("/health/"),
        get("/metrics/../health"),
        b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_anything_else_is_not_here(watched: Watched, data: bytes) -> None:
    assert watched.ask(data)[0] == 404


def test_head_has_the_length_only(watched: Watched) -> None:
    client = watched.client()
    client.send(b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n" + get("/nowhere"))
    client.until(lambda: b"404" in client.received)
    head = client.received.partition(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.1 200 OK") and b"Content-Type: application/json" in head
    assert client.received.count(b"degraded") == client.received.count(b'"ok"') == 0


def test_a_port_check_without_input_is_left_alone(watched: Watched) -> None:
    silent = watched.client()
    assert silent.is_open()
    silent.close()
    assert watched.ask(get("/health"))[0] == 200


@pytest.mark.parametrize("data", [b"PING\r\n", b"\x00" * 100, b"\r\n", b"GET /health", b"{}\n"])
def test_a_port_check_with_any_input_harms_nobody(watched: Watched, data: bytes) -> None:
    client = watched.client()
    client.send(data)
    watched.served.turn()
    client.close()
    assert watched.ask(get("/health"))[0] == 200


def test_a_taken_port_is_told(watched: Watched) -> None:
    loop = new_event_loop()
    second = Monitor(loop, watched.monitor.bound, lambda: Health("ok"), Metrics())
    with pytest.raises(AddressInUseError):
        second.start()
    loop.close()
