"""The door: RPC sessions and datagrams in, replies out; nobody waits long for anybody else's large question.

    packets of a session -> its waiting requests -+
    a datagram -----------------------------------+-> ring of those who wait: one request each, in turn,
                                                      until TURN_US have passed; the rest in the next turn

Between two turns of the loop everything else has its turn too, deals above all. A session that waits is not
read meanwhile, so what waits is bounded by one read per session; datagrams beyond DATAGRAMS_MAX are dropped.
What a request means is `requests`.

Source: protocol.md 1.4, 1.5.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from marketprice.requests import Requests
from vxnet.address import Address, parse_address
from vxnet.clock import Clock, OncePer
from vxnet.datagram import Endpoint, Sender
from vxnet.server import ServerLimits
from vxnet.session import Session
from vxutils.rpc.bodies import MalformedBody, decode_narrow
from vxutils.rpc.heartbeat import HeartbeatMode, HeartbeatPolicy
from vxutils.rpc.packet import Packet, encode_reply
from vxutils.rpc.replies import ReplyFormat
from vxutils.rpc.server import RpcServer
from vxutils.settings import ServerSettings

TURN_US = 5_000  # of answers before everything else has its turn; one answer may take longer
DATAGRAMS_MAX = 1_000  # that wait; more are dropped, as a full socket buffer would
LOG_PERIOD_S = 1.0  # a flood of unknown commands or broken bodies costs one log line in this time
MALFORMED_BYTES_SHOWN = 200

_log = logging.getLogger("vx.marketprice.server")


class _Conversation:
    """The waiting requests of one session. `verdict`: why it is closed when they are done."""

    __slots__ = ("session", "verdict", "waiting")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.waiting: deque[Packet] = deque()
        self.verdict = ""


class _Datagram:
    """One request that came as a datagram."""

    __slots__ = ("endpoint", "packet", "sender")

    def __init__(self, endpoint: Endpoint, sender: Sender, packet: Packet) -> None:
        self.endpoint = endpoint
        self.sender = sender
        self.packet = packet


class MarketServer:
    """Listens on all addresses of the settings, between `start` and `stop`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: ServerSettings,
        requests: Requests,
        replies: ReplyFormat,
        clock: Clock,
    ) -> None:
        self.answered = 0
        self.dropped_datagrams = 0
        self._loop = loop
        self._requests = requests
        self._replies = replies
        self._clock = clock
        self._ring: deque[_Conversation | _Datagram] = deque()
        self._datagrams = 0
        self._is_scheduled = False
        self._log_brake = OncePer(LOG_PERIOD_S)
        limits = ServerLimits(
            max_pkg_size=settings.max_pkg_size,
            buf_limit=settings.buf_limit,
            read_mem=settings.read_mem,
            write_mem=settings.write_mem,
            connections_max=settings.connections_max,
        )
        policy = HeartbeatPolicy(mode=HeartbeatMode(settings.heartbeat))
        self._rpc = RpcServer(loop, [parse_address(text) for text in settings.bind], limits, policy, self)
        self._rpc.refuse = self._refuse

    @property
    def bound(self) -> Sequence[Address]:
        """Where it listens, with real ports."""
        return self._rpc.bound

    def start(self) -> None:
        """Begins to serve. Raises: AddressError, OSError naming the address."""
        self._rpc.start()

    def stop(self) -> None:
        """Closes everything."""
        self._rpc.stop()

    # What the RPC server calls.

    def opened(self, session: Session) -> None:
        session.data = _Conversation(session)

    def closed(self, session: Session, reason: str) -> None:
        conversation = session.data
        if isinstance(conversation, _Conversation):
            conversation.waiting.clear()
        session.data = None

    def packets(self, session: Session, packets: list[Packet]) -> None:
        conversation = session.data
        assert isinstance(conversation, _Conversation)
        if not conversation.waiting:
            self._ring.append(conversation)
            self._schedule()
        conversation.waiting.extend(packets)

    def datagram(self, endpoint: Endpoint, sender: Sender, packet: Packet) -> None:
        if self._datagrams >= DATAGRAMS_MAX:
            self.dropped_datagrams += 1
            return
        self._datagrams += 1
        self._ring.append(_Datagram(endpoint, sender, packet))
        self._schedule()

    def _refuse(self, session: Session, reason: str) -> None:
        """A session that sent no packet ends behind the replies to what it asked before."""
        conversation = session.data
        if isinstance(conversation, _Conversation) and conversation.waiting:
            conversation.verdict = reason
        else:
            session.fault(reason)

    # Turns.

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Answers one request of each in turn until the time is up; then sends what was answered."""
        self._is_scheduled = False
        end_us = self._clock.monotonic_us() + TURN_US
        answered: dict[_Conversation, None] = {}
        ring = self._ring
        while ring:
            peer = ring.popleft()
            if isinstance(peer, _Datagram):
                self._answer_datagram(peer)
            elif peer.waiting:
                answered[peer] = None
                self._answer_next(peer)
                if peer.waiting:
                    ring.append(peer)
            if self._clock.monotonic_us() >= end_us:
                break
        for conversation in answered:
            self._finish_turn(conversation)
        if ring:
            for left in ring:
                if isinstance(left, _Conversation):
                    left.session.pause_reading()
            self._schedule()

    def _finish_turn(self, conversation: _Conversation) -> None:
        session = conversation.session
        session.flush()
        if conversation.waiting or not session.is_open:
            return
        if conversation.verdict:
            session.fault(conversation.verdict)
        else:
            session.resume_reading()

    def _answer_next(self, conversation: _Conversation) -> None:
        packet = conversation.waiting.popleft()
        session = conversation.session
        try:
            body = self._answer(packet, session.peer)
        except MalformedBody as error:
            conversation.waiting.clear()
            shown = packet.body[:MALFORMED_BYTES_SHOWN]
            conversation.verdict = f"command {packet.command}: malformed body: {error}: {shown!r}"
            return
        if body is not None:
            session.hold(encode_reply(packet, body))

    def _answer_datagram(self, datagram: _Datagram) -> None:
        self._datagrams -= 1
        try:
            body = self._answer(datagram.packet, f"datagram from {datagram.sender!r}")
        except MalformedBody as error:
            if self._log_brake.allows(self._clock.monotonic_us() / 1_000_000):
                _log.error("peer: datagram from %r: malformed body: %s", datagram.sender, error)
            return
        if body is not None:
            datagram.endpoint.send_to(encode_reply(datagram.packet, body), datagram.sender)

    def _answer(self, packet: Packet, peer: str) -> bytes | None:
        """The reply body; None for a command that nobody knows. Raises: MalformedBody."""
        command = packet.command
        if not self._requests.knows(command):
            if self._log_brake.allows(self._clock.monotonic_us() / 1_000_000):
                _log.error("peer: %s: unknown command %d", peer, command)
            return None
        answer = self._requests.answer(command, decode_narrow(packet.body), packet.body)
        self.answered += 1
        if isinstance(answer, str):
            return self._replies.success(answer, packet.request_id)
        return self._replies.error(answer, packet.request_id)
