"""What the websocket tests share: an echo service on a loop, and plain sockets in the same thread."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from vxnet.address import parse_address
from vxnet.clock import ManualClock
from vxnet.loop import EventLoop, new_event_loop
from vxutils.ws import (
    HandshakeRules,
    WsConnection,
    WsLimits,
    WsServer,
    WsService,
    binary_frame,
    text_frame,
)

DEADLINE_S = 10.0
NOON_US = 1_795_340_731_000_000  # 2026-11-22 09:45:31 UTC
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 1.3

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Echo(WsService):
    """Sends back what comes, and keeps what happened."""

    def __init__(self) -> None:
        self.connections: list[WsConnection] = []
        self.messages: list[str | bytes] = []
        self.ends: list[tuple[int, str]] = []
        self.drains = 0
        self.headers: dict[str, str] = {}
        self.on_opened: Callable[[WsConnection], None] | None = None
        self.on_message: Callable[[WsConnection, str | bytes], None] | None = None

    def opened(self, connection: WsConnection) -> None:
        self.connections.append(connection)
        self.headers = dict(connection.headers)
        if self.on_opened is not None:
            self.on_opened(connection)

    def received(self, connection: WsConnection, message: str | bytes) -> None:
        self.messages.append(message)
        if self.on_message is not None:
            self.on_message(connection, message)
        else:
            connection.send(text_frame(message) if isinstance(message, str) else binary_frame(message))

    def closed(self, connection: WsConnection, code: int, reason: str) -> None:
        self.ends.append((code, reason))

    def drained(self, connection: WsConnection) -> None:
        self.drains += 1


class Got(NamedTuple):
    """A frame as the client sees it; `first` is the byte with FIN, reserved bits and opcode."""

    first: int
    payload: bytes


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
                except ConnectionError:
                    return True
            return not view

        self._served.run_until(push)

    def send_bytewise(self, data: bytes) -> None:
        """The server reads each byte by itself."""
        for byte in data:
            self.sock.send(bytes([byte]))
            self._served.turn_once()

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

    def handshake(self, request: bytes = b"", *, sent: bool = False) -> str:
        """Open; returns the head of the answer. What follows stays in `received`."""
        if not sent:
            self.send(request or upgrade())
        self.until(lambda: self.ended or b"\r\n\r\n" in self.received)
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        return head.decode()

    def frames(self, count: int) -> list[Got]:
        """This many frames, or those that came before the end."""
        found: list[Got] = []

        def whole() -> bool:
            found[:] = split_frames(self.received)
            return self.ended or len(found) >= count

        self.until(whole)
        return found

    def to_the_end(self) -> list[Got]:
        """All frames until the server shuts its end."""
        self.until(lambda: self.ended)
        return split_frames(self.received)

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
        limits: WsLimits | None = None,
        *,
        rules: HandshakeRules | None = None,
        c_style: bool = False,
    ) -> None:
        self.loop: EventLoop = new_event_loop()
        self.service = Echo()
        self.server = WsServer(
            self.loop,
            [parse_address("tcp@127.0.0.1:0")],
            self.service,
            limits or WsLimits(),
            handshake=rules,
            c_style=c_style,
            clock=ManualClock(wall_us=NOON_US),
        )
        self.server.start()
        self._clients: list[Client] = []

    def client(self, *, receive_buffer: int = 0) -> Client:
        bound = self.server.bound[0]
        sock = socket.socket(bound.family, socket.SOCK_STREAM)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(bound.sockaddr())
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a byte sent is a byte to be read
        client = Client(self, sock)
        self._clients.append(client)
        return client

    def open(self, request: bytes = b"", *, receive_buffer: int = 0) -> Client:
        """A client whose handshake is done."""
        client = self.client(receive_buffer=receive_buffer)
        assert client.handshake(request).startswith("HTTP/1.1 101 ")
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

    def turn_once(self) -> None:
        """What is readable now is read."""
        self.loop.serve_ready_sockets()

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
    limits: WsLimits | None = None, *, rules: HandshakeRules | None = None, c_style: bool = False
) -> Iterator[Served]:
    served = Served(limits, rules=rules, c_style=c_style)
    try:
        yield served
    finally:
        served.stop()


def upgrade(*, without: str = "", version: str = "1.1", method: str = "GET", **headers: str) -> bytes:
    """A handshake; keywords replace or add headers (`Sec_WebSocket_Key="..."`), `without` leaves one out."""
    lines = {
        "Host": "x",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
    }
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines.pop(without, None)
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} /ws?a=b HTTP/{version}\r\n{head}\r\n".encode("latin-1")


def frame(
    opcode: int,
    payload: bytes | str = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    mask: bytes | None = b"\x01\x02\x03\x04",
    length: int | None = None,
    size: int = 0,
) -> bytes:
    """A frame of a client. `length` lies about the payload, `size` (7, 16, 64) about how it is written."""
    body = payload.encode() if isinstance(payload, str) else payload
    count = len(body) if length is None else length
    size = size or (7 if count < 126 else 16 if count < 1 << 16 else 64)
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    masked = 0x80 if mask is not None else 0
    if size == 7:
        head = struct.pack("!BB", first, masked | count)
    elif size == 16:
        head = struct.pack("!BBH", first, masked | 126, count)
    else:
        head = struct.pack("!BBQ", first, masked | 127, count)
    if mask is None:
        return head + body
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(body))


def closing(code: int | None = None, reason: bytes | str = b"") -> bytes:
    """The payload of a close frame."""
    text = reason.encode() if isinstance(reason, str) else reason
    return b"" if code is None else struct.pack("!H", code) + text


def split_frames(data: bytes) -> list[Got]:
    """The whole frames of a server at the beginning of data."""
    found = []
    while len(data) >= 2:
        assert not data[1] & 0x80, "a server does not mask"
        length = data[1]
        start = 2
        if length == 126:
            start = 4
            length = int.from_bytes(data[2:4])
        elif length == 127:
            start = 10
            length = int.from_bytes(data[2:10])
        if len(data) < start + length:
            break
        found.append(Got(data[0], data[start : start + length]))
        data = data[start + length :]
    return found


def close_code(got: Got) -> int:
    """The code of a close frame; 1005 when it has none."""
    assert got.first == 0x80 | CLOSE, got
    return int.from_bytes(got.payload[:2]) if got.payload else 1005
