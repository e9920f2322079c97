"""Requests to bytes and bytes to replies, for HTTP and for raw RPC. No socket, no clock, bounded.

    request(...) -> bytes to be sent;   receive(bytes) -> None, None, ... Reply;   receive(b"") = end of input

One request at a time. A wire belongs to one connection. When `is_reusable` is False after a reply, the
connection must not be used again. Source: protocol.md 1.1, 1.4, 8.2, 8.3; RFC 9112.
"""

from __future__ import annotations

from typing import Final, Protocol

import httptools
import msgspec

from vxutils.client.errors import WireError
from vxutils.client.reply import OK, Reply
from vxutils.client.request import Request
from vxutils.rpc.packet import KIND_REQUEST, PacketError, encode_packet, split_packets

HEAD_BYTES_MAX: Final = 64 * 1024
"""Of an HTTP reply; counted in what was read until the head was whole, so a little more may pass."""

_INTERIM_STATUS_MAX: Final = 199


class Wire(Protocol):
    """One protocol on one connection."""

    is_reusable: bool

    def request(self, request: Request, request_id: int) -> bytes: ...

    def receive(self, data: bytes) -> Reply | None:
        """Raises: WireError."""
        ...


class HttpWire:
    """JSON in the body of a POST. `host` is the Host header's value, `path` the request target."""

    def __init__(self, host: str, path: str, token: str | None, reply_bytes_max: int) -> None:
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{authorization}Content-Type: application/json\r\n"
        )
        self._reply_bytes_max = reply_bytes_max
        self._begin()

    def request(self, request: Request, request_id: int) -> bytes:
        self._begin()
        members: dict[str, object] = {
            "id": request_id,
            "method": request.method,
            "params": msgspec.Raw(request.parameters),
        }
        if request.key is not None:
            members["idempotency_key"] = request.key
        body = msgspec.json.encode(members)
        return f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def receive(self, data: bytes) -> Reply | None:
        if not data:
            return self._end_of_input()
        if not self._head_is_whole:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise WireError(f"the answer is not HTTP: {error}") from None
        if self._body_bytes > self._reply_bytes_max:
            raise WireError(f"the answer is longer than {self._reply_bytes_max} bytes")
        if not self._head_is_whole and self._head_bytes > HEAD_BYTES_MAX:
            raise WireError(f"the head of the answer is longer than {HEAD_BYTES_MAX} bytes")
        return self._reply()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.is_reusable = False
        self._messages = 0
        self._head_bytes = 0
        self._head_is_whole = False
        self._is_delimited = False
        self._status = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._is_complete = False

    def _reply(self) -> Reply | None:
        return Reply(self._status, b"".join(self._body)) if self._is_complete else None

    def _end_of_input(self) -> Reply:
        if not self._head_is_whole or self._is_delimited:
            raise WireError("the server closed the connection")
        self._is_complete, self.is_reusable = True, False  # the end of the connection was the end of the body
        return Reply(self._status, b"".join(self._body))

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._messages += 1
        if self._is_complete:
            self.is_reusable = False  # an answer to nothing

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._is_delimited = True

    def on_headers_complete(self) -> None:
        if not self._is_complete:
            self._status = self._parser.get_status_code()
            self._head_is_whole = self._status > _INTERIM_STATUS_MAX

    def on_body(self, data: bytes) -> None:
        if not self._is_complete:
            self._body_bytes += len(data)
            if self._body_bytes <= self._reply_bytes_max:
                self._body.append(data)

    def on_message_complete(self) -> None:
        if not self._is_complete and self._head_is_whole:
            self._is_complete = True
            self.is_reusable = self._parser.should_keep_alive()


class RpcWire:
    """Packets on a stream socket; the request id is the sequence too."""

    def __init__(self, reply_bytes_max: int) -> None:
        self.is_reusable = False
        self._reply_bytes_max = reply_bytes_max
        self._received = b""
        self._command = 0
        self._sequence = 0

    def request(self, request: Request, request_id: int) -> bytes:
        assert request.command is not None, "only what has a command id can be asked here"
        self._received = b""
        self.is_reusable = False
        self._command, self._sequence = request.command, request_id & 0xFFFFFFFF
        ext = request.key.encode() if request.key else b""
        return encode_packet(
            request.command, KIND_REQUEST, self._sequence, request_id, request.parameters, ext
        )

    def receive(self, data: bytes) -> Reply | None:
        if not data:
            raise WireError("the server closed the connection")
        self._received += data
        try:
            packets, consumed = split_packets(self._received, self._reply_bytes_max)
        except PacketError as error:
            raise WireError(f"the answer is no packet: {error}") from None
        self._received = self._received[consumed:]
        for packet in packets:
            if packet.sequence == self._sequence and packet.command == self._command:
                self.is_reusable = not self._received and packet is packets[-1]
                return Reply(OK, packet.body)
        return None
