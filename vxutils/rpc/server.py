"""The RPC server: sessions and datagrams of vxnet in, packets out to one handler.

    bytes -> split_packets -> heartbeats are answered here
                           -> everything else: handler.packets(session, [...]), in arrival order

It owns the listening server below it and when each session was last heard; it does not know commands,
bodies or replies other than its own to heartbeats. Those go through the `reply` hook, so that an owner
who holds replies back (until they are durable) can keep all replies of a session in order.

Source: protocol.md 1.4, 1.8.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from vxnet.address import Address
from vxnet.clock import OncePer
from vxnet.datagram import Endpoint, Sender
from vxnet.errors import PeerError
from vxnet.server import BaseHandler, Server, ServerLimits
from vxnet.session import Session
from vxnet.timer import Timer
from vxutils.rpc.heartbeat import (
    HEARTBEAT_COMMAND,
    HeartbeatError,
    HeartbeatMode,
    HeartbeatPolicy,
    decode_heartbeat,
)
from vxutils.rpc.packet import Packet, PacketError, decode_datagram, encode_reply, split_packets

_log = logging.getLogger("vx.rpc.server")

DROP_LOG_PERIOD_S = 1.0  # a flood of broken messages costs one log line in this time


class RpcHandler(Protocol):
    """What the owner of an `RpcServer` provides. Called on the loop; must not block."""

    def packets(self, session: Session, packets: list[Packet]) -> None:
        """Whole packets of one session, in arrival order, never empty, none of them a heartbeat.

        Raises: PeerError to have the session closed.
        """

    def datagram(self, endpoint: Endpoint, sender: Sender, packet: Packet) -> None:
        """One packet from a datagram socket; a reply goes to `endpoint.send_to(reply, sender)`."""

    def opened(self, session: Session) -> None:
        """A session was accepted."""

    def closed(self, session: Session, reason: str) -> None:
        """A session ended; nothing can be sent on it any more."""


class RpcServer(BaseHandler):
    """Serves packets on all `addresses` (one `RpcHandler` for all of them).

    `reply(session, data)` is how a heartbeat's answer leaves; it sends at once unless the owner sets another
    function. `refuse(session, reason)` is how a session that broke a rule ends; it closes at once unless the
    owner, who may still owe it replies to earlier packets, sets another function. Answers to heartbeat
    datagrams go straight to their sender. `dropped_messages` counts
    seqpacket messages which were no packet (those on datagram sockets are counted by their `Endpoint`).
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        addresses: Sequence[Address],
        limits: ServerLimits,
        heartbeat: HeartbeatPolicy,
        handler: RpcHandler,
    ) -> None:
        self.reply: Callable[[Session, bytes], None] = Session.send
        self.refuse: Callable[[Session, str], None] = Session.fault
        self.dropped_messages = 0
        self._loop = loop
        self._handler = handler
        self._packet_size_max = limits.max_pkg_size
        self._policy = heartbeat
        self._watching = heartbeat.mode is not HeartbeatMode.OFF
        self._any_traffic = heartbeat.mode is HeartbeatMode.ANY_TRAFFIC
        self._lives: dict[Session, _Life] = {}
        self._checked_at = 0.0
        self._check = Timer(loop, heartbeat.check_s, self._close_silent_sessions, repeat=True)
        self._drop_log = OncePer(DROP_LOG_PERIOD_S)
        self._server = Server(loop, addresses, self, limits)

    @property
    def server(self) -> Server:
        """The listening server below: `bound`, `sessions`, `adopt`, `pause_accepting`."""
        return self._server

    @property
    def bound(self) -> list[Address]:
        """The addresses really bound, with the port the system chose in place of port 0."""
        return self._server.bound

    def start(self) -> None:
        """Bind all addresses and accept. Raises: AddressError, OSError; then nothing is bound."""
        self._server.start()
        self._checked_at = self._loop.time()
        if self._watching:
            self._check.start()

    def stop(self) -> None:
        """Close every session and every listening socket."""
        self._check.stop()
        self._server.stop()

    # What the server below calls.

    def opened(self, session: Session) -> None:
        """Start to watch the session, then tell the handler."""
        if self._watching:
            self._lives[session] = _Life(self._loop.time(), self._policy.timeout_s)
        self._handler.opened(session)

    def closed(self, session: Session, reason: str) -> None:
        """Forget the session, then tell the handler."""
        self._lives.pop(session, None)
        self._handler.closed(session, reason)

    def received(self, session: Session, data: bytes) -> int:
        """Serve the whole packets of `data`; the count of bytes they took.

        Broken ones have the session refused, after those before them were served.
        """
        if self._any_traffic:
            self._lives[session].heard_at = self._loop.time()
        if session.kind == "seqpacket":
            self._receive_message(session, data)
            return len(data)
        try:
            packets, consumed = split_packets(data, self._packet_size_max)
        except PacketError as error:
            if not error.packets or self._serve(session, error.packets):
                self.refuse(session, f"decode msg error: {error}")
            return len(data)
        if packets and not self._serve(session, packets):
            return len(data)
        return consumed

    def received_datagram(self, endpoint: Endpoint, data: bytes, sender: Sender) -> None:
        """Serve the one packet that `data` is.

        Raises: PeerError if it is none; the endpoint counts and drops it then, and stays open.
        """
        packet = decode_datagram(data, self._packet_size_max)
        if isinstance(packet, str):
            raise PeerError(f"decode msg error: {packet}")
        if packet.command != HEARTBEAT_COMMAND:
            self._handler.datagram(endpoint, sender, packet)
            return
        try:
            decode_heartbeat(packet.body)
        except HeartbeatError as error:
            raise PeerError(str(error)) from None
        endpoint.send_to(encode_reply(packet, b""), sender)

    def _receive_message(self, session: Session, data: bytes) -> None:
        """A broken message costs only itself: the next one starts at its own beginning (protocol.md 1.4)."""
        packet = decode_datagram(data, self._packet_size_max)
        if not isinstance(packet, str):
            self._serve(session, [packet])
            return
        self.dropped_messages += 1
        if self._drop_log.allows(self._loop.time()):
            _log.warning("peer: %s: decode msg error: %s", session.peer, packet)

    def _serve(self, session: Session, packets: list[Packet]) -> bool:
        """False if the session was refused or closed meanwhile: what else it sent is nobody's."""
        for packet in packets:
            if packet.command == HEARTBEAT_COMMAND:
                return self._serve_mixed(session, packets)
        self._handler.packets(session, packets)
        return session.is_open

    def _serve_mixed(self, session: Session, packets: list[Packet]) -> bool:
        """Packets with heartbeats among them: answer those in their place between the others."""
        for is_heartbeat, run in itertools.groupby(packets, _is_heartbeat):
            if is_heartbeat:
                if not self._beat(session, run):
                    return False
            else:
                self._handler.packets(session, list(run))
            if not session.is_open:
                return False
        return True

    def _beat(self, session: Session, heartbeats: Iterable[Packet]) -> bool:
        answers = []
        refusal: HeartbeatError | None = None
        for packet in heartbeats:
            try:
                timeout_ms = decode_heartbeat(packet.body)
            except HeartbeatError as error:
                refusal = error
                break
            answers.append(encode_reply(packet, b""))
            if self._watching and timeout_ms is not None:
                self._lives[session].timeout_s = self._policy.clamp(timeout_ms / 1000)
        if answers:
            if self._watching:
                self._lives[session].heard_at = self._loop.time()
            self.reply(session, b"".join(answers))
        if refusal is not None:
            self.refuse(session, str(refusal))
        return refusal is None

    def _close_silent_sessions(self) -> None:
        now = self._loop.time()
        # When this very loop stood still, what the peers sent meanwhile is still unread in their
        # sockets: that time is not their silence.
        stalled_s = max(0.0, now - self._checked_at - self._policy.check_s)
        self._checked_at = now
        for session, life in list(self._lives.items()):
            if now - life.heard_at - stalled_s > life.timeout_s:
                session.fault("heartbeat timeout")
            else:
                life.heard_at = min(now, life.heard_at + stalled_s)


def _is_heartbeat(packet: Packet) -> bool:
    return packet.command == HEARTBEAT_COMMAND


class _Life:
    """When a session was last heard (loop time, s) and how long it may be silent (s)."""

    __slots__ = ("heard_at", "timeout_s")

    def __init__(self, heard_at: float, timeout_s: float) -> None:
        self.heard_at = heard_at
        self.timeout_s = timeout_s
