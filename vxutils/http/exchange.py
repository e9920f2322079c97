"""One request and the place of its answer; and what the owner of a server does with them.

Knows nothing of order and bytes: the connection sends answers in the order of the requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from vxutils.http.messages import Request

C_STYLE_SILENT: Final = frozenset((400, 414, 431, 501, 505))
"""Faults at which the C system closes without an answer. Source: protocol 8.2."""


class Answering(Protocol):
    """The connection, as its exchanges see it."""

    @property
    def is_c_style(self) -> bool: ...

    def is_gone(self, exchange: Exchange) -> bool: ...

    def is_next(self, exchange: Exchange) -> bool: ...

    def answered(
        self, exchange: Exchange, status: int, body: bytes, headers: Sequence[tuple[str, str]], close: bool
    ) -> None: ...

    def abandoned(self, exchange: Exchange) -> None: ...


class Exchange:
    """A request and the place of its answer: answered once. If the client is gone, answering does nothing."""

    __slots__ = ("_connection", "answer", "closes", "on_gone", "request")

    def __init__(self, connection: Answering, request: Request, *, closes: bool) -> None:
        self.request = request
        self.on_gone: Callable[[], None] | None = None
        """Called when the connection ends before the answer; never after it."""
        self.answer: bytes | None = None
        """The bytes to send, once answered; for the connection."""
        self.closes = closes
        """Whether the connection closes after this answer; for the connection."""
        self._connection = connection

    @property
    def is_gone(self) -> bool:
        """Whether nobody can receive the answer. A client may be gone without our knowing."""
        return self._connection.is_gone(self)

    @property
    def is_next(self) -> bool:
        """Whether all requests before it on its connection have been answered."""
        return self._connection.is_next(self)

    def respond(
        self, status: int, body: bytes = b"", headers: Sequence[tuple[str, str]] = (), close: bool = False
    ) -> None:
        """Answer; with `close` the connection ends after it, and requests behind it get no answer.

        Date, Content-Length and Connection are added.
        """
        assert self.answer is None, "a request is answered once"
        if not self.is_gone:
            self._connection.answered(self, status, body, headers, close)

    def refuse(self, status: int) -> None:
        """An empty answer and the end; in C style only the end, where the C system does so."""
        if self._connection.is_c_style and status in C_STYLE_SILENT:
            self.abandon()
        else:
            self.respond(status, close=True)

    def abandon(self) -> None:
        """End the connection without an answer, once those before it have been sent."""
        assert self.answer is None, "a request is answered once"
        if not self.is_gone:
            self._connection.abandoned(self)


class HttpHandler(Protocol):
    """What the owner of an `HttpServer` provides. Called on the loop; must not block."""

    def request(self, exchange: Exchange) -> None:
        """One whole request; `exchange.respond` answers it, now or later."""
        ...

    def malformed(self, exchange: Exchange, status: int, reason: str) -> None:
        """What came is no request, or beyond a limit; `exchange.refuse(status)` is the usual answer.

        `exchange.request` is empty but for `peer`. Whatever is answered, the connection closes after it.
        """
        ...


class BaseHttpHandler:
    """Gives malformed requests the usual answer; `request` is missing."""

    def malformed(self, exchange: Exchange, status: int, reason: str) -> None:
        exchange.refuse(status)
