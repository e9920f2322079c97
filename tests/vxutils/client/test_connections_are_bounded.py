"""How many connections there are, who waits for whom, and what is left behind: nothing."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from tests.support.processes import wait_until
from tests.vxutils.client.serving import CLIENTS, Caller, Seen, Silent, http, result, scripted
from vxutils.client import AsyncClient, Client, NoAnswer, Outcome


def echo(seen: Seen) -> bytes:
    time.sleep(0.005)
    return http({"error": None, "result": seen.body["params"][0], "id": seen.body["id"]})


def test_threads_share_one_connection_and_get_their_own_answers() -> None:
    wrong: list[int] = []
    with scripted(*[echo] * 40) as server, Client(server.url) as client:

        def work(number: int) -> None:
            for turn in range(10):
                if client.call("balance.query", number * 100 + turn) != number * 100 + turn:
                    wrong.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert not wrong and len(server.seen) == 40
    assert server.connections == 1


def test_calls_at_once_use_a_bounded_number_of_connections() -> None:
    async def work(url: str) -> list[int]:
        async with AsyncClient(url, timeout_s=10, connections_max=3) as client:
            return await asyncio.gather(*(client.call("balance.query", number) for number in range(40)))

    with scripted(*[echo] * 40) as server:
        assert asyncio.run(work(server.url)) == list(range(40))
        assert server.connections == 3


def test_no_room_in_time_is_a_call_not_sent() -> None:
    async def work(url: str) -> list[object]:
        async with AsyncClient(url, timeout_s=0.2, connections_max=1) as client:
            calls = (client.call("order.cancel", number) for number in range(2))
            return await asyncio.gather(*calls, return_exceptions=True)

    with scripted(Silent()) as server:
        outcomes = [error.outcome for error in asyncio.run(work(server.url)) if isinstance(error, NoAnswer)]
        assert outcomes == [Outcome.UNKNOWN, Outcome.NOT_SENT]
        assert len(server.seen) == 1


def test_a_cancelled_call_leaves_no_connection_for_the_next() -> None:
    async def work(url: str) -> object:
        async with AsyncClient(url, timeout_s=10, connections_max=1) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.call("order.cancel", 1), 0.1)
            return await client.call("market.list")

    with scripted(Silent(), result("mine")) as server:
        assert asyncio.run(work(server.url)) == "mine"
        assert [seen.connection for seen in server.seen] == [1, 2]


@pytest.mark.parametrize("kind", CLIENTS)
def test_closed_is_closed_and_may_be_used_again(kind: str) -> None:
    with scripted(result(1), result(2)) as server, Caller(kind, server.url) as caller:
        assert caller.call("market.list") == 1
        caller.disconnect()
        caller.disconnect()
        assert caller.call("market.list") == 2
        assert server.connections == 2


@pytest.mark.parametrize("kind", CLIENTS)
def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next(kind: str) -> None:
    both = http({"error": None, "result": "right", "id": 1}) + http(
        {"error": None, "result": "wrong", "id": 2}
    )
    with scripted(both, result("own")) as server, Caller(kind, server.url) as caller:
        assert caller.call("market.list") == "right"
        assert caller.call("market.list") == "own"
        assert server.connections == 2


def test_a_reply_that_drips_ends_at_the_deadline() -> None:
    """The time bounds the whole attempt, not each read."""
    stop = threading.Event()

    def drip(seen: Seen) -> bytes:
        connection = server._open[-1]
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
        connection.sendall(head)
        while not stop.wait(0.02):
            connection.sendall(b"x")
        return b""

    with scripted(drip, drip) as server:
        for kind in CLIENTS:
            begun = time.monotonic()
            with Caller(kind, server.url, timeout_s=0.3) as caller, pytest.raises(NoAnswer, match="in time"):
                caller.call("market.list")
            assert time.monotonic() - begun < 5
        stop.set()
        wait_until(lambda: len(server.seen) == 2, "both requests")
