"""A blocking RPC client: one connection, one request at a time. For tools and tests.

It owns one socket of any kind of address. Not for a process with an event loop: use `client` there.
"""

from __future__ import annotations

import socket
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from vxnet.address import Address
from vxutils.rpc.packet import KIND_REQUEST, Packet, decode_datagram, encode_packet, split_packets

REPLY_SIZE_MAX = 64 * 1024 * 1024  # bytes; generous, a tool reads what the server was configured to send

_RECEIVE_SIZE = 256 * 1024


class BlockingClient:
    """Connected on construction; a context manager that closes.

    `timeout_s` bounds the connect and each wait for a reply.

    Raises: OSError if the address can not be reached (TimeoutError after `timeout_s`).
    """

    def __init__(self, address: Address, timeout_s: float = 5.0) -> None:
        self._timeout_s = timeout_s
        self._sequence = 0
        self._received = b""
        self._decoded: deque[Packet] = deque()
        self._streaming = address.socktype == socket.SOCK_STREAM
        self._own_directory: tempfile.TemporaryDirectory[str] | None = None
        self._socket = socket.socket(address.family, address.socktype)
        try:
            self._socket.settimeout(timeout_s)
            if address.kind == "dgram":
                # Without a name of its own a unix datagram socket can not be answered.
                self._own_directory = tempfile.TemporaryDirectory(prefix="vx-call-")
                self._socket.bind(str(Path(self._own_directory.name) / "reply.sock"))
            self._socket.connect(address.sockaddr())
            if address.kind == "tcp":
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.close()
            raise

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; closing twice does nothing."""
        self._socket.close()
        if self._own_directory is not None:
            self._own_directory.cleanup()
            self._own_directory = None

    def call(self, command: int, params: Sequence[Any] | bytes, ext: bytes = b"") -> dict[str, Any]:
        """The reply's JSON object (`error`, `result`, `id`) to a request with these params.

        `params` is a sequence, or bytes that are sent as they are. The request id is the sequence
        number, from 1. Replies to other requests are passed over.

        Raises: TimeoutError, ConnectionError (the server closed), PacketError, msgspec.DecodeError.
        """
        self._sequence += 1
        body = params if isinstance(params, bytes) else msgspec.json.encode(list(params))
        self.send(encode_packet(command, KIND_REQUEST, self._sequence, self._sequence, body, ext))
        deadline = time.monotonic() + self._timeout_s
        while True:
            reply = self._receive(deadline)
            if reply.sequence == self._sequence and reply.command == command:
                decoded: dict[str, Any] = msgspec.json.decode(reply.body, type=dict[str, Any])
                return decoded

    def roundtrip(self, packet: bytes) -> Packet:
        """Send bytes as they are and return the next packet that comes, whatever it answers.

        Raises: as `call`.
        """
        self.send(packet)
        return self.receive()

    def send(self, data: bytes) -> None:
        """Send bytes as they are: a part of a packet, several packets, or none.

        Raises: OSError, TimeoutError.
        """
        self._socket.settimeout(self._timeout_s)
        if self._streaming:
            self._socket.sendall(data)
        else:
            self._socket.send(data)

    def receive(self) -> Packet:
        """The next packet. Raises: as `call`."""
        return self._receive(time.monotonic() + self._timeout_s)

    def _receive(self, deadline: float) -> Packet:
        if not self._streaming:
            packet = decode_datagram(self._read(deadline), REPLY_SIZE_MAX)
            if isinstance(packet, str):
                raise ConnectionError(f"the server sent no packet: {packet}")
            return packet
        while not self._decoded:
            packets, consumed = split_packets(self._received, REPLY_SIZE_MAX)
            self._decoded.extend(packets)
            self._received = self._received[consumed:]
            if not packets:
                self._received += self._read(deadline)
        return self._decoded.popleft()

    def _read(self, deadline: float) -> bytes:
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError("no reply in time")
        self._socket.settimeout(remaining_s)
        data = self._socket.recv(_RECEIVE_SIZE)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data
