"""Hostile websocket clients of a whole exchange: what is not theirs stays hidden, and nobody notices them.

Limits and origins of the gateway alone are tested in tests/gateways/accessws, framing in tests/rfc6455.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.frames import Opcode

from gateways.accessws.methods import METHODS
from tests.gateways.accessws.running import RawClient, WsClient, vx_token
from tests.gateways.accessws.test_limits_hold import close_code, resident_bytes
from tests.gateways.cli.running import DEADLINE_S, VxUp, free_port_offset
from tests.processes.test_whole_backend import BUYER, SELLER, trade
from tests.support.processes import wait_until
from tests.vxutils.ws.driving import upgrade
from vxnet.address import Address
from vxutils.client import Client
from vxutils.rpc.blocking import BlockingClient

MARKET = "BTCUSDT"
HOUR_S = 3_600
SETTINGS = """
[websocket]
messages_per_s = 0
write_mem = 8192
handshake_timeout_s = 2
message_timeout_s = 2
[push]
client_queue_size_bytes_max = 65_536
[[listener]]
bind = ["tcp@127.0.0.1:8090"]
"""
PUSHED_BYTES = 12 << 20
"""More than a kernel holds for a reader who does not read."""


class Exchange:
    """A running `vx up` with a token for each user."""

    def __init__(self, up: VxUp) -> None:
        self.up = up
        self.address: Address = up.address("accessws listener ready: ")
        self.tokens = {user: self.token(user) for user in (SELLER, BUYER)}
        self.trades = 0

    def token(self, user: int, *words: str) -> str:
        return vx_token("add", str(user), "--data-dir", str(self.up.data_directory), *words)

    def client(self, token: str = "") -> WsClient:
        """A connection; with a token it is logged in."""
        client = WsClient(self.address)
        if token:
            deadline = time.monotonic() + DEADLINE_S
            while client.code("server.auth", token, "test"):
                assert time.monotonic() < deadline, "the token is never known"
                time.sleep(0.2)
        return client

    def trade(self) -> None:
        """One deal between the two users."""
        with Client(self.up.url) as client:
            trade(client, self.trades)
        self.trades += 1


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    directory = tmp_path_factory.mktemp("secured")
    (directory / "accessws.toml").write_text(SETTINGS)
    words = ("--port-offset", free_port_offset(), "--accessws-config", "accessws.toml")
    with VxUp(directory, *words) as up:
        up.wait_for_line("Ctrl-C stops everything")
        running = Exchange(up)
        worker = up.roles()["accessws worker"]
        running.trade()
        yield running
        assert up.roles()["accessws worker"] == worker, "somebody has brought it down"
        log = (up.data_directory / "log" / "accessws.log").read_text()
        assert "Traceback" not in log and "[fatal]" not in log, log
        assert up.stop() == 0


PRIVATE: list[tuple[str, list[Any]]] = [
    ("order.query", [MARKET, 0, 10]),
    ("order.history", [MARKET, 0, 0, 0, 10, 0]),
    ("order.subscribe", [MARKET]),
    ("order.unsubscribe", []),
    ("asset.query", []),
    ("asset.history", ["BTC", "", 0, 0, 0, 10]),
    ("asset.subscribe", ["BTC"]),
    ("asset.unsubscribe", []),
]


def test_nobody_is_told_anything_private(exchange: Exchange) -> None:
    assert {name for name, _ in PRIVATE} == {name for name in METHODS if name[:5] in ("order", "asset")}
    with exchange.client() as client:
        codes = {name: client.code(name, *params) for name, params in PRIVATE}
        assert codes == {name: 6 for name, _ in PRIVATE}
        assert client.code("server.auth", exchange.tokens[SELLER][:-1] + "x", "test") == 11
        assert {client.code(name, *params) for name, params in PRIVATE} == {6}
    with exchange.client(exchange.tokens[SELLER]) as client:
        assert {client.code(name, *params) for name, params in PRIVATE} == {0}


def test_each_sees_his_own_and_nothing_else(exchange: Exchange) -> None:
    with exchange.client(exchange.tokens[SELLER]) as seller, exchange.client(exchange.tokens[BUYER]) as buyer:
        users = {SELLER: seller, BUYER: buyer}
        for client in users.values():
            assert client.code("order.subscribe", MARKET) == client.code("asset.subscribe", "BTC") == 0
        with exchange.client() as nobody:
            assert nobody.code("order.subscribe", MARKET) == 6
            exchange.trade()
            for user, client in users.items():
                events = [client.push("order.update")["params"] for _ in range(2 if user == SELLER else 1)]
                assert {order["user"] for _, order in events} == {user}
                (side,) = {order["side"] for _, order in events}
                assert (side == 1) is (user == SELLER)
                balance = client.push("asset.update")["params"][0]["BTC"]
                own = client.call("asset.query", "BTC")["result"]["BTC"]
                assert balance["available"] == own["available"]
                history = client.call("order.history", MARKET, 0, 0, 0, 100, 0)["result"]["records"]
                assert {order["user"] for order in history} <= {user}
            assert nobody.code("server.ping") == 0 and not nobody.pushes
        # Another login takes the place of the former; what the former had subscribed to goes with it.
        assert seller.code("server.auth", exchange.tokens[BUYER], "test") == 0
        exchange.trade()
        assert buyer.push("order.update")["params"][1]["user"] == BUYER
        assert seller.code("server.ping") == 0
        assert all(push["params"][1]["user"] == SELLER for push in orders(seller))
        assert seller.code("order.subscribe", MARKET) == 0
        exchange.trade()
        assert seller.push("order.update")["params"][1]["user"] == BUYER


def orders(client: WsClient) -> list[Any]:
    return [push for push in client.pushes if push["method"] == "order.update"]


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_login_that_ends_ends_its_connections(exchange: Exchange, how: str) -> None:
    token = exchange.token(SELLER, *(("--expires", "3s") if how == "expired" else ()))
    with exchange.client(token) as client, exchange.client(exchange.tokens[SELLER]) as other:
        for one in (client, other):
            assert one.code("order.subscribe", MARKET) == 0
        if how == "revoked":
            data = str(exchange.up.data_directory)
            vx_token("revoke", token.split("_")[1], "--data-dir", data)
        assert client.close_code() == 1008
        exchange.trade()
        assert other.push("order.update")["params"][1]["user"] == SELLER
        assert not orders(client)
        with exchange.client() as again:
            assert again.code("server.auth", token, "test") == 11


def test_a_reader_that_stands_still_is_disconnected_and_others_are_served(exchange: Exchange) -> None:
    """Deals wait in order, so somebody who does not read them is told 1013."""
    slow, quick = RawClient(exchange.address), exchange.client()
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    request = json.dumps({"id": 1, "method": "deals.query", "params": [MARKET, 100, 0]}).encode()
    with slow, quick:
        assert quick.code("deals.subscribe", MARKET) == 0
        make_deals(exchange, 100)
        asked = 0
        while not is_disconnected(exchange):
            for _ in range(100):  # each is answered with some ten thousand bytes, which nobody fetches
                slow.send_frame(Opcode.TEXT, request)
            asked += 100
            assert asked * 100 < PUSHED_BYTES, "it is never too much"
            make_deals(exchange, 1)
            wait_until(lambda: newest_deal(quick) == exchange.trades, "the newest deal", DEADLINE_S)
        make_deals(exchange, 1)
        wait_until(lambda: newest_deal(quick) == exchange.trades, "the newest deal", DEADLINE_S)
        received = slow.read()
        assert b'"result"' in received and close_code(received) == 1013


def make_deals(exchange: Exchange, count: int) -> None:
    """As `Exchange.trade`, but many of them at once."""
    with BlockingClient(exchange.up.address()) as client:
        for _ in range(count):
            for user, side in ((SELLER, 1), (BUYER, 2)):
                order = [user, MARKET, side, "0.001", "50000", "0", "0", "test"]
                assert client.call(201, order)["error"] is None
            exchange.trades += 1


def newest_deal(client: WsClient) -> int:
    """The number of deals that the client has been told of."""
    client.code("server.ping")
    return max(
        (push["params"][1][0]["id"] for push in client.pushes if push["method"] == "deals.update"), default=0
    )


def is_disconnected(exchange: Exchange) -> bool:
    """Whether the gateway has let go of somebody who was too slow."""
    monitor = (
        exchange.up.stdout.rpartition("accessws listener ready: ")[2].split("monitor tcp@")[1].split()[0]
    )
    with socket.create_connection(monitor_address(monitor), DEADLINE_S) as sock:
        sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = b"".join(iter(lambda: sock.recv(1 << 16), b"")).decode()
    lines = [line for line in text.splitlines() if line.startswith("accessws_clients_too_slow_total")]
    return sum(float(line.rpartition(" ")[2]) for line in lines) > 0


def monitor_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def test_half_handshakes_and_endless_messages_starve_nobody(exchange: Exchange) -> None:
    pid = exchange.up.roles()["accessws worker"]
    before = resident_bytes(pid)
    with ExitStack() as stack, exchange.client() as honest:
        assert honest.code("deals.subscribe", MARKET) == 0
        handshakes, messages = [], []
        for _ in range(150):
            sock = stack.enter_context(
                socket.create_connection((exchange.address.host, exchange.address.port))
            )
            sock.settimeout(DEADLINE_S)
            sock.sendall(upgrade()[:-2])
            handshakes.append(sock)
            raw = stack.enter_context(RawClient(exchange.address))
            raw.send_frame(Opcode.TEXT, b'{"id":1,' + b" " * 20_000, fin=False)
            messages.append(raw)
        exchange.trade()
        wait_until(lambda: newest_deal(honest) == exchange.trades, "the newest deal", DEADLINE_S)
        assert resident_bytes(pid) - before < 32 << 20
        assert {close_code(raw.read()) for raw in messages} == {1008}
        assert {sock.recv(4096).split(b" ")[1] for sock in handshakes} == {b"408"}
        assert honest.code("server.ping") == 0


NESTED = "[" * 30_000
NASTY: list[str] = [
    NESTED,
    NESTED + "]" * 30_000,
    '[{"a":' * 10_000 + "1" + "}]" * 10_000,
    "[" + "9" * 50_000 + "]",
    "[-" + "9" * 50_000 + ',"x"]',
    "[1e400]",
    "[NaN]",
    "[-Infinity,null]",
    '["\\ud800"]',
    '["\\u0000"]',
    '["' + "a" * 90_000 + '"]',
    "[[],[[]],{}]",
    "[{},{},{},{},{},{}]",
    "[null,null,null,null,null,null]",
    "[true,false,true,false,true,false]",
    '["BTCUSDT","BTCUSDT\\nBTCUSDT",""]',
    '["BTCUSDT",5,{"0":0}]',
    '["BTCUSDT",-9223372036854775808,9223372036854775807,"0"]',
    '["BTCUSDT",9223372036854775807,9223372036854775807,9223372036854775807]',
    '["BTCUSDT",5,"1e999999999"]',
    '["BTCUSDT",5,"0x1"]',
    "{}",
    "1",
]


def test_nasty_parameters_break_nothing(exchange: Exchange) -> None:
    """Of each method, logged in and not: one answer to each, and the connection goes on."""
    for token in ("", exchange.tokens[SELLER]):
        with exchange.client(token) as client:
            for method in sorted(METHODS):
                for params in NASTY:
                    client.send(f'{{"id":77,"method":"{method}","params":{params}}}')
                for params in NASTY:
                    answer = next_answer(client)
                    assert answer["id"] in (77, None), (method, params[:50])
                    assert (answer["error"] is None) is not (answer["result"] is None), (method, params[:50])
            assert client.code("server.ping") == 0


def next_answer(client: WsClient) -> Any:
    """The next message that is no push."""
    while True:
        message = json.loads(client.receive())
        if "method" not in message:
            return message
