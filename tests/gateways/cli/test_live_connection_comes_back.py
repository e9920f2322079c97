"""The websocket of the command line against a server that misbehaves; and where the gateways are."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from gateways.cli.gateway_urls import http_beside, is_on_this_machine, websocket_beside
from gateways.cli.live import LiveConnection, connected, follow, parse_gateway
from vxutils.client import ExchangeError, NoAnswer, Outcome

DEADLINE_S = 10.0

Talk = Callable[[ServerConnection], Awaitable[None]]


def run(talk: Talk, use: Callable[[str], Awaitable[None]]) -> None:
    """`use` the URL of a server that talks to each connection like that."""

    async def both() -> None:
        async with asyncio.timeout(DEADLINE_S), serve(talk, "127.0.0.1", 0) as server:
            await use(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    asyncio.run(both())


def reply(request: Any, **members: Any) -> str:
    return json.dumps({"error": None, "result": None, "id": json.loads(request)["id"]} | members)


async def answer_all(sock: ServerConnection) -> None:
    async for request in sock:
        await sock.send(json.dumps({"method": "price.update", "params": ["M", "7"], "id": None}))
        await sock.send(reply(request, result=json.loads(request)["params"]))


def test_replies_find_their_calls_and_pushes_their_taker() -> None:
    pushes: list[tuple[str, list[Any]]] = []

    async def use(url: str) -> None:
        async with connected(parse_gateway(url), lambda *push: pushes.append(push)) as connection:
            found = await asyncio.gather(*(connection.call("x", number) for number in range(5)))
            assert found == [[number] for number in range(5)]

    run(answer_all, use)
    assert pushes == [("price.update", ["M", "7"])] * 5


def test_errors_and_ends_are_told() -> None:
    async def talk(sock: ServerConnection) -> None:
        await sock.send(reply(await sock.recv(), error={"code": 1, "message": "invalid argument"}))
        await sock.recv()
        await sock.close(1013, "too slow")

    async def use(url: str) -> None:
        async with connected(parse_gateway(url)) as connection:
            with pytest.raises(ExchangeError, match="invalid argument") as refused:
                await connection.call("x")
            assert refused.value.outcome is Outcome.REFUSED
            with pytest.raises(NoAnswer, match="too slow"):
                await connection.call("x")
            with pytest.raises(NoAnswer, match="too slow"):
                await connection.ended()

    run(talk, use)


def test_what_is_no_message_ends_the_connection() -> None:
    async def talk(sock: ServerConnection) -> None:
        await sock.send("[]")
        await sock.wait_closed()

    async def use(url: str) -> None:
        async with connected(parse_gateway(url)) as connection:
            with pytest.raises(NoAnswer, match="no message"):
                await connection.ended()

    run(talk, use)


def test_following_begins_again_after_each_end() -> None:
    told: list[str] = []
    begun = 0

    async def talk(sock: ServerConnection) -> None:
        await sock.send(reply(await sock.recv()))

    async def use(url: str) -> None:
        enough = asyncio.Event()

        async def begin(connection: LiveConnection) -> None:
            nonlocal begun
            begun += 1
            await connection.call("price.subscribe", "M")
            if begun == 3:
                enough.set()

        following = asyncio.create_task(follow(parse_gateway(url), lambda *_: None, begin, told.append))
        await enough.wait()
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following

    run(talk, use)
    assert (begun == 3 and told[0] == "" and "closed" in told[1]) or "received 1000" in told[1]


def test_nobody_there_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"

    async def use() -> None:
        async with connected(parse_gateway(url)):
            raise AssertionError("connected")

    with pytest.raises(NoAnswer, match="can not be reached") as nobody:
        asyncio.run(use())
    assert nobody.value.outcome is Outcome.NOT_SENT


@pytest.mark.parametrize(
    ("http", "websocket"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8090"),
        ("https://[::1]:9080", "wss://[::1]:9090"),
        ("https://example.com", "wss://example.com"),
    ],
)
def test_one_gateway_is_beside_the_other(http: str, websocket: str) -> None:
    assert websocket_beside(http) == websocket and http_beside(websocket) == http


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8090", "ftp://x:1", "http://127.0.0.1:8090", "ws://", "ws://x:y"]
)
def test_wrong_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        parse_gateway(url)


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.9.9.9:1", True),
        ("https://[::1]:1/rpc", True),
        ("http://localhost:1", True),
        ("http://10.0.0.1:1", False),
        ("http://0.0.0.0:1", False),
        ("http://localhost.example.com:1", False),
        ("http://127.0.0.1.example.com:1", False),
    ],
)
def test_only_loopback_is_this_machine(url: str, is_here: bool) -> None:
    assert is_on_this_machine(url) is is_here
