"""A client: one persistent connection that comes back by itself.

    start -> connect address 0 -> connected -> ... closed --+      one address: wait, connect again, for ever
                  ^                                         |      several: the next one at once; after the
                  +-- wait reconnect_timeout_s, or at once -+      last one wrap to the first and wait

A connection attempt without a result within `reconnect_timeout_s` is given up, and the next one made at once,
for that time has been waited already. Nothing is queued while down: `send` says no. What to do about requests
in flight is the business of the layer above.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from vxnet.address import Address
from vxnet.clock import OncePer
from vxnet.datagram import DatagramSession
from vxnet.session import SeqpacketSession, Session, StreamSession
from vxnet.sock import connect_socket, in_words, unlink_own_path

_SCRATCH_SIZE: Final = 64 * 1024  # bytes read in one pass; a client has one session
_FAILURE_LOG_INTERVAL_S: Final = 60.0  # a server that is down for hours is worth a line a minute

_log = logging.getLogger("vx.vxnet.client")


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and times of a client. Source: protocol 1.9, 10.3."""

    max_pkg_size: int = 2_000_000
    """Bytes of the largest packet that is received."""
    buf_limit: int = 100
    """Unsent output may be this many times `max_pkg_size`; 0 = unlimited."""
    read_mem: int = 0
    """SO_RCVBUF in bytes; 0 = as the system has it."""
    write_mem: int = 0
    """SO_SNDBUF in bytes; 0 = as the system has it."""
    reconnect_timeout_s: float = 1.0
    """How long to wait for a connection, and before the next attempt."""


class ClientHandler(Protocol):
    """What the owner of a client does. All calls come from the loop, none from within `start`."""

    def connected(self, session: Session) -> None: ...

    def received(self, session: Session, data: bytes) -> int:
        """As Handler.received of the server."""
        ...

    def closed(self, session: Session | None, reason: str) -> None:
        """The connection is gone, or (None) an attempt to connect failed. The client goes on by itself."""
        ...


class Client:
    """`session` is the open conversation, or None while there is none."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        addresses: Sequence[Address],
        handler: ClientHandler,
        settings: ClientSettings,
        received_descriptor: Callable[[Session, int, bytes], None] | None = None,
    ) -> None:
        """`received_descriptor` gets the descriptors that come over seqpacket; without it they are closed."""
        assert addresses, "a client needs an address"
        assert len({address.kind for address in addresses}) == 1, "the addresses of a client are of one kind"
        assert settings.reconnect_timeout_s > 0
        self.session: Session | None = None
        self.received = handler.received
        self.received_descriptor = received_descriptor or _close_descriptor
        self._loop = loop
        self._addresses = tuple(addresses)
        self._handler = handler
        self._settings = settings
        self._index = 0
        self._running = False
        self._reconnects_at_once = False
        self._connecting: socket.socket | None = None
        self._timer: asyncio.Handle | None = None  # the connect watch, or the next attempt
        self._scratch = memoryview(bytearray(_SCRATCH_SIZE))
        self._failure_log = OncePer(_FAILURE_LOG_INTERVAL_S)

    @property
    def address(self) -> Address:
        """The address in use, or tried next."""
        return self._addresses[self._index]

    def start(self) -> None:
        """Begin to connect; the outcome comes to the handler."""
        assert not self._running, "a client starts once"
        self._running = True
        self._timer = self._loop.call_soon(self._connect)

    def stop(self, reason: str = "client stopped") -> None:
        """Close the connection, if any, and make no other."""
        self._running = False
        self._abandon_attempt()
        if self.session is not None:
            self.session.close(reason)

    def send(self, data: bytes) -> bool:
        """Send on the open connection; False, with nothing sent, while there is none."""
        if self.session is None:
            return False
        self.session.send(data)
        return True

    def reconnect(self, reason: str) -> None:
        """Give up the connection (its peer is silent, say) and connect to the next address at once."""
        if self.session is not None:
            self._reconnects_at_once = True
            self.session.close(reason)

    def session_closed(self, session: Session, reason: str) -> None:
        """Called by the session that has just closed."""
        at_once, self._reconnects_at_once = self._reconnects_at_once, False
        self.session = None
        self._schedule_next(at_once=at_once)
        self._handler.closed(session, reason)

    def _connect(self) -> None:
        self._timer = None
        try:
            sock = connect_socket(
                self.address, read_mem=self._settings.read_mem, write_mem=self._settings.write_mem
            )
        except OSError as error:
            self._attempt_failed(in_words(error))
            return
        self._connecting = sock
        self._loop.add_writer(sock.fileno(), self._decided)
        self._timer = self._loop.call_later(self._settings.reconnect_timeout_s, self._attempt_timed_out)

    def _decided(self) -> None:
        sock = self._connecting
        assert sock is not None
        problem = _connect_problem(sock)
        if problem:
            self._abandon_attempt()
            self._attempt_failed(problem)
            return
        self._loop.remove_writer(sock.fileno())
        self._cancel_timer()
        self._connecting = None
        self._failure_log = OncePer(_FAILURE_LOG_INTERVAL_S)
        session = self._make_session(sock)
        session.id = 1
        self.session = session
        self._handler.connected(session)
        session.start()

    def _make_session(self, sock: socket.socket) -> Session:
        address = self.address
        input_max = self._settings.max_pkg_size
        output_max = self._settings.buf_limit * input_max
        if address.is_datagram:
            return DatagramSession(self._loop, sock, address, self, input_max=input_max)
        peer = str(address).partition("@")[2]
        if address.kind == "seqpacket":
            return SeqpacketSession(self._loop, sock, peer, self, input_max=input_max, output_max=output_max)
        return StreamSession(
            self._loop,
            sock,
            address.kind,
            peer,
            self,
            scratch=self._scratch,
            input_max=input_max,
            output_max=output_max,
        )

    def _attempt_timed_out(self) -> None:
        self._timer = None
        self._abandon_attempt()
        self._attempt_failed("no connection in time", at_once=True)

    def _attempt_failed(self, reason: str, *, at_once: bool = False) -> None:
        if self._failure_log.allows(self._loop.time()):
            _log.warning("%s: not connected: %s", self.address, reason)
        self._schedule_next(at_once=at_once)
        self._handler.closed(None, reason)

    def _schedule_next(self, *, at_once: bool = False) -> None:
        if not self._running:
            return
        self._index = (self._index + 1) % len(self._addresses)
        delay_s = 0.0 if at_once or self._index else self._settings.reconnect_timeout_s
        self._timer = self._loop.call_later(delay_s, self._connect)

    def _abandon_attempt(self) -> None:
        self._cancel_timer()
        sock, self._connecting = self._connecting, None
        if sock is not None:
            self._loop.remove_writer(sock.fileno())
            if self.address.kind == "dgram":
                unlink_own_path(sock)
            sock.close()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _connect_problem(sock: socket.socket) -> str:
    """Why a decided connection attempt is of no use; empty when it is well."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        return in_words(OSError(code, os.strerror(code)))
    try:
        # The kernel can connect a free loopback port of the ephemeral range to itself.
        if sock.family != socket.AF_UNIX and sock.getpeername() == sock.getsockname():
            return "connected to itself: nobody listens there"
    except OSError as error:
        return in_words(error)
    return ""


def _close_descriptor(session: Session, descriptor: int, payload: bytes) -> None:
    os.close(descriptor)
