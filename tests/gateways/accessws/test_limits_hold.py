"""Hostile clients of the real gateway: oversized, fragmented, fast, slow, many, from foreign pages."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode

from tests.gateways.accesshttp.running import REPLY_TIMEOUT_S
from tests.gateways.accessws.running import RawClient, WsGateway, toml_websocket
from tests.support.processes import wait_until

PING = b'{"id":1,"method":"server.ping","params":[]}'

SECTIONS = """
[websocket]
message_size_bytes_max = 20_000
message_timeout_s = 0.5
messages_per_s = 200
messages_burst = 1100
connections_per_address_max = 20
[push]
subscriptions_max = 1000
"""
LISTENERS = """bind = ["tcp@127.0.0.1:0"]
[[listener]]
bind = ["tcp@127.0.0.1:0"]
origins = ["https://shop.example", "example.com"]
[[listener]]
bind = ["tcp@127.0.0.1:0"]
allow_cidrs = ["10.0.0.0/8"]
[[listener]]
bind = ["tcp@127.0.0.1:0"]
trusted_proxies = ["127.0.0.0/8"]
"""
ANY, PAGES, FAR_AWAY, PROXIED = range(4)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WsGateway]:
    directory = tmp_path_factory.mktemp("limits")
    with WsGateway(directory, toml_websocket(listener=LISTENERS, sections=SECTIONS)) as running:
        yield running


def close_code(received: bytes) -> int:
    """Of the close frame at the end."""
    at = received.rindex(b"\x88")
    return int(struct.unpack("!H", received[at + 2 : at + 4])[0])


def test_oversized_messages(gateway: WsGateway) -> None:
    with RawClient(gateway.addresses[ANY]) as client:
        client.send_frame(Opcode.TEXT, PING + b" " * 20_000)
        assert close_code(client.read()) == 1009
    with RawClient(gateway.addresses[ANY]) as client:
        client.socket.sendall(b"\x81\xff" + struct.pack("!Q", 1 << 62) + b"mask")  # refused from its header
        assert close_code(client.read()) == 1009
    with RawClient(gateway.addresses[ANY]) as client:
        client.send_frame(Opcode.TEXT, b" " * 12_000, fin=False)
        client.send_frame(Opcode.CONT, b" " * 12_000)
        assert close_code(client.read()) == 1009


def test_fragments_are_joined_and_endless_ones_end(gateway: WsGateway) -> None:
    with RawClient(gateway.addresses[ANY]) as client:
        for at in range(len(PING) - 1):
            client.send_frame(Opcode.CONT if at else Opcode.TEXT, PING[at : at + 1], fin=False)
        client.send_frame(Opcode.CONT, PING[-1:])
        client.send_frame(Opcode.CLOSE, struct.pack("!H", 1000))
        assert b'"pong"' in client.read()
    with RawClient(gateway.addresses[ANY]) as client:
        client.send_frame(Opcode.TEXT, b"{", fin=False)
        assert close_code(client.read()) == 1008  # it never ends
    with RawClient(gateway.addresses[ANY]) as client:
        empty = b"\x00\x80mask"  # continuations of no bytes
        client.socket.sendall(b"\x01\x80mask" + empty * 3000)
        assert close_code(client.read()) == 1008


def test_a_flood_of_requests_ends(gateway: WsGateway) -> None:
    with RawClient(gateway.addresses[ANY]) as client:
        for _ in range(1300):
            client.send_frame(Opcode.TEXT, PING)
        received = client.read()
        assert close_code(received) == 1008 and 1100 <= received.count(b'"pong"') < 1300


def test_a_thousand_subscriptions_and_not_one_more(gateway: WsGateway) -> None:
    names = [f"M{number}" for number in range(1000)]
    with gateway.client() as client:
        assert client.code("price.subscribe", *names) == 0
        assert client.code("price.subscribe", *names) == 0  # in the place of those before
        error = client.call("deals.subscribe", "M1")["error"]
        assert (error["code"], error["data"]["reason"]) == (1, "too_many_subscriptions")
        assert client.code("price.subscribe", *names[1:]) == 0
        assert client.code("deals.subscribe", "M1") == 0
    series = 'accessws_subscriptions{kind="price",worker="0"}'
    wait_until(lambda: gateway.metrics()[series] == 0, "all to be removed")


def test_one_address_has_so_many_connections(gateway: WsGateway) -> None:
    clients = [gateway.client() for _ in range(20)]
    try:
        with gateway.client() as one_more:
            assert one_more.close_code() == 1008
        assert [client.code("server.ping") for client in clients] == [0] * 20
        # Behind a proxy that is trusted each client has its own count.
        headers = {"X-Forwarded-For": "9.9.9.9, 203.0.113.7"}
        with gateway.client(PROXIED, additional_headers=headers) as behind:
            assert behind.code("server.ping") == 0
        with gateway.client(ANY, additional_headers=headers) as lying:
            assert lying.close_code() == 1008
    finally:
        for client in clients:
            client.__exit__(None, None, None)

    wait_until(lambda: is_served(gateway), "the connections to be counted out")


def is_served(gateway: WsGateway) -> bool:
    with gateway.client() as client:
        try:
            return client.code("server.ping") == 0
        except ConnectionClosed:
            return False


ORIGINS = [
    ("https://shop.example", True),
    ("https://example.com", True),
    ("http://a.example.com:8080", True),
    ("https://evil-example.com", False),
    ("https://example.com.evil.org", False),
    ("https://shop.example.evil.org", False),
    ("http://shop.example", False),
    ("null", False),
    (None, False),
]


@pytest.mark.parametrize(("origin", "may"), ORIGINS)
def test_pages_of_foreign_origins(gateway: WsGateway, origin: str | None, may: bool) -> None:
    if may:
        with gateway.client(PAGES, origin=origin) as client:
            assert client.code("server.ping") == 0
        return
    with pytest.raises(InvalidStatus) as caught:
        gateway.client(PAGES, origin=origin)
    assert caught.value.response.status_code == 403


def test_networks(gateway: WsGateway) -> None:
    """The answer comes at once and the connection ends: the request of a foreign address is not even read."""
    address = gateway.addresses[FAR_AWAY]
    with (
        socket.create_connection(address.sockaddr(), REPLY_TIMEOUT_S) as refused,
        refused.makefile("rb") as answer,
    ):
        head, _, body = answer.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 ")
    assert json.loads(body)["error"]["code"] == 6


def test_memory_stays_where_it_is(gateway: WsGateway) -> None:
    """Frames that announce much and never come hold nothing."""
    pid = gateway.pid_of("worker_0")
    before = resident_bytes(pid)
    clients = [RawClient(gateway.addresses[ANY]) for _ in range(15)]
    for client in clients:
        client.socket.sendall(b"\x81\xfe" + struct.pack("!H", 19_999) + b"mask" + os.urandom(10_000))
    time.sleep(0.2)
    assert resident_bytes(pid) - before < 4 << 20
    for client in clients:
        assert close_code(client.read()) == 1008


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
