"""Whoever is sent away reads why, whatever it was saying meanwhile; a bounded number is waited for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from vxnet import farewell
from vxnet.farewell import Farewells
from vxnet.loop import new_event_loop

ANSWER = b"HTTP/1.1 403 Forbidden\r\n\r\n"
REQUEST = bytes(200_000)
DEADLINE_S = 10.0


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = new_event_loop()
    yield made
    made.close()


def pair() -> tuple[socket.socket, socket.socket]:
    """A client, and the server's end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname(), DEADLINE_S)
        return client, listening.accept()[0]


def turn(loop: asyncio.AbstractEventLoop, seconds: float = 0.05) -> None:
    loop.run_until_complete(asyncio.sleep(seconds))


def turn_until_all_are_gone(loop: asyncio.AbstractEventLoop, farewells: Farewells) -> None:
    async def gone() -> None:
        while len(farewells):
            await asyncio.sleep(0.01)

    loop.run_until_complete(asyncio.wait_for(gone(), DEADLINE_S))


def read_all(client: socket.socket) -> bytes:
    found = b""
    while data := client.recv(65_536):
        found += data
    return found


@pytest.mark.parametrize("when", ["before", "after", "never"])
def test_a_request_does_not_cost_the_answer(loop: asyncio.AbstractEventLoop, when: str) -> None:
    client, sock = pair()
    farewells = Farewells(loop)
    with client:
        if when == "before":
            client.sendall(REQUEST)
        farewells.end(sock, ANSWER)
        turn(loop)
        if when == "after":
            client.sendall(REQUEST)
            turn(loop)
        assert read_all(client) == ANSWER
    turn_until_all_are_gone(loop, farewells)
    assert sock.fileno() == -1


def test_one_that_does_not_stop_is_cut_off(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farewell, "LINGER_S", 0.05)
    farewells = Farewells(loop)
    silent, sock = pair()
    talker, other = pair()
    with silent, talker:
        farewells.end(sock)
        turn_until_all_are_gone(loop, farewells)
        monkeypatch.setattr(farewell, "LINGER_S", DEADLINE_S * 10)
        monkeypatch.setattr(farewell, "BYTES_MAX", 100_000)
        farewells.end(other)
        talker.sendall(REQUEST)
        turn_until_all_are_gone(loop, farewells)


def test_only_so_many_are_waited_for(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farewell, "COUNT_MAX", 2)
    farewells = Farewells(loop)
    pairs = [pair() for _ in range(3)]
    for _, sock in pairs:
        farewells.end(sock, ANSWER)
    assert len(farewells) == 2 and pairs[0][1].fileno() == -1
    farewells.stop()
    assert len(farewells) == 0
    for client, _ in pairs:
        with client:
            assert read_all(client) == ANSWER
