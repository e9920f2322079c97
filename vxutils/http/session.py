"""A stream session that can end in halves: the client's input first, or our output first.

    client shuts down its writing --> connection.input_ended()   answers still go out
    tells_when_sent --> all output sent --> connection.output_sent() --> shut_output()

An ordinary session closes at the end of the input and drops unsent output when it closes. Moves bytes only:
what they mean is for the `connection`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Protocol

from vxnet.address import Address, Kind
from vxnet.server import Handler, Server, ServerLimits
from vxnet.session import Session, SessionOwner, StreamSession
from vxnet.sock import in_words
from vxnet.tls import TlsLayer


class HttpSessionOwner(Protocol):
    """The connection, as its session sees it."""

    def received(self, data: bytes) -> None: ...

    def input_ended(self) -> None: ...

    def output_sent(self) -> None: ...


class HttpSession(StreamSession):
    """Told to its `connection`, which the handler sets when the session opens and clears when it closes."""

    __slots__ = ("connection", "tells_when_sent")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        kind: Kind,
        peer: str,
        owner: SessionOwner,
        *,
        scratch: memoryview,
        output_max: int,
    ) -> None:
        super().__init__(loop, sock, kind, peer, owner, scratch=scratch, input_max=0, output_max=output_max)
        self.connection: HttpSessionOwner | None = None
        self.tells_when_sent = False
        """Set: `connection.output_sent` is called, once, as soon as nothing is left to send."""

    def shut_output(self) -> None:
        """Tell the peer that nothing more comes. Closes the session if the peer is gone."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.close(in_words(error))

    def _readable(self) -> None:
        try:
            count = self._receive_into(self._scratch)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(in_words(error))
            return
        assert self.connection is not None, "an open session has a connection"
        if count:
            self.connection.received(bytes(self._scratch[:count]))
        else:
            self.connection.input_ended()

    def _drain(self) -> None:
        super()._drain()
        if self.tells_when_sent and self._is_open and not self._output.size:
            self.tells_when_sent = False
            assert self.connection is not None, "an open session has a connection"
            self.connection.output_sent()


class HttpListener(Server):
    """A server whose conversations are `HttpSession`s; with `tls`, encrypted ones."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        addresses: Sequence[Address],
        handler: Handler,
        limits: ServerLimits,
        tls: TlsLayer | None = None,
    ) -> None:
        assert all(address.kind in ("tcp", "stream") for address in addresses), "HTTP needs a stream of bytes"
        super().__init__(loop, addresses, handler, limits)
        self._tls = tls

    def start(self) -> None:
        super().start()
        if self._tls is not None:
            self._tls.start()

    def stop(self, reason: str = "server stopped") -> None:
        if self._tls is not None:
            self._tls.stop()
        super().stop(reason)

    def _make_session(self, sock: socket.socket, kind: Kind, peer: str) -> Session:
        return HttpSession(
            self._loop,
            sock if self._tls is None else self._tls.wrap(sock),
            kind,
            peer,
            self,
            scratch=self._scratch,
            output_max=self._limits.output_max,
        )
