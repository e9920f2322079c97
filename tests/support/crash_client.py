"""A client that never pauses: several connections, each with many requests on the way, until the worker dies.

    client = CrashClient(seed=7)
    client.run(address, for_s=1.3, then=engine.kill_worker)      # sends, kills, reads what still arrives
    client.acknowledged                                          # every request with its reply
    client.in_flight                                             # may have happened or not

No two requests are alike: updates differ in their business id, orders in their source, cancels in their order
id. So what the journal holds can be compared with what was answered (`journal_truth`). Each connection trades
for a user of its own. It checks nothing.
"""

from __future__ import annotations

import random
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from vxnet.address import Address
from vxutils.rpc.packet import KIND_REQUEST, encode_packet, split_packets

FIRST_USER = 10
STOCK, MONEY, MARKET = "BTC", "BCH", "BTCBCH"
REPLY_BYTES_MAX = 1 << 20
RESTING_MAX = 200  # orders of one connection that are remembered to be cancelled
END_TIMEOUT_S = 10.0

UPDATE, PUT_LIMIT, PUT_MARKET, CANCEL = 102, 201, 202, 204


class Request(msgspec.Struct, frozen=True):
    """A request as it was sent: command and the bytes of its parameters."""

    command: int
    body: bytes

    @property
    def params(self) -> list[Any]:
        decoded: list[Any] = msgspec.json.decode(self.body)
        return decoded


class CrashClient:
    """Sends for `connections` users, `window` requests ahead of the replies on each connection."""

    def __init__(self, seed: int, connections: int = 4, window: int = 24) -> None:
        self.acknowledged: list[tuple[Request, dict[str, Any]]] = []
        self.in_flight: list[Request] = []
        self.users = [FIRST_USER + number for number in range(connections)]
        self._random = random.Random(seed)
        self._window = window
        self._number = 0
        self._resting: dict[int, deque[int]] = {user: deque(maxlen=RESTING_MAX) for user in self.users}

    def run(self, address: Address, for_s: float, then: Callable[[], object], goes_on: bool = False) -> None:
        """Sends without pause for `for_s` seconds, calls `then`, and reads until every connection ends.

        With `goes_on` it also sends until then: for what strikes only when there is work.
        """
        lines = [_Line(address, user) for user in self.users]
        until = time.monotonic() + for_s
        try:
            for line in lines:
                line.send([self._deposit(line.user, asset) for asset in (STOCK, MONEY)])
            while time.monotonic() < until:
                for line in self._readable(lines):
                    assert line.is_open, f"the connection of user {line.user} was closed"
                    self._take(line)
                    self._fill(line)
            then()
            deadline = time.monotonic() + END_TIMEOUT_S
            while open_lines := [line for line in lines if line.is_open]:
                assert time.monotonic() < deadline, "a connection outlives its worker"
                for line in self._readable(open_lines):
                    self._take(line)
                for line in open_lines if goes_on else ():
                    self._fill(line)
        finally:
            for line in lines:
                self.in_flight += line.waiting
                line.close()

    def _fill(self, line: _Line) -> None:
        room = self._window - len(line.waiting)
        if room > 0 and line.is_open:
            line.send([self._next(line.user) for _ in range(room)])

    def _readable(self, lines: list[_Line]) -> list[_Line]:
        ready, _, _ = select.select(lines, [], [], 0.05)
        for line in ready:
            line.receive()
        return ready

    def _take(self, line: _Line) -> None:
        for request, reply in line.take():
            self.acknowledged.append((request, reply))
            result = reply["result"]
            if request.command == PUT_LIMIT and result is not None and float(result["left"]):
                self._resting[line.user].append(result["id"])

    # -- what is sent --------------------------------------------------------------------------

    def _next(self, user: int) -> Request:
        draw = self._random.random()
        resting = self._resting[user]
        if draw < 0.2:
            return self._deposit(user, self._random.choice((STOCK, MONEY)))
        if draw < 0.5 and resting:
            position = self._random.randrange(len(resting))
            order_id = resting[position]
            del resting[position]
            return _request(CANCEL, [user, MARKET, order_id])
        side = self._random.choice((1, 2))
        amount = f"{self._random.randint(10, 5000) / 10_000:.4f}"
        source = f"s{self._count()}"
        if draw < 0.57:
            return _request(PUT_MARKET, [user, MARKET, side, amount, "0.002", source])
        price = f"{8 + self._random.randint(-30, 50) * (0.01 if side == 1 else -0.01):.2f}"
        return _request(PUT_LIMIT, [user, MARKET, side, amount, price, "0.002", "0.001", source])

    def _deposit(self, user: int, asset: str) -> Request:
        amount = f"{self._random.randint(1, 10**10) / 10**8:.8f}"
        number = self._count()
        return _request(UPDATE, [user, asset, "deposit", number, amount, {"note": number}])

    def _count(self) -> int:
        self._number += 1
        return self._number


class _Line:
    """One connection: requests out, replies matched by their order."""

    def __init__(self, address: Address, user: int) -> None:
        self.user = user
        self.waiting: deque[Request] = deque()
        self.is_open = True
        self._received = b""
        self._sequence = 0
        self._expected = 0
        self._socket = socket.create_connection((address.host, address.port), timeout=5.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, requests: list[Request]) -> None:
        packets = []
        for request in requests:
            self._sequence += 1
            packets.append(
                encode_packet(request.command, KIND_REQUEST, self._sequence, self._sequence, request.body)
            )
        self.waiting += requests
        try:
            self._socket.sendall(b"".join(packets))
        except ConnectionError:
            self.is_open = False

    def receive(self) -> None:
        try:
            data = self._socket.recv(1 << 18)
        except ConnectionError:
            data = b""
        self._received += data
        self.is_open = self.is_open and bool(data)

    def take(self) -> list[tuple[Request, dict[str, Any]]]:
        packets, consumed = split_packets(self._received, REPLY_BYTES_MAX)
        self._received = self._received[consumed:]
        pairs = []
        for packet in packets:
            self._expected += 1
            assert packet.sequence == self._expected, "replies come in the order of the requests"
            pairs.append((self.waiting.popleft(), msgspec.json.decode(packet.body)))
        return pairs

    def close(self) -> None:
        self.is_open = False
        self._socket.close()


def ask_all(address: Address, requests: list[Request], batch: int = 200) -> list[dict[str, Any]]:
    """Sends the requests over one connection, `batch` at a time; the replies in their order."""
    line = _Line(address, 0)
    replies: list[dict[str, Any]] = []
    try:
        for start in range(0, len(requests), batch):
            line.send(requests[start : start + batch])
            while line.waiting:
                line.receive()
                assert line.is_open, "the connection was closed"
                replies += [reply for _, reply in line.take()]
    finally:
        line.close()
    return replies


def _request(command: int, params: list[Any]) -> Request:
    return Request(command, msgspec.json.encode(params))
