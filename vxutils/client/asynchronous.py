"""The client with `await`: any number of calls at once, over a bounded number of kept connections.

    call -> room (connections_max at once, others wait) -> kept or new connection -> exchange -> kept again

It owns its connections. All methods on one event loop. Laws and errors are those of the blocking client.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from vxutils.client.attempts import Attempts, check_retries
from vxutils.client.blocking import REPLY_BYTES_MAX, TIMEOUT_S, connect_failure
from vxutils.client.errors import ExchangeError, KeptConnectionGone, NoAnswer, Outcome, WireError
from vxutils.client.place import Place, parse_place
from vxutils.client.reply import Reply, result_of
from vxutils.client.request import Parameter, Request, make_encoded_request, make_request
from vxutils.protocol import codes

CONNECTIONS_MAX: Final = 8

_READ_BYTES: Final = 256 * 1024


class AsyncClient:
    """Calls to `url`, as `Client`. `timeout_s` bounds one attempt, including the wait for room.

    Calls made at the same time are answered in any order. An async context manager.

    Raises: ValueError for a URL, token or number that makes no sense.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: int = 0,
        reply_bytes_max: int = REPLY_BYTES_MAX,
        connections_max: int = CONNECTIONS_MAX,
        ca: Path | None = None,
    ) -> None:
        if not timeout_s > 0:
            raise ValueError(f"timeout_s must be more than 0, but is {timeout_s}")
        if connections_max < 1:
            raise ValueError(f"connections_max must be at least 1, but is {connections_max}")
        self._place = parse_place(url, token, reply_bytes_max, ca)
        self._timeout_s = timeout_s
        self._retries = check_retries(retries)
        self._room = asyncio.Semaphore(connections_max)
        self._kept: list[_Connection] = []
        self._last_id = 0

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._place.shown!r})"

    async def close(self) -> None:
        """Close the connections that no call uses now; a later call makes new ones."""
        kept, self._kept = self._kept, []
        for connection in kept:
            connection.close()
        await asyncio.sleep(0)  # closing takes one turn of the loop

    async def call(self, method: str, *parameters: Parameter, idempotency_key: str | None = None) -> Any:
        """As `Client.call`. Cancelled, a call that changes something may have been executed."""
        return await self._call(make_request(method, parameters, idempotency_key))

    async def call_json(self, method: str, parameters: bytes, *, idempotency_key: str | None = None) -> Any:
        """As `Client.call_json`."""
        return await self._call(make_encoded_request(method, parameters, idempotency_key))

    async def _call(self, request: Request) -> Any:
        if self._place.is_rpc and request.command is None:
            unknown = codes.METHOD_NOT_FOUND
            raise ExchangeError(unknown.code, unknown.message, {}, Outcome.NOT_SENT)
        attempts = Attempts(request, self._retries)
        while True:
            try:
                return await self._attempt(request)
            except ExchangeError as error:
                pause_s = attempts.pause_after(error)
            await asyncio.sleep(pause_s)

    async def _attempt(self, request: Request) -> Any:
        connection: _Connection | None = None
        is_sound = False
        self._last_id += 1
        request_id = self._last_id
        try:
            async with asyncio.timeout(self._timeout_s), self._room:
                connection = await self._take_connection()
                try:
                    reply = await connection.exchange(request, request_id)
                    is_sound = connection.is_reusable
                    return result_of(reply, request_id)
                except NoAnswer:
                    is_sound = False
                    raise
                finally:
                    if is_sound:
                        self._kept.append(connection)
                    else:
                        connection.close()
        except TimeoutError:
            if connection is None:
                text = f"{self._place.shown} can not be reached: no connection in time"
                raise NoAnswer(text, Outcome.NOT_SENT) from None
            raise NoAnswer(f"{self._place.shown} did not answer in time", Outcome.UNKNOWN) from None

    async def _take_connection(self) -> _Connection:
        """A kept one, unless the peer has closed it meanwhile; or a new one."""
        if self._kept:
            await asyncio.sleep(0)  # so that the loop notices a connection that was closed while nobody read
        while self._kept:
            connection = self._kept.pop()
            if not connection.is_at_end():
                return connection
            connection.close()
        try:
            return await _connect(self._place)
        except TimeoutError:
            raise
        except OSError as error:
            reason = connect_failure(error)
            raise NoAnswer(f"{self._place.shown} can not be reached: {reason}", Outcome.NOT_SENT) from error


class _Connection:
    """One open connection and its wire."""

    def __init__(self, place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._shown = place.shown
        self._wire = place.make_wire()
        self._was_used = False
        self._reader = reader
        self._writer = writer

    @property
    def is_reusable(self) -> bool:
        return self._wire.is_reusable

    def is_at_end(self) -> bool:
        return self._reader.at_eof() or self._reader.exception() is not None

    async def exchange(self, request: Request, request_id: int) -> Reply:
        """Raises: NoAnswer."""
        is_kept, self._was_used = self._was_used, True
        try:
            self._writer.write(self._wire.request(request, request_id))
            await self._writer.drain()
            while True:
                reply = self._wire.receive(await self._reader.read(_READ_BYTES))
                if reply is not None:
                    return reply
        except (OSError, WireError) as error:
            kind = KeptConnectionGone if is_kept else NoAnswer
            raise kind(f"{self._shown}: {error}", Outcome.UNKNOWN) from error

    def close(self) -> None:
        """At once: what has not left yet must not leave after the call has ended."""
        self._writer.transport.abort()


async def _connect(place: Place) -> _Connection:
    """Raises: OSError."""
    if place.path:
        reader, writer = await asyncio.open_unix_connection(place.path)
    else:
        reader, writer = await asyncio.open_connection(place.host, place.port, ssl=place.tls)
    return _Connection(place, reader, writer)
