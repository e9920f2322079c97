"""The RPC client: calls with deadlines over one persistent connection that comes back by itself.

    call() -> pending table -> packet -> connection            -> callback(reply)
                 |               refused: not connected, full  -> callback(CallError REFUSED)
                 +-- deadline passed                           -> callback(CallError TIMEOUT)
                 +-- connection lost                           -> callback(CallError DISCONNECTED)

Every call gets exactly one callback, never from inside `call`. It owns the connection, the requests in
flight and the heartbeat; it never repeats a request: whether that is safe only the caller knows.

Unlike the C client, requests in flight fail as soon as the connection does, what is in flight is
bounded, and any packet from the server is a sign of life.

Source: protocol.md 1.8, 1.9, 12.1.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable, Sequence

import msgspec

from vxnet.address import Address
from vxnet.client import Client, ClientSettings
from vxnet.clock import OncePer
from vxnet.errors import PeerError
from vxnet.pending import PendingTable, PendingTableFull
from vxnet.session import Session
from vxnet.timer import Timer
from vxutils.rpc.heartbeat import (
    HEARTBEAT_COMMAND,
    PERIOD_S,
    TIMEOUT_DEFAULT_S,
    encode_heartbeat,
)
from vxutils.rpc.packet import (
    KIND_REQUEST,
    Packet,
    PacketError,
    decode_datagram,
    encode_packet,
    split_packets,
)

_log = logging.getLogger("vx.rpc.client")


class Failure(enum.Enum):
    """Why a call got no reply."""

    REFUSED = "refused"
    """Nothing was sent: not connected, or too much in flight."""
    TIMEOUT = "timeout"
    """Sent, no reply in time: the outcome is unknown."""
    DISCONNECTED = "disconnected"
    """Sent, then the connection was lost: the outcome is unknown."""


class CallError(msgspec.Struct, frozen=True):
    """The outcome of a call without a reply; `reason` is a text for the log."""

    failure: Failure
    reason: str

    @property
    def outcome_unknown(self) -> bool:
        """Whether the server may have executed the request."""
        return self.failure is not Failure.REFUSED


class RpcClientSettings(msgspec.Struct, frozen=True):
    """`heartbeat_timeout_s`: silence after which the connection is given up, also asked of the server.

    `inflight_max`: calls without a reply; the next one is refused.
    """

    connection: ClientSettings
    heartbeat_s: float = PERIOD_S
    heartbeat_timeout_s: float = TIMEOUT_DEFAULT_S
    inflight_max: int = 10_000


Callback = Callable[[Packet | CallError], None]

DROP_LOG_PERIOD_S = 1.0  # a flood of broken messages costs one log line in this time

_DATAGRAM_KINDS = ("udp", "dgram")
_MESSAGE_KINDS = ("udp", "dgram", "seqpacket")


class RpcClient:
    """Calls to one service on `addresses` (several are alternatives). All methods on the loop's thread.

    `name` is the service, for the log. `unmatched_replies` counts packets which answered no call in
    flight: most of them came after their deadline. `dropped_messages` counts those which were no packet, on
    sockets where one message is one packet.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: str,
        addresses: Sequence[Address],
        settings: RpcClientSettings,
    ) -> None:
        self.unmatched_replies = 0
        self.dropped_messages = 0
        self._loop = loop
        self._name = name
        self._settings = settings
        self._packet_size_max = settings.connection.max_pkg_size
        self._calls: PendingTable[Callback] = PendingTable(loop, self._time_out, settings.inflight_max)
        self._flush_scheduled = False
        self._heard_at = 0.0
        self._beat_at = 0.0
        self._drop_log = OncePer(DROP_LOG_PERIOD_S)
        self._heartbeat = encode_packet(
            HEARTBEAT_COMMAND,
            KIND_REQUEST,
            0,
            0,
            encode_heartbeat(round(settings.heartbeat_timeout_s * 1000)),
        )
        self._heartbeat_timer = Timer(loop, settings.heartbeat_s, self._beat, repeat=True)
        self._client = Client(loop, addresses, self, settings.connection)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection; a call made now is not refused for the lack of it."""
        return self._client.session is not None

    @property
    def inflight(self) -> int:
        """Calls sent and not yet answered."""
        return len(self._calls)

    def start(self) -> None:
        """Begin to connect, and to reconnect for ever."""
        self._client.start()

    def stop(self) -> None:
        """Close; calls in flight end as DISCONNECTED."""
        self._client.stop()

    def call(
        self,
        command: int,
        params_body: bytes,
        callback: Callback,
        timeout_s: float,
        ext: bytes = b"",
        request_id: int = 0,
    ) -> None:
        """Send a request; `callback` gets its reply, or the `CallError`, exactly once and after this returns.

        `params_body` is the JSON array of params. `request_id` (unsigned 64 bit) comes back as the `id`
        of the reply's JSON. Calls made in one turn of the loop leave in one write.

        Raises: ValueError if body or ext is larger than a packet carries; then nothing was sent.
        """
        session = self._client.session
        if session is None:
            self._refuse(callback, f"{self._name} is not connected")
            return
        try:
            sequence = self._calls.add(callback, timeout_s)
        except PendingTableFull as error:
            self._refuse(callback, f"{self._name}: {error}")
            return
        try:
            packet = encode_packet(command, KIND_REQUEST, sequence, request_id, params_body, ext)
        except ValueError:
            self._calls.delete(sequence)
            raise
        session.hold(packet)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    # What the connection below calls.

    def connected(self, session: Session) -> None:
        """Begin to send heartbeats; a datagram socket has none, for nobody is there to be silent."""
        _log.info("%s: connected to %s", self._name, session.peer)
        if session.kind not in _DATAGRAM_KINDS:
            self._heard_at = self._beat_at = self._loop.time()
            self._heartbeat_timer.start()

    def received(self, session: Session, data: bytes) -> int:
        """Give the whole packets of `data` to their callers; the count of bytes they took.

        Raises: PeerError for broken packets, after those before them were given out.
        """
        self._heard_at = self._loop.time()
        if session.kind in _MESSAGE_KINDS:
            self._receive_message(session, data)
            return len(data)
        try:
            packets, consumed = split_packets(data, self._packet_size_max)
        except PacketError as error:
            self._give_out(error.packets)
            raise PeerError(f"{self._name}: decode msg error: {error}") from None
        self._give_out(packets)
        return consumed

    def closed(self, session: Session | None, reason: str) -> None:
        """Fail what is in flight: its replies would come over a connection that is no more."""
        self._heartbeat_timer.stop()
        if session is None:
            return
        callbacks = self._calls.clear()
        level = logging.WARNING if callbacks else logging.INFO
        _log.log(
            level, "%s: connection closed: %s (%d requests in flight)", self._name, reason, len(callbacks)
        )
        for callback in callbacks:
            callback(CallError(Failure.DISCONNECTED, f"{self._name}: {reason}"))

    def _receive_message(self, session: Session, data: bytes) -> None:
        packet = decode_datagram(data, self._packet_size_max)
        if not isinstance(packet, str):
            self._give_out([packet])
            return
        self.dropped_messages += 1
        if self._drop_log.allows(self._loop.time()):
            _log.warning("peer: %s: decode msg error: %s", session.peer, packet)

    def _give_out(self, packets: list[Packet]) -> None:
        for packet in packets:
            callback = self._calls.pop(packet.sequence)
            if callback is not None:
                callback(packet)
            elif packet.command != HEARTBEAT_COMMAND:
                self.unmatched_replies += 1

    def _beat(self) -> None:
        session = self._client.session
        assert session is not None, "the heartbeat stops with the connection"
        now = self._loop.time()
        # While this very loop stood still nothing was read: that time is not the server's silence.
        stalled_s = max(0.0, now - self._beat_at - self._settings.heartbeat_s)
        self._beat_at = now
        if now - self._heard_at - stalled_s > self._settings.heartbeat_timeout_s:
            self._client.reconnect("heartbeat timeout")
            return
        session.send(self._heartbeat)

    def _refuse(self, callback: Callback, reason: str) -> None:
        self._loop.call_soon(callback, CallError(Failure.REFUSED, reason))

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self._client.session is not None:
            self._client.session.flush()

    def _time_out(self, sequence: int, callback: Callback) -> None:
        self._calls.delete(sequence)  # first, or a callback that stops the client would be called again
        callback(CallError(Failure.TIMEOUT, f"{self._name} did not answer in time"))
