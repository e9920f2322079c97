"""A server: any number of binds, one handler, sessions by id.

    listener --accept (<= 64 per readiness)--> limits? --> Session --> handler.opened / received / closed
    udp, dgram bind --> Endpoint --> handler.received_datagram
    adopt(descriptor) --> Session

Owns its sessions and endpoints, and the unix files it made. Knows nothing of what is said over them.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from vxnet.address import Address, Kind, format_peer
from vxnet.clock import OncePer
from vxnet.datagram import Endpoint, Sender
from vxnet.errors import AddressError
from vxnet.session import READ_SIZE, SeqpacketSession, Session, StreamSession
from vxnet.sock import in_words, listen_socket, set_options

ACCEPTS_MAX: Final = 64
"""Connections accepted from one listener before the open ones have their turn."""

ACCEPT_PAUSE_S: Final = 0.1
"""How long nothing is accepted after the process or the system ran out of descriptors or memory."""

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_log = logging.getLogger("vx.vxnet.server")


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a server. Source: protocol 1.7, 10.3."""

    max_pkg_size: int = 10_240
    """Bytes of the largest packet; unfinished input of this size closes a session."""
    buf_limit: int = 100
    """Unsent output may be this many times `max_pkg_size`; 0 = unlimited."""
    read_mem: int = 0
    """SO_RCVBUF in bytes; 0 = as the system has it."""
    write_mem: int = 0
    """SO_SNDBUF in bytes; 0 = as the system has it."""
    connections_max: int = 20_000
    """Sessions at one time, 0 = unlimited; more are accepted and closed at once."""
    backlog: int = socket.SOMAXCONN

    @property
    def output_max(self) -> int:
        """Bytes of unsent output that close a session; 0 = unlimited."""
        return self.buf_limit * self.max_pkg_size


class Handler(Protocol):
    """What the owner of a server does with its sessions. All calls come from the loop."""

    def opened(self, session: Session) -> None:
        """A new session; it may be closed here."""
        ...

    def received(self, session: Session, data: bytes) -> int:
        """All bytes not consumed so far; returns how many are used up now.

        Raises: PeerError to close the session.
        """
        ...

    def received_descriptor(self, session: Session, descriptor: int, payload: bytes) -> None:
        """A descriptor came over a seqpacket session: it belongs to the handler, which must close it."""
        ...

    def closed(self, session: Session, reason: str) -> None:
        """Called once per session, whoever closed it."""
        ...

    def received_datagram(self, endpoint: Endpoint, data: bytes, sender: Sender) -> None:
        """One whole datagram; `endpoint.send_to(reply, sender)` answers.

        Raises: PeerError to have it counted and logged as faulty.
        """
        ...


class BaseHandler:
    """A handler that takes everything and does nothing; override what matters."""

    def opened(self, session: Session) -> None:
        pass

    def received(self, session: Session, data: bytes) -> int:
        return len(data)

    def received_descriptor(self, session: Session, descriptor: int, payload: bytes) -> None:
        os.close(descriptor)

    def closed(self, session: Session, reason: str) -> None:
        pass

    def received_datagram(self, endpoint: Endpoint, data: bytes, sender: Sender) -> None:
        pass


class Server:
    """Listens on all addresses once started. `sessions` maps the id of every open session to it.

    Iterate over a copy of `sessions` when anything in the loop's body may send or close.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        addresses: Sequence[Address],
        handler: Handler,
        limits: ServerLimits,
    ) -> None:
        assert limits.max_pkg_size > 0 and limits.buf_limit >= 0, "a packet and the output have a size"
        self.bound: list[Address] = []
        """Where it listens, with real ports in the place of port 0."""
        self.endpoints: list[Endpoint] = []
        self.sessions: dict[int, Session] = {}
        self.connections_refused = 0
        """Connections closed at once because `connections_max` was reached."""
        self.received = handler.received
        self.received_descriptor = handler.received_descriptor
        self._loop = loop
        self._addresses = tuple(addresses)
        self._handler = handler
        self._limits = limits
        self._listeners: list[tuple[socket.socket, Address]] = []
        self._unix_files: list[tuple[str, int]] = []
        self._last_id = 0
        self._scratch = memoryview(bytearray(READ_SIZE))
        self._accepting = False
        self._accept_retry: asyncio.TimerHandle | None = None
        self._exhausted_log = OncePer(1.0)
        self._refused_log = OncePer(1.0)

    def start(self) -> None:
        """Bind all addresses, or none. Raises: AddressInUseError, AddressError naming the address."""
        assert not self.bound, "a server starts once"
        try:
            for address in self._addresses:
                self._bind(address)
        except AddressError:
            self.stop()
            raise
        for endpoint in self.endpoints:
            endpoint.start()
        self.resume_accepting()

    def stop(self, reason: str = "server stopped") -> None:
        """Stop listening, close every session with that reason, remove the unix files made by `start`."""
        self.pause_accepting()
        for listener, _ in self._listeners:
            listener.close()
        self._listeners.clear()
        for endpoint in self.endpoints:
            endpoint.close()
        while self.sessions:
            next(iter(self.sessions.values())).close(reason)
        for path, inode in self._unix_files:
            _unlink_if_ours(path, inode)
        self._unix_files.clear()

    def pause_accepting(self) -> None:
        """New connections wait in the backlog of the kernel; open sessions go on."""
        self._accepting = False
        self._stop_watching_listeners()
        if self._accept_retry is not None:
            self._accept_retry.cancel()
            self._accept_retry = None

    def resume_accepting(self) -> None:
        self.pause_accepting()
        self._accepting = True
        for listener, address in self._listeners:
            self._loop.add_reader(listener.fileno(), self._acceptable, listener, address)

    def adopt(self, sock: socket.socket) -> Session | None:
        """Make a session of a connected socket, which then belongs to the server.

        None when it was closed at once, because `connections_max` is reached or the peer is gone already.
        """
        assert sock.type != socket.SOCK_DGRAM, "a datagram socket is no conversation"
        kind: Kind = "tcp"
        if sock.family == socket.AF_UNIX:
            kind = "seqpacket" if sock.type == socket.SOCK_SEQPACKET else "stream"
        try:
            peer = format_peer(sock.family, sock.getpeername())
        except OSError:
            sock.close()
            return None
        return self._open_session(sock, kind, peer)

    def session_closed(self, session: Session, reason: str) -> None:
        """Called by a session that has just closed."""
        del self.sessions[session.id]
        self._handler.closed(session, reason)

    def _bind(self, address: Address) -> None:
        sock = listen_socket(address, backlog=self._limits.backlog)
        if address.is_unix:
            self._unix_files.append((address.path, Path(address.path).stat().st_ino))
        else:
            address = msgspec.structs.replace(address, port=sock.getsockname()[1])
        self.bound.append(address)
        if address.is_datagram:
            set_options(sock, address.kind, read_mem=self._limits.read_mem, write_mem=self._limits.write_mem)
            self.endpoints.append(
                Endpoint(self._loop, sock, address, self._handler, self._limits.max_pkg_size)
            )
        else:
            self._listeners.append((sock, address))

    def _acceptable(self, listener: socket.socket, address: Address) -> None:
        for _ in range(ACCEPTS_MAX):
            try:
                sock, sockaddr = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause_when_exhausted(address, error)
                    return
                continue  # that connection is gone already, the next one may be well
            self._open_session(sock, address.kind, format_peer(sock.family, sockaddr))
            if not self._accepting:
                return

    def _open_session(self, sock: socket.socket, kind: Kind, peer: str) -> Session | None:
        limits = self._limits
        if len(self.sessions) >= limits.connections_max > 0:
            sock.close()
            self.connections_refused += 1
            if self._refused_log.allows(self._loop.time()):
                _log.warning(
                    "peer: %s: connections_max %d is reached, closed (%d so far)",
                    peer,
                    limits.connections_max,
                    self.connections_refused,
                )
            return None
        try:
            sock.setblocking(False)
            set_options(sock, kind, read_mem=limits.read_mem, write_mem=limits.write_mem)
        except OSError as error:
            sock.close()
            _log.info("peer: %s: gone before it was served: %s", peer, in_words(error))
            return None
        session = self._make_session(sock, kind, peer)
        self._last_id += 1
        session.id = self._last_id
        session.server = self
        self.sessions[session.id] = session
        self._handler.opened(session)
        session.start()
        return session if session.is_open else None

    def _make_session(self, sock: socket.socket, kind: Kind, peer: str) -> Session:
        limits = self._limits
        if kind == "seqpacket":
            return SeqpacketSession(
                self._loop, sock, peer, self, input_max=limits.max_pkg_size, output_max=limits.output_max
            )
        return StreamSession(
            self._loop,
            sock,
            kind,
            peer,
            self,
            scratch=self._scratch,
            input_max=limits.max_pkg_size,
            output_max=limits.output_max,
        )

    def _pause_when_exhausted(self, address: Address, error: OSError) -> None:
        # The listener stays readable: going on watching it would spin.
        if self._exhausted_log.allows(self._loop.time()):
            _log.error("%s: can not accept for now: %s", address, in_words(error))
        self._stop_watching_listeners()
        if self._accept_retry is None:
            self._accept_retry = self._loop.call_later(ACCEPT_PAUSE_S, self.resume_accepting)

    def _stop_watching_listeners(self) -> None:
        for listener, _ in self._listeners:
            self._loop.remove_reader(listener.fileno())


def _unlink_if_ours(path: str, inode: int) -> None:
    # Another process may have replaced a path that was taken away from us: that file is not ours to remove.
    try:
        if Path(path).stat().st_ino == inode:
            Path(path).unlink()
    except OSError as error:
        _log.info("%s: not removed: %s", path, in_words(error))
