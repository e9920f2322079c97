"""Thousands of websocket clients in one process: one epoll, sockets, and nothing else for each of them.

    connect --upgrade and requests in one write--> 101 --> frames, cut by their lengths and counted
                                                            `--> of watched clients: payloads to `on_frame`

What many clients are sent alike is cut once: the shape of a piece of bytes is remembered by its text. Pings
are answered, as any client must. A client that the server closes counts as lost. The server listens on
127.0.0.1; clients come from several addresses of the loopback network, each of which has ports of its own.

As a command it holds idle connections for `bench.idle`: `python -m bench.light_client PORT COUNT SOURCE`
prints one JSON line when all are connected, one for each line it reads, and ends with its input. SOURCE is
the last number of the first address.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

READ_BYTES: Final = 1 << 18
CONNECTING_MAX: Final = 256
"""Handshakes under way at once, below what the listener's backlog takes."""
CLIENTS_PER_SOURCE: Final = 15_000
"""Of one loopback address; the system has some 28,000 ports for each."""
SHAPES_KEPT: Final = 4_096
CONNECT_TIMEOUT_S: Final = 300.0

TEXT, PING = 1, 9
_MASK: Final = b"\x00\x00\x00\x00"  # a mask of zeros: the payload stays as it is (RFC 6455 5.3)
_PONG: Final = b"\x8a\x80" + _MASK
_UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_MEDIUM = struct.Struct("!H")
_LONG = struct.Struct("!Q")

OnFrame = Callable[[int, float, bytes], None]
"""Number of the client, time it was read, payload."""


class LightClientError(Exception):
    """The server did not behave; the text says how."""


class Shape(msgspec.Struct, frozen=True):
    """A piece of bytes cut into frames: (opcode, begin, end) of each payload, and the bytes they took."""

    frames: tuple[tuple[int, int, int], ...]
    pings: int
    used: int


class LightClients:
    """`close` ends all. Counts are since `reset`: whole frames, bytes, reads, clients that were closed."""

    def __init__(self, port: int, on_frame: OnFrame | None = None, *, first_source: int = 2) -> None:
        self.frames = self.bytes = self.reads = self.lost = 0
        self.joined = 0
        """Clients whose handshake is done, since the beginning."""
        self._port = port
        self._on_frame = on_frame
        self._first_source = first_source
        self._sockets: list[socket.socket] = []
        self._watched: set[int] = set()
        self._by_descriptor: dict[int, int] = {}
        self._rest: dict[int, bytes] = {}
        self._head: dict[int, bytes] = {}
        self._shapes: dict[bytes, Shape] = {}
        self._poll = select.epoll()

    def __len__(self) -> int:
        return len(self._sockets)

    def connect(self, requests: Sequence[bytes] = (), *, count: int = 1, watch: bool = False) -> None:
        """So many more clients, each with these requests. Returns when their handshakes are done.

        `watch`: `on_frame` is told what they are sent. Raises: LightClientError, OSError.
        """
        greeting = _UPGRADE + b"".join(requests)
        wanted = len(self._sockets) + count
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while len(self._sockets) < wanted or self._head:
            while len(self._sockets) < wanted and len(self._head) < CONNECTING_MAX:
                self._begin(greeting, watch=watch)
            self.serve(0.05)
            if self.lost or time.monotonic() > deadline:
                raise LightClientError(
                    f"{self.joined} of {wanted} clients connected, {self.lost} were closed"
                )

    def send(self, client: int, request: bytes) -> None:
        """One more request of a client. Raises: OSError."""
        self._sockets[client].sendall(request)

    def serve(self, seconds: float) -> None:
        """Read what comes for so long, or for one round of the poll if that takes longer."""
        end = time.monotonic() + seconds
        poll, by_descriptor, sockets = self._poll.poll, self._by_descriptor, self._sockets
        while True:
            left = end - time.monotonic()
            for descriptor, _ in poll(max(left, 0)):
                client = by_descriptor[descriptor]
                try:
                    data = sockets[client].recv(READ_BYTES)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if data:
                    self._received(client, descriptor, data)
                else:
                    self._close(client, descriptor)
            if left <= 0:
                return

    def reset(self) -> None:
        """Count from zero."""
        self.frames = self.bytes = self.reads = self.lost = 0

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()
        self._poll.close()

    def _begin(self, greeting: bytes, *, watch: bool) -> None:
        client = len(self._sockets)
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((f"127.0.0.{self._first_source + client // CLIENTS_PER_SOURCE}", 0))
        sock.connect(("127.0.0.1", self._port))
        sock.sendall(greeting)
        sock.setblocking(False)
        self._sockets.append(sock)
        self._by_descriptor[sock.fileno()] = client
        self._head[client] = b""
        if watch:
            self._watched.add(client)
        self._poll.register(sock, select.EPOLLIN)

    def _received(self, client: int, descriptor: int, data: bytes) -> None:
        now = time.monotonic()
        if client in self._head:
            head, end, data = (self._head[client] + data).partition(b"\r\n\r\n")
            if not end:
                self._head[client] = head
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                raise LightClientError(f"the handshake was answered with {head[:200]!r}")
            del self._head[client]
            self.joined += 1
        self.reads += 1
        self.bytes += len(data)
        if self._rest:
            data = self._rest.pop(client, b"") + data
        shape = self._shapes.get(data)
        if shape is None:
            shape = cut(data)
            if len(self._shapes) >= SHAPES_KEPT:
                self._shapes.clear()
            self._shapes[data] = shape
        self.frames += len(shape.frames) - shape.pings
        for _ in range(shape.pings):
            self._sockets[client].send(_PONG)
        if shape.used < len(data):
            self._rest[client] = data[shape.used :]
        if client in self._watched and self._on_frame is not None:
            for opcode, begin, end_at in shape.frames:
                if opcode == TEXT:
                    self._on_frame(client, now, data[begin:end_at])

    def _close(self, client: int, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        del self._by_descriptor[descriptor]
        self._sockets[client].close()
        self._head.pop(client, None)
        self.lost += 1


def cut(data: bytes) -> Shape:
    """The whole frames at the beginning of `data`; a server's, so without masks. Source: RFC 6455 5.2."""
    frames = []
    pings = position = 0
    length = len(data)
    while length - position >= 2:
        size = data[position + 1]
        begin = position + 2
        if size == 126:
            if length < begin + 2:
                break
            (size,) = _MEDIUM.unpack_from(data, begin)
            begin += 2
        elif size == 127:
            if length < begin + 8:
                break
            (size,) = _LONG.unpack_from(data, begin)
            begin += 8
        if length < begin + size:
            break
        opcode = data[position] & 0x0F
        pings += opcode == PING
        frames.append((opcode, begin, begin + size))
        position = begin + size
    return Shape(tuple(frames), pings, position)


def request(number: int, method: str, params: Sequence[object]) -> bytes:
    """A request as the frame of a client."""
    payload = json.dumps({"id": number, "method": method, "params": list(params)}).encode()
    head = bytes([0x80 | TEXT, 0x80 | len(payload)]) if len(payload) < 126 else b""
    if not head:
        head = bytes([0x80 | TEXT, 0x80 | 126]) + _MEDIUM.pack(len(payload))
    return head + _MASK + payload


def main(arguments: list[str]) -> int:
    """Holds idle connections; the exit code."""
    port, count, first_source = map(int, arguments)
    clients = LightClients(port, first_source=first_source)
    begun = time.monotonic()
    try:
        clients.connect(count=count)
        _tell(clients, time.monotonic() - begun)
        while True:
            clients.serve(0.2)
            if select.select([sys.stdin], [], [], 0)[0]:
                if not sys.stdin.readline():
                    break
                _tell(clients, time.monotonic() - begun)
    except LightClientError as error:
        print(f"light_client: {error}", file=sys.stderr)
        return 1
    finally:
        clients.close()
    return 0


def _tell(clients: LightClients, seconds: float) -> None:
    facts = {"joined": clients.joined, "seconds": round(seconds, 2), "lost": clients.lost}
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
