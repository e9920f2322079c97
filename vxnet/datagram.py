"""Datagrams: no connection, nothing ordered, nothing owed.

`Endpoint` is a server's udp or dgram bind; `DatagramSession` is what a datagram client has for a session.
What can not be sent now is dropped and counted; a datagram larger than `max_pkg_size` is dropped and counted,
never handed over cut.
"""

from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING, Final

from vxnet.address import Address, format_peer
from vxnet.buffer import PacketOutput
from vxnet.clock import OncePer
from vxnet.errors import PeerError
from vxnet.session import Session, SessionOwner
from vxnet.sock import in_words, unlink_own_path

if TYPE_CHECKING:
    import asyncio

    from vxnet.server import Handler

PASS_DATAGRAMS_MAX: Final = 64
"""Datagrams taken from one socket before the others have their turn."""

UDP_SIZE_MAX: Final = 65_535

Sender = tuple[str, int] | tuple[str, int, int, int] | str | bytes | None
"""Where a datagram came from, as the socket module says it; empty for a unix socket without a name."""

_log = logging.getLogger("vx.vxnet.datagram")


class Endpoint:
    """A bound datagram socket. Owned by the server; its counters only grow."""

    __slots__ = (
        "_fault_log",
        "_handler",
        "_loop",
        "_scratch",
        "_size_max",
        "_socket",
        "address",
        "dropped_busy",
        "dropped_faulty",
        "dropped_too_large",
        "dropped_unanswerable",
        "received",
        "sent",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        address: Address,
        handler: Handler,
        size_max: int,
    ) -> None:
        self.address = address
        self.received = 0
        """Datagrams handed to the handler."""
        self.sent = 0
        self.dropped_too_large = 0
        """Received, larger than `max_pkg_size`."""
        self.dropped_faulty = 0
        """Received, refused by the handler with PeerError."""
        self.dropped_busy = 0
        """Not sent: the socket or the receiver's queue was full."""
        self.dropped_unanswerable = 0
        """Not sent: a sender without a name, or one that is gone."""
        self._loop = loop
        self._socket = sock
        self._handler = handler
        if address.kind == "udp":
            size_max = min(size_max, UDP_SIZE_MAX)
        self._size_max = size_max
        # One byte more than allowed shows that a datagram was too large.
        self._scratch = memoryview(bytearray(size_max + 1))
        self._fault_log = OncePer(1.0)

    def start(self) -> None:
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def send_to(self, data: bytes, sender: Sender) -> None:
        """Answer a sender. Overflow rule: what can not go now is dropped and counted."""
        if self._socket.fileno() < 0:
            return
        if not sender:
            self.dropped_unanswerable += 1
            return
        try:
            self._socket.sendto(data, sender)
        except BlockingIOError:
            self.dropped_busy += 1
        except OSError:
            self.dropped_unanswerable += 1
        else:
            self.sent += 1

    def close(self) -> None:
        """Stop receiving. Sending afterwards does nothing."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _readable(self) -> None:
        for _ in range(PASS_DATAGRAMS_MAX):
            try:
                count, sender = self._socket.recvfrom_into(self._scratch)
            except BlockingIOError:
                return
            except OSError as error:
                self._log_fault(None, in_words(error))
                return
            if count > self._size_max:
                self.dropped_too_large += 1
                continue
            self.received += 1
            try:
                self._handler.received_datagram(self, bytes(self._scratch[:count]), sender)
            except PeerError as error:
                self.dropped_faulty += 1
                self._log_fault(sender, str(error))
            if self._socket.fileno() < 0:
                return

    def _log_fault(self, sender: Sender, reason: str) -> None:
        suppressed = self._fault_log.suppressed
        if self._fault_log.allows(self._loop.time()):
            peer = format_peer(self._socket.family, sender) if sender else "unknown"
            _log.warning("peer: %s: %s (and %d more datagrams not logged)", peer, reason, suppressed)


class DatagramSession(Session):
    """A connected udp or dgram client socket: one datagram per `hold`, one whole datagram per `received`.

    Errors of the path (nobody listens there) close it like a lost connection.
    """

    __slots__ = ("_input_max", "_output", "_scratch", "dropped_busy", "dropped_too_large")
    _output: PacketOutput

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        address: Address,
        owner: SessionOwner,
        *,
        input_max: int,
    ) -> None:
        super().__init__(loop, sock, address.kind, str(address).partition("@")[2], owner)
        self._input_max = min(input_max, UDP_SIZE_MAX) if address.kind == "udp" else input_max
        self._scratch = memoryview(bytearray(self._input_max + 1))
        self._output = PacketOutput(0)  # no bound of its own: every flush leaves it empty
        self.dropped_busy = 0
        self.dropped_too_large = 0

    def _send_output(self) -> bool:
        if not self._output.drain(self._send_datagram):
            self.dropped_busy += self._output.clear()
        return True

    def _send_datagram(self, data: bytes, descriptor: int | None) -> None:
        try:
            self._socket.send(data)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                self.dropped_too_large += 1
            elif error.errno == errno.ENOBUFS:
                self.dropped_busy += 1
            else:
                raise

    def _readable(self) -> None:
        for _ in range(PASS_DATAGRAMS_MAX):
            try:
                count = self._socket.recv_into(self._scratch)
            except BlockingIOError:
                return
            except OSError as error:
                self.close(in_words(error))
                return
            if count > self._input_max:
                self.dropped_too_large += 1
                continue
            try:
                self._received(self, bytes(self._scratch[:count]))
            except PeerError as error:
                self.fault(str(error))
            if not self._is_open:
                return

    def _before_socket_closes(self) -> None:
        if self.kind == "dgram":
            unlink_own_path(self._socket)
