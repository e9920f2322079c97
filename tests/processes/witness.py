"""A well-behaved client beside hostile ones, and the doors that hostile ones come through.

`Witness` works from a thread of its own as long as it is open: deposits and queries, one at a time. It fails
if one of them is refused, answered wrongly or not in time, or if the balance is not the sum in the end.
"""

from __future__ import annotations

import itertools
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from tests.support.processes import EngineProcess, wait_until
from vxnet.address import Address
from vxutils.rpc.blocking import BlockingClient
from vxutils.rpc.packet import KIND_REQUEST, Packet, encode_packet, split_packets

BALANCE_QUERY, BALANCE_UPDATE, ASSET_LIST, ASSET_SUMMARY = 101, 102, 104, 105
ASSET = "BTC"
TIMEOUT_S = 10.0
REPLY_SIZE_MAX = 1 << 26
PAUSE_S = 0.001  # between two requests, so that it is a client and not a load

_users = itertools.count(1_000)


class Witness:
    """Served all the time, or the test fails when the block ends."""

    def __init__(self, engine: EngineProcess, kind: str = "tcp") -> None:
        self.user = next(_users)
        self.deposits = 0
        self._engine = engine
        self._client = engine.client(kind, TIMEOUT_S)
        self._ends = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="witness", daemon=True)

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ends.set()
        self._thread.join(2 * TIMEOUT_S)
        self._client.close()
        if error is not None:
            error.add_note(self._engine.output)
            return
        if self._fault is not None:
            raise AssertionError(f"the well-behaved client: {self._fault!r}\n{self._engine.output}")
        assert not self._thread.is_alive(), "the well-behaved client hangs"
        with self._engine.client() as client:
            assert balance(client, self.user) == str(self.deposits), "acknowledged deposits are not there"

    def still_served(self, times: int = 5) -> None:
        """Wait until it was served `times` more: called while the hostile ones are still there."""
        wanted = self.deposits + times
        wait_until(lambda: self.deposits >= wanted or self._fault is not None, "the well-behaved client")

    def _work(self) -> None:
        try:
            while not self._ends.wait(PAUSE_S):
                deposit(self._client, self.user, self.deposits + 1)
                self.deposits += 1
                assert balance(self._client, self.user) == str(self.deposits)
        except BaseException as fault:  # told by the thread of the test
            self._fault = fault


def deposit(client: BlockingClient, user: int, business_id: int, change: str = "1") -> None:
    """One balance.update that must succeed."""
    reply = client.call(BALANCE_UPDATE, [user, ASSET, "deposit", business_id, change, {}])
    assert reply["error"] is None, reply


def balance(client: BlockingClient, user: int) -> str:
    """What the user has available."""
    reply = client.call(BALANCE_QUERY, [user, ASSET])
    return str(reply["result"][ASSET]["available"])


def asset_list_request(sequence: int = 1, body: bytes = b"[]") -> bytes:
    return encode_packet(ASSET_LIST, KIND_REQUEST, sequence, sequence, body)


@contextmanager
def connection(address: Address, receive_buffer: int = 0) -> Iterator[socket.socket]:
    """A raw connection; `receive_buffer` bytes (0: the system's choice) is what the kernel holds for it."""
    with socket.socket(address.family, address.socktype) as sock:
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(TIMEOUT_S)
        sock.connect(address.sockaddr())
        if address.kind == "tcp":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def packets_until_closed(sock: socket.socket) -> list[Packet]:
    """Everything the server still sends. Raises: TimeoutError if it does not close."""
    data = b""
    while True:
        try:
            more = sock.recv(1 << 18)
        except ConnectionResetError:  # it closed with bytes of ours unread
            more = b""
        if not more:
            packets, consumed = split_packets(data, REPLY_SIZE_MAX)
            assert consumed == len(data), f"half a packet at the end: {data[consumed:]!r}"
            return packets
        data += more


def exchange(sock: socket.socket, requests: bytes, replies: int) -> list[Packet]:
    """Send all of `requests` while reading, as a client that pipelines does, until `replies` came."""
    sock.setblocking(False)
    view, data = memoryview(requests), b""
    packets: list[Packet] = []
    deadline = time.monotonic() + 3 * TIMEOUT_S
    while len(packets) < replies:
        assert time.monotonic() < deadline, f"{len(packets)} of {replies} replies came"
        readable, writable, _ = select.select([sock], [sock] if view else [], [], 1.0)
        if writable:
            view = view[sock.send(view[: 1 << 16]) :]
        if readable:
            more = sock.recv(1 << 18)
            assert more, f"closed after {len(packets)} of {replies} replies"
            found, consumed = split_packets(data + more, REPLY_SIZE_MAX)
            packets += found
            data = (data + more)[consumed:]
    assert not data, "more than was asked for"
    sock.settimeout(TIMEOUT_S)
    return packets


def log_lines(engine: EngineProcess, *words: str) -> list[str]:
    """Lines of its log that hold all the words."""
    return [line for line in engine.stderr.splitlines() if all(word in line for word in words)]


def stops_in_order(engine: EngineProcess) -> None:
    """What every hostile day must end with: exit 0, and no fault of ours in the log."""
    assert engine.terminate() == 0, engine.output
    assert "Traceback" not in engine.stderr, engine.output
