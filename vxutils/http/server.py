"""The HTTP server: listens or adopts connected sockets, and keeps the deadlines of all its connections.

    addresses | adopt(socket) --> HttpSession --> Connection --> handler

One timer looks at all deadlines; they are precise to a second, or to a quarter of the shortest limit.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Final

from vxnet.address import Address
from vxnet.clock import Clock, SystemClock
from vxnet.server import BaseHandler, ServerLimits
from vxnet.session import Session
from vxnet.timer import Timer
from vxnet.tls import TlsCertificate, TlsLayer
from vxutils.http.connection import LINGER_S, Connection
from vxutils.http.exchange import HttpHandler
from vxutils.http.limits import HttpLimits
from vxutils.http.response import ResponseEncoder
from vxutils.http.service import Service
from vxutils.http.session import HttpListener, HttpSession

LOOK_PERIOD_S: Final = 1.0
"""How often deadlines are looked at, unless a limit is shorter than four of these."""


class HttpServer:
    """Serves HTTP on `addresses` (tcp, unix stream), which may be empty when sockets are adopted.

    `c_style` answers in the bytes of the C system: its Date, never a Connection header, HTTP/1.0 and
    `Connection: close` ignored, nothing but the end for what is not HTTP. Source: protocol 8.2, 8.3.
    With `tls` that is all it speaks; a handshake may take `head_timeout_s`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        addresses: Sequence[Address],
        handler: HttpHandler,
        limits: HttpLimits,
        *,
        c_style: bool = False,
        clock: Clock | None = None,
        tls: TlsCertificate | None = None,
    ) -> None:
        assert limits.pipeline_max > 0 and limits.body_bytes_max >= 0, "a server serves something"
        encoder = ResponseEncoder(clock or SystemClock(), c_style=c_style)
        self._loop = loop
        self._service = Service(loop, handler, limits, encoder, is_c_style=c_style)
        self._connections: dict[Session, Connection] = {}
        self._period_s = _look_period(limits)
        self._looked_at = 0.0
        self._look = Timer(loop, self._period_s, self._look_at_deadlines, repeat=True)
        layer = None if tls is None else TlsLayer(loop, tls, limits.head_timeout_s)
        self._server = HttpListener(
            loop, addresses, _Sessions(self._connections, self._service), _below(limits), layer
        )

    @property
    def bound(self) -> list[Address]:
        """Where it listens, with real ports in the place of port 0."""
        return self._server.bound

    @property
    def sessions(self) -> Mapping[int, Session]:
        """The open connections by id; those whose end is under way included."""
        return self._server.sessions

    @property
    def connections_refused(self) -> int:
        """Connections closed at once because `connections_max` was reached."""
        return self._server.connections_refused

    @property
    def requests(self) -> int:
        """Whole requests received."""
        return self._service.requests

    @property
    def responses(self) -> Mapping[int, int]:
        """Answers given, by status."""
        return self._service.responses

    @property
    def faults(self) -> Mapping[int, int]:
        """What was no request or beyond a limit, by the status that fits it."""
        return self._service.faults

    def start(self) -> None:
        """Bind all addresses, or none, and serve. Raises: AddressInUseError, AddressError naming it."""
        self._server.start()
        self._looked_at = self._loop.time()
        self._look.start()

    def stop(self) -> None:
        """Close every connection, answered or not, and every listening socket."""
        self._look.stop()
        self._server.stop()

    def drain(self) -> None:
        """Accept nothing more, answer what has begun, close what is idle. `sessions` runs empty."""
        self._server.pause_accepting()
        self._service.is_draining = True
        for connection in list(self._connections.values()):
            connection.drain()

    def adopt(self, sock: socket.socket) -> Session | None:
        """Serve a connected stream socket, which then belongs to the server.

        None when it was closed at once, because `connections_max` is reached or the client is gone already.
        """
        assert sock.type == socket.SOCK_STREAM, "HTTP needs a stream of bytes"
        return self._server.adopt(sock)

    def _look_at_deadlines(self) -> None:
        now = self._loop.time()
        stood_still = now - self._looked_at > 2 * self._period_s
        self._looked_at = now
        if stood_still:
            return  # what clients sent meanwhile is still unread: that was not their time
        due = [
            connection
            for session, connection in self._connections.items()
            if connection.deadline <= now or session.pending_output
        ]
        for connection in due:
            if connection.deadline <= now:
                connection.overdue()
            else:
                connection.check_output(now)


class _Sessions(BaseHandler):
    """Makes a connection of each session."""

    def __init__(self, connections: dict[Session, Connection], service: Service) -> None:
        self._connections = connections
        self._service = service

    def opened(self, session: Session) -> None:
        assert isinstance(session, HttpSession), "the listener makes them"
        session.connection = self._connections[session] = Connection(session, self._service)

    def closed(self, session: Session, reason: str) -> None:
        assert isinstance(session, HttpSession), "the listener makes them"
        session.connection = None
        self._connections.pop(session).closed()


def _look_period(limits: HttpLimits) -> float:
    times = (limits.head_timeout_s, limits.body_timeout_s, limits.send_timeout_s, LINGER_S)
    shortest = min(times + ((limits.keep_alive_s,) if limits.keep_alive_s else ()))
    assert shortest > 0, "time limits are above zero"
    return min(LOOK_PERIOD_S, shortest / 4)


def _below(limits: HttpLimits) -> ServerLimits:
    return ServerLimits(
        max_pkg_size=limits.output_bytes_max or 1,
        buf_limit=1 if limits.output_bytes_max else 0,
        read_mem=limits.read_mem,
        write_mem=limits.write_mem,
        connections_max=limits.connections_max,
    )
