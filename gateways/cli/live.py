"""A client of the websocket gateway for the command line: calls, pushes, and coming back after a failure.

    connected --> reader task --> reply --> whoever called
        |                     --> push  --> take_push
    follow:  connected, begin, until it ends, pause, connected ...

It knows no market: what to subscribe to and what pushes mean is the caller's. Errors are those of
`vxutils.client`. A connection belongs to the loop that made it.

Source: protocol.md 9.2; docs/websocket.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from gateways.cli.gateway_urls import with_scheme
from vxutils.client import NoAnswer, Outcome
from vxutils.client.blocking import connect_failure
from vxutils.client.place import Place, parse_place
from vxutils.client.reply import OK, Reply, result_of

TIMEOUT_S: Final = 5.0
MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
PAUSE_FIRST_S: Final = 0.25
PAUSE_MAX_S: Final = 4.0

Push = Callable[[str, list[Any]], None]
"""Takes the method and the params of a push. A msgspec.ValidationError of it ends the connection."""


class _Message(msgspec.Struct):
    id: int | None = None
    method: str = ""
    params: list[Any] = []


_decode = msgspec.json.Decoder(_Message).decode


class Gateway(msgspec.Struct, frozen=True):
    """Where the websocket gateway is."""

    url: str
    place: Place


def parse_gateway(url: str, ca: Path | None = None) -> Gateway:
    """`ws://host:port` or `wss://host:port`; `ca` as in `vxutils.client`. Raises: ValueError, a sentence."""
    place = parse_place(with_scheme(url, ("http", "https")), None, MESSAGE_BYTES_MAX, ca)
    return Gateway(url, place)


class LiveConnection:
    """One open connection; made by `connected`."""

    def __init__(self, socket: ClientConnection, shown: str, take_push: Push) -> None:
        self._socket = socket
        self._shown = shown
        self._take_push = take_push
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._last_id = 0
        self._reader = asyncio.create_task(self._read())

    async def call(self, method: str, *params: Any) -> Any:
        """The result. Raises: ExchangeError; NoAnswer, also when the connection ends meanwhile."""
        self._last_id += 1
        request_id = self._last_id
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = waiting
        request = msgspec.json.encode({"id": request_id, "method": method, "params": params})
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._socket.send(request.decode())
                reply = await waiting
        except TimeoutError:
            raise NoAnswer(f"{self._shown} did not answer in time", Outcome.UNKNOWN) from None
        except ConnectionClosed as error:
            raise self._gone(str(error)) from None
        finally:
            self._waiting.pop(request_id, None)
        return result_of(Reply(OK, reply), request_id)

    async def ended(self) -> NoReturn:
        """Until the connection ends. Raises: NoAnswer with the reason."""
        reason = await asyncio.shield(self._reader)
        raise self._gone(reason)

    async def close(self) -> None:
        """Say goodbye, and wait for the end."""
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader
        await self._socket.close()

    async def _read(self) -> str:
        """Until the connection ends; why it did."""
        reason = "the connection was closed"
        try:
            async for text in self._socket:
                self._take(text.encode() if isinstance(text, str) else text)
        except ConnectionClosed as error:
            reason = str(error)
        except msgspec.MsgspecError as error:
            reason = f"what came is no message ({error})"
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(self._gone(reason))
        return reason

    def _take(self, text: bytes) -> None:
        message = _decode(text)
        if message.id is None:
            self._take_push(message.method, message.params)
            return
        waiting = self._waiting.get(message.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(text)

    def _gone(self, reason: str) -> NoAnswer:
        return NoAnswer(f"{self._shown}: {reason}", Outcome.UNKNOWN)


def ignore(method: str, params: list[Any]) -> None:
    """For whoever wants no pushes."""


@asynccontextmanager
async def connected(gateway: Gateway, take_push: Push = ignore) -> AsyncIterator[LiveConnection]:
    """An open connection, closed at the end. Raises: NoAnswer if there is none."""
    try:
        socket = await connect(
            gateway.url,
            ssl=gateway.place.tls,
            proxy=None,
            open_timeout=TIMEOUT_S,
            close_timeout=1.0,
            max_size=MESSAGE_BYTES_MAX,
        )
    except OSError as error:
        text = f"{gateway.url} can not be reached: {connect_failure(error)}"
        raise NoAnswer(text, Outcome.NOT_SENT) from error
    except WebSocketException as error:
        raise NoAnswer(f"{gateway.url} is no websocket gateway: {error}", Outcome.REFUSED) from error
    connection = LiveConnection(socket, gateway.url, take_push)
    try:
        yield connection
    finally:
        await connection.close()


async def follow(
    gateway: Gateway,
    take_push: Push,
    begin: Callable[[LiveConnection], Awaitable[None]],
    tell: Callable[[str], None],
) -> NoReturn:
    """Stay connected for ever: `begin` subscribes on each new connection.

    `tell` gets a sentence whenever the connection is lost or can not be had, and "" when all is well again.
    An error of `begin` that is no NoAnswer ends it.
    """
    pause_s = PAUSE_FIRST_S
    while True:
        try:
            async with connected(gateway, take_push) as connection:
                await begin(connection)
                tell("")
                pause_s = PAUSE_FIRST_S
                await connection.ended()
        except NoAnswer as error:
            tell(error.message)
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, PAUSE_MAX_S)
