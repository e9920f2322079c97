"""What the tests of the HTTP server share: a server on a loop, and plain sockets in the same thread."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vxnet.address import parse_address
from vxnet.clock import ManualClock
from vxnet.loop import EventLoop, new_event_loop
from vxnet.tls import TlsCertificate
from vxutils.http import BaseHttpHandler, Exchange, HttpLimits, HttpServer

DEADLINE_S = 10.0
NOON_US = 1_795_340_731_000_000  # 2026-11-22 09:45:31 UTC


class Handler(BaseHttpHandler):
    """Keeps everything; answers `METHOD target body` at once unless `holds`."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.faults: list[tuple[int, str]] = []
        self.holds = False
        self.on_request: Callable[[Exchange], None] | None = None

    def request(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        if self.on_request is not None:
            self.on_request(exchange)
        elif not self.holds:
            exchange.respond(200, told(exchange))

    def malformed(self, exchange: Exchange, status: int, reason: str) -> None:
        self.faults.append((status, reason))
        super().malformed(exchange, status, reason)


def told(exchange: Exchange) -> bytes:
    request = exchange.request
    return f"{request.method} {request.target} ".encode() + request.body


class Client:
    """A plain non-blocking socket; waiting turns the loop of the server."""

    def __init__(self, served: Served, sock: socket.socket) -> None:
        self._served = served
        self.sock = sock
        sock.setblocking(False)
        self.received = b""
        self.ended = False

    def send(self, data: bytes) -> None:
        """All of it, turning the loop when the socket is full."""
        view = memoryview(data)

        def push() -> bool:
            nonlocal view
            if view:
                try:
                    view = view[self.sock.send(view) :]
                except BlockingIOError:
                    return False
            return not view

        self._served.run_until(push)

    def send_in_pieces(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.sock.send(piece)
            self._served.turn()

    def pull(self) -> None:
        """What is there now."""
        while not self.ended:
            try:
                data = self.sock.recv(1 << 16)
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""
            self.received += data
            self.ended = not data

    def until(self, condition: Callable[[], object]) -> bytes:
        def look() -> object:
            self.pull()
            return condition()

        self._served.run_until(look)
        return self.received

    def answers(self, count: int) -> list[tuple[int, bytes]]:
        """Status and body of this many answers, in order of arrival."""
        self.until(lambda: self.ended or len(split_answers(self.received)) >= count)
        return split_answers(self.received)

    def to_the_end(self) -> bytes:
        """Everything until the server ends the connection."""
        return self.until(lambda: self.ended)

    def is_open(self) -> bool:
        self._served.turn()
        self.pull()
        return not self.ended

    def close(self) -> None:
        self.sock.close()


class Served:
    """A server on its own loop."""

    def __init__(
        self,
        limits: HttpLimits | None = None,
        *,
        c_style: bool = False,
        address: str = "tcp@127.0.0.1:0",
        tls: TlsCertificate | None = None,
    ) -> None:
        self.loop: EventLoop = new_event_loop()
        self.handler = Handler()
        self.server = HttpServer(
            self.loop,
            [parse_address(address)] if address else [],
            self.handler,
            limits or HttpLimits(),
            c_style=c_style,
            clock=ManualClock(wall_us=NOON_US),
            tls=tls,
        )
        self.server.start()
        self._clients: list[Client] = []

    def client(self, *, receive_buffer: int = 0) -> Client:
        bound = self.server.bound[0]
        sock = socket.socket(bound.family, socket.SOCK_STREAM)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(bound.sockaddr())
        client = Client(self, sock)
        self._clients.append(client)
        return client

    def adopt(self) -> Client:
        ours, theirs = socket.socketpair()
        self.server.adopt(theirs)
        client = Client(self, ours)
        self._clients.append(client)
        return client

    def run_until(self, condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
        end = self.loop.time() + deadline_s

        def look() -> None:
            if condition() or self.loop.time() > end:
                self.loop.stop()
            else:
                self.loop.call_later(0.001, look)

        self.loop.call_soon(look)
        self.loop.run_forever()
        assert condition(), "the deadline has passed"

    def turn(self) -> None:
        """Long enough for what is under way on loopback."""
        for _ in range(4):
            self.loop.call_later(0.0005, self.loop.stop)
            self.loop.run_forever()

    def run_for(self, seconds: float) -> None:
        self.loop.call_later(seconds, self.loop.stop)
        self.loop.run_forever()

    def stop(self) -> None:
        self.server.stop()
        for client in self._clients:
            client.close()
        self.loop.close()


@contextmanager
def serving(
    limits: HttpLimits | None = None,
    *,
    c_style: bool = False,
    address: str = "",
    tls: TlsCertificate | None = None,
) -> Iterator[Served]:
    served = Served(limits, c_style=c_style, address=address or "tcp@127.0.0.1:0", tls=tls)
    try:
        yield served
    finally:
        served.stop()


def unix_address(folder: Path) -> str:
    return f"stream@{folder / 'http.sock'}"


def split_answers(data: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each whole answer (none of them to HEAD)."""
    found = []
    while (end := data.find(b"\r\n\r\n")) >= 0:
        status = int(data[9:12])
        length = re.search(rb"\r\nContent-Length: (\d+)", data[:end])
        stop = end + 4 + (int(length[1]) if length else 0)
        if len(data) < stop:
            break
        found.append((status, data[end + 4 : stop]))
        data = data[stop:]
    return found


def post(body: bytes, *, target: str = "/", extra: str = "") -> bytes:
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body


def get(target: str = "/", extra: str = "") -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: x\r\n{extra}\r\n".encode("latin-1")


def chunked(*pieces: bytes, trailers: bytes = b"", extension: bytes = b"") -> bytes:
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + chunks + b"0\r\n" + trailers + b"\r\n"
