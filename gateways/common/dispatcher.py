"""The listener's side of the handover: which workers there are, and who gets the next connection.

    accepted socket -> hand_over -> the least loaded worker whose queue is not full -> True
                                    none                                            -> False

It owns the seqpacket server, and what each worker last reported. It never waits: a descriptor is with the
kernel, or waits in a bounded queue, or is refused.

Source: protocol.md 8.1; 12.5 number 73 (the C listener throws dice, and drops what a full worker can not
take).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from gateways.common.handover import (
    MESSAGE_SIZE_BYTES_MAX,
    REPORT_COMMAND,
    Report,
    decode_report,
    encode_payload,
)
from vxnet.address import Address
from vxnet.datagram import Endpoint, Sender
from vxnet.errors import PeerError
from vxnet.server import ServerLimits
from vxnet.session import Session
from vxutils.rpc.heartbeat import HeartbeatMode, HeartbeatPolicy
from vxutils.rpc.packet import Packet
from vxutils.rpc.server import RpcServer

WORKERS_MAX: Final = 256
_WAITING_BYTES_MAX: Final = 128
"""Payload bytes not yet taken by the kernel (32 descriptors): such a worker is full, or hangs."""

_log = logging.getLogger("vx.gateways.dispatcher")


class WorkerSeat:
    """One connected worker. `handed` counts descriptors given over this connection."""

    __slots__ = ("handed", "report", "session")

    def __init__(self, session: Session, report: Report) -> None:
        self.session = session
        self.report = report
        self.handed = 0

    @property
    def underway(self) -> int:
        """Descriptors that the worker has not yet reported to have taken."""
        return self.handed - self.report.adopted

    @property
    def load(self) -> int:
        return self.report.connections + self.underway

    @property
    def is_able(self) -> bool:
        """Whether it may have more connections."""
        return self.report.room > self.underway and self.session.is_open

    @property
    def has_room(self) -> bool:
        """Whether it can be given one now."""
        return self.is_able and self.session.pending_output < _WAITING_BYTES_MAX


class Dispatcher:
    """`changed(count)` is called when the number of seats changes."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, address: Address, changed: Callable[[int], None]
    ) -> None:
        self.seats: dict[int, WorkerSeat] = {}
        """By index of the worker."""
        self.arrivals: dict[int, int] = {}
        """How often a worker of that index came; more than once means it was restarted, or we were silent."""
        self._changed = changed
        self._is_stopping = False
        limits = ServerLimits(
            max_pkg_size=MESSAGE_SIZE_BYTES_MAX, buf_limit=1, connections_max=WORKERS_MAX, backlog=WORKERS_MAX
        )
        policy = HeartbeatPolicy(mode=HeartbeatMode.HEARTBEATS_ONLY)
        self._server = RpcServer(loop, [address], limits, policy, self)

    def start(self) -> None:
        """Let workers connect. Raises: AddressInUseError when another listener does, AddressError."""
        self._server.start()

    def stop(self) -> None:
        """Let the workers go; they keep what they have."""
        self._is_stopping = True
        self._server.stop()

    def reports(self) -> Iterable[Report]:
        """The latest report of each worker that is here, by index."""
        return [self.seats[index].report for index in sorted(self.seats)]

    @property
    def is_lagging(self) -> bool:
        """Whether a worker may have more connections, only not at this moment: a burst is on its way."""
        return any(seat.is_able for seat in self.seats.values())

    def hand_over(self, sock: socket.socket, listener: int) -> bool:
        """Give the connection to a worker; the caller closes its own copy in any case.

        False, with nothing given, when there is no worker with room.
        """
        payload = encode_payload(listener)
        while True:
            able = [seat for seat in self.seats.values() if seat.has_room]
            if not able:
                return False
            # A queue that is not empty is a worker that lags behind.
            seat = min(able, key=lambda one: (one.session.pending_output, one.load))
            seat.session.send_descriptor(sock.fileno(), payload)
            if seat.session.is_open:
                seat.handed += 1
                return True

    # What the RPC server calls.

    def opened(self, session: Session) -> None:
        """A worker; it has a seat once it has reported."""

    def closed(self, session: Session, reason: str) -> None:
        self._give_up(session, reason)

    def packets(self, session: Session, packets: list[Packet]) -> None:
        for packet in packets:
            if packet.command != REPORT_COMMAND:
                raise PeerError(f"command {packet.command} is unknown here")
            try:
                report = decode_report(packet.body)
            except msgspec.MsgspecError as error:
                raise PeerError(f"not a report: {error}") from None
            self._take(session, report)

    def datagram(self, endpoint: Endpoint, sender: Sender, packet: Packet) -> None:
        raise AssertionError("a seqpacket socket has no datagrams")

    def _take(self, session: Session, report: Report) -> None:
        seat = session.data
        if report.leaving:
            self._give_up(session, "it stops")
            return
        if isinstance(seat, WorkerSeat):
            seat.report = report
            return
        former = self.seats.get(report.worker)
        seat = WorkerSeat(session, report)
        session.data = seat
        self.seats[report.worker] = seat
        self.arrivals[report.worker] = self.arrivals.get(report.worker, 0) + 1
        _log.info("worker %d (process %d) is here", report.worker, report.pid)
        if former is not None:
            former.session.close("another worker has its place")
        self._changed(len(self.seats))

    def _give_up(self, session: Session, reason: str) -> None:
        """Nobody is sent to this worker any more; what it has it keeps."""
        seat, session.data = session.data, None
        if self._is_stopping or not isinstance(seat, WorkerSeat):
            return
        if self.seats.get(seat.report.worker) is seat:
            del self.seats[seat.report.worker]
            _log.warning("worker %d (process %d) is gone: %s", seat.report.worker, seat.report.pid, reason)
            self._changed(len(self.seats))
