"""A recording sent again, request by request, over one raw TCP connection.

`Replay` sends the recorded bytes and brings back what came, a reply or the end of the connection; a new
connection follows when the old one was closed. It compares nothing and knows no differences: that is what
the tests do with `Record` and `Outcome`.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from vxnet.address import Address
from vxutils.rpc.packet import KIND_REQUEST, Packet, encode_packet, split_packets

VECTORS = Path(__file__).parent / "vectors"
REPLY_TIMEOUT_S = 30.0
ASSET_LIST = 104
PROBE_ID = 2**40  # no recorded request has it
REPLY_SIZE_MAX = 1 << 24

CLOSED = "closed"
SILENT = "silent"


class Record(NamedTuple):
    """One line of a recording. `replies` are bodies, each with its header where the header was recorded."""

    file: str
    line: int
    command: int
    params: list[Any] | None
    packet: bytes
    request_id: int
    replies: list[tuple[str, dict[str, int] | None]]
    ending: str | None
    own_connection: bool

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def raw(self) -> str | None:
        return self.replies[0][0] if self.replies else None


class Outcome(NamedTuple):
    """What came: replies, and whether the connection was closed or stayed silent."""

    replies: list[Packet]
    ending: str | None


def records(file: str) -> Iterator[Record]:
    """The lines of vectors/`file`.jsonl."""
    request_id = 0
    for line, text in enumerate((VECTORS / f"{file}.jsonl").read_text().splitlines(), start=1):
        fields = json.loads(text)
        raw = fields.get("raw")
        replies = [] if raw is None else [(raw, fields.get("reply_header"))]
        replies += [(more, None) for more in fields.get("more_replies", ())]
        request_id = json.loads(raw)["id"] if raw and "packet" not in fields else request_id + 1
        ending = CLOSED if fields.get("closed") else SILENT if fields.get("timeout") else None
        packet = bytes.fromhex(fields["packet"]) if "packet" in fields else None
        yield Record(
            file=file,
            line=line,
            command=fields.get("cmd", -1),
            params=fields.get("params"),
            packet=packet or request(fields["cmd"], _body(fields), request_id),
            request_id=request_id,
            replies=replies,
            ending=ending,
            own_connection=packet is not None,
        )


def request(command: int, body: bytes, request_id: int) -> bytes:
    """The packet of a request as the recording client made it."""
    return encode_packet(command, KIND_REQUEST, request_id & 0xFFFFFFFF, request_id, body)


def _body(fields: dict[str, Any]) -> bytes:
    if "params" in fields:
        return json.dumps(fields["params"]).encode()
    if "body_hex" in fields:
        return bytes.fromhex(fields["body_hex"])
    return str(fields["body"]).encode()


class Replay:
    """A connection that is opened again after it was closed. A context manager."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._received = b""
        self._packets: deque[Packet] = deque()
        self._socket = self._connect()

    def __enter__(self) -> Replay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, record: Record) -> Outcome:
        """Send one recorded request and wait for what the recording says should come, no more."""
        if record.own_connection:
            self._reconnect()
        outcome = self._expect(record)
        if record.own_connection or outcome.ending == CLOSED:
            self._reconnect()
        return outcome

    def ask(self, command: int, params: list[Any], request_id: int = PROBE_ID) -> str:
        """The reply body to a request of our own."""
        self._socket.sendall(request(command, json.dumps(params).encode(), request_id))
        reply = self._next_packet()
        assert reply is not None, "the server closed the connection"
        assert reply.request_id == request_id, f"the reply to {reply.request_id} instead of {request_id}"
        return reply.body.decode()

    def _expect(self, record: Record) -> Outcome:
        self._socket.sendall(record.packet)
        if record.ending == SILENT and not self._is_whole(record.packet):
            # Nothing can be asked behind half a packet: others are served, and here nothing happens.
            with Replay(self._address) as other:
                other.ask(ASSET_LIST, [])
            readable, _, _ = select.select([self._socket], [], [], 0.05)
            return Outcome([], CLOSED if readable else SILENT)
        if record.ending == SILENT:
            self._socket.sendall(request(ASSET_LIST, b"[]", PROBE_ID))
        replies: list[Packet] = []
        for _ in range(max(1, len(record.replies))):
            packet = self._next_packet()
            if packet is None:
                return Outcome(replies, CLOSED)
            if packet.request_id == PROBE_ID:
                return Outcome(replies, SILENT)
            replies.append(packet)
        return Outcome(replies, None)

    @staticmethod
    def _is_whole(packet: bytes) -> bool:
        return split_packets(packet, REPLY_SIZE_MAX)[1] == len(packet)

    def _next_packet(self) -> Packet | None:
        """The next packet, or None when the connection was closed. Raises: TimeoutError."""
        deadline = time.monotonic() + REPLY_TIMEOUT_S
        while not self._packets:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._socket.recv(1 << 18)
            except ConnectionResetError:
                return None
            if not data:
                return None
            packets, consumed = split_packets(self._received + data, REPLY_SIZE_MAX)
            self._packets.extend(packets)
            self._received = (self._received + data)[consumed:]
        return self._packets.popleft()

    def _reconnect(self) -> None:
        self._socket.close()
        self._received = b""
        self._packets.clear()
        self._socket = self._connect()

    def _connect(self) -> socket.socket:
        sock = socket.create_connection((self._address.host, self._address.port), REPLY_TIMEOUT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
