"""Thousands of idle keep-alive connections, and hostile ones, beside a client that is served all the time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.gateways.accesshttp.running import Gateway, HttpClient, post, toml_gateway
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess, wait_until
from vxnet.address import Address

LIMITS = """
[process]
file_limit = 12000
[http]
head_timeout_s = 1.0
body_timeout_s = 1.0
connections_max = 11000
"""

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"

HOSTILE = {
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n[]abcd",
    "length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "endless header": POST + b"X: " + b"a" * 300_000,
    "endless headers": POST + b"X: y\r\n" * 50_000,
    "half a head": POST[:20],
    "half a body": POST + b"Content-Length: 100\r\n\r\n{",
    "huge length": POST + b"Content-Length: 99999999999999999999\r\n\r\n",
    "chunk overflow": POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "tls hello": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "zeros": bytes(10_000),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway before an engine, for all tests: the same one must serve on after each of them."""
    directory = tmp_path_factory.mktemp("gateway")
    with (
        EngineProcess(directory, toml_config()) as engine,
        Gateway(directory, toml_gateway(engine.address(), sections=LIMITS)) as running,
    ):
        yield running


def connected(address: Address) -> socket.socket:
    return socket.create_connection((address.host, address.port), timeout=10)


def served(client: HttpClient) -> None:
    assert client.call("asset.list", []).json["error"] is None


def refused(sock: socket.socket) -> bool:
    """Whether the server has closed, without ever having answered 200."""
    sock.settimeout(10)
    received = b""
    try:
        while chunk := sock.recv(65_536):
            received += chunk
    except ConnectionError:
        pass
    return b" 200 " not in received


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_requests_hurt_nobody_else(name: str, gateway: Gateway) -> None:
    with gateway.connect() as client, ExitStack() as stack:
        hostile = [stack.enter_context(connected(gateway.addresses[0])) for _ in range(20)]
        for sock in hostile:
            try:
                sock.sendall(HOSTILE[name])
            except ConnectionError:
                pass  # refused before it had said everything
            served(client)
        assert all(map(refused, hostile))
        served(client)


def hold(count: int, gateway: Gateway) -> None:
    with gateway.connect() as client, ExitStack() as stack:
        idle = []
        for number in range(count):
            idle.append(stack.enter_context(connected(gateway.addresses[0])))
            if number % 500 == 0:
                served(client)
        request = post("asset.list", [])
        for sock in idle:
            sock.sendall(request)
        for sock in idle:
            answer = sock.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 200 OK"), answer[:200]
        served(client)
        stack.close()
        wait_until(lambda: gateway.health()["facts"]["connections"] <= 2, "the closed connections to be gone")
        served(client)


def test_a_thousand_keep_alive_connections(gateway: Gateway) -> None:
    hold(1_000, gateway)


@pytest.mark.soak
def test_ten_thousand_keep_alive_connections(gateway: Gateway) -> None:
    hold(10_000, gateway)
