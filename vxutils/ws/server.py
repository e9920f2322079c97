"""The websocket server: listens or adopts connected sockets, and counts.

    addresses | adopt(socket) --> HttpSession --> WsConnection --> WsService

It has the shape of `vxutils.http.HttpServer`, so that a gateway's worker can run either. Owns the connections
and the timer that keeps their deadlines.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from vxnet.address import Address
from vxnet.clock import Clock, SystemClock
from vxnet.server import BaseHandler, ServerLimits
from vxnet.session import Session
from vxnet.tls import TlsCertificate, TlsLayer
from vxutils.http.session import HttpListener, HttpSession
from vxutils.ws.connection import WsConnection
from vxutils.ws.deadlines import Deadlines
from vxutils.ws.handshake import HandshakeRules, Handshakes
from vxutils.ws.limits import WsLimits
from vxutils.ws.service import WsService
from vxutils.ws.shared import Shared

TICK_S: Final = 0.1
"""Precision of deadlines, unless a limit is shorter than four of these."""


class WsServer:
    """Serves websockets on `addresses` (tcp, unix stream), which may be empty when sockets are adopted.

    `c_style` shakes hands in the bytes of the C system: its Date, a Content-Length, silence for what it
    refuses, never compression; set `ping_interval_s` to 0 for its silence between messages. Frames follow
    RFC 6455 in both styles. With `tls` that is all it speaks. Source: protocol 9.1, 9.2.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        addresses: Sequence[Address],
        service: WsService,
        limits: WsLimits,
        *,
        handshake: HandshakeRules | None = None,
        c_style: bool = False,
        clock: Clock | None = None,
        tls: TlsCertificate | None = None,
    ) -> None:
        assert limits.message_bytes_max > 0, "a server serves something"
        # A connection closed is logged by nobody, a fault of the protocol's parser is.
        logging.getLogger("vx.ws.protocol").setLevel(logging.WARNING)
        rules = handshake or HandshakeRules()
        self._deadlines = Deadlines(loop, _tick(limits))
        handshakes = Handshakes(rules, clock or SystemClock(), c_style=c_style)
        self._shared = Shared(loop, service, limits, rules, handshakes, self._deadlines)
        self._connections: dict[Session, WsConnection] = {}
        sessions = _Sessions(self._connections, self._shared)
        layer = None if tls is None else TlsLayer(loop, tls, limits.handshake_timeout_s)
        self._server = HttpListener(loop, addresses, sessions, _below(limits), layer)

    @property
    def bound(self) -> list[Address]:
        """Where it listens, with real ports in the place of port 0."""
        return self._server.bound

    @property
    def sessions(self) -> Mapping[int, Session]:
        """The open sockets by id; those before the handshake and those whose end is under way included."""
        return self._server.sessions

    @property
    def connections(self) -> Collection[WsConnection]:
        """The same, as connections. Copy it when anything in the loop's body may send or close."""
        return self._connections.values()

    @property
    def connections_refused(self) -> int:
        """Connections closed at once because `connections_max` was reached."""
        return self._server.connections_refused

    @property
    def messages_received(self) -> int:
        """Whole messages of clients."""
        return self._shared.messages_received

    @property
    def messages_sent(self) -> int:
        """Frames of the service, one per connection that got it."""
        return self._shared.messages_sent

    @property
    def refusals(self) -> Mapping[int, int]:
        """Handshakes that failed, by the HTTP status that fits, told or not."""
        return self._shared.refusals

    @property
    def closes(self) -> Mapping[int, int]:
        """Connections that ended, by close code (1005: the client named none, 1006: lost)."""
        return self._shared.closes

    def start(self) -> None:
        """Bind all addresses, or none, and serve. Raises: AddressInUseError, AddressError naming it."""
        self._server.start()
        self._deadlines.start()

    def stop(self) -> None:
        """Close every socket at once and stop listening."""
        self._deadlines.stop()
        self._server.stop()

    def drain(self) -> None:
        """Accept nothing more and say goodbye (1001) to everybody. `sessions` runs empty, bounded by twice
        `close_timeout_s`."""
        self._server.pause_accepting()
        self._shared.is_draining = True
        for connection in list(self._connections.values()):
            connection.drain()

    def adopt(self, sock: socket.socket) -> Session | None:
        """Serve a connected stream socket, which then belongs to the server.

        None when it was closed at once, because `connections_max` is reached or the client is gone already.
        """
        assert sock.type == socket.SOCK_STREAM, "a websocket needs a stream of bytes"
        return self._server.adopt(sock)


class _Sessions(BaseHandler):
    """Makes a connection of each session."""

    def __init__(self, connections: dict[Session, WsConnection], shared: Shared) -> None:
        self._connections = connections
        self._shared = shared

    def opened(self, session: Session) -> None:
        assert isinstance(session, HttpSession), "the listener makes them"
        session.connection = self._connections[session] = WsConnection(session, self._shared)

    def closed(self, session: Session, reason: str) -> None:
        assert isinstance(session, HttpSession), "the listener makes them"
        session.connection = None
        self._connections.pop(session).gone(reason)


def _tick(limits: WsLimits) -> float:
    times = [limits.handshake_timeout_s, limits.message_timeout_s, limits.close_timeout_s]
    times += [seconds for seconds in (limits.keep_alive_s, limits.ping_interval_s) if seconds]
    assert min(times) > 0, "time limits are above zero"
    return min(TICK_S, min(times) / 4)


def _below(limits: WsLimits) -> ServerLimits:
    return ServerLimits(
        max_pkg_size=1,
        buf_limit=0,  # unsent output is bounded by the connection, which says so with a close code
        read_mem=limits.read_mem,
        write_mem=limits.write_mem,
        connections_max=limits.connections_max,
    )
