"""Every call of the client ends exactly once: reply, refusal, timeout or lost connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.vxutils.rpc.driving import (
    CONNECTED_KINDS,
    ECHO,
    HANG_UP,
    KINDS,
    SILENT,
    EchoHandler,
    local_address,
    run_until,
)
from vxnet.address import Address, parse_address
from vxnet.client import ClientSettings
from vxnet.loop import new_event_loop
from vxnet.server import ServerLimits
from vxutils.rpc.client import CallError, Failure, RpcClient, RpcClientSettings
from vxutils.rpc.heartbeat import HeartbeatMode, HeartbeatPolicy
from vxutils.rpc.packet import Packet
from vxutils.rpc.server import RpcServer

LONG_S = 60.0


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = new_event_loop()
    yield loop
    loop.close()


class Outcomes:
    """Callbacks that note what came: bodies of replies, failures of the others."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, bytes | Failure]] = []

    def note(self, name: str) -> Callable[[Packet | CallError], None]:
        def callback(outcome: Packet | CallError) -> None:
            self.noted.append((name, outcome.body if isinstance(outcome, Packet) else outcome.failure))

        return callback


def settings(
    inflight_max: int = 100, heartbeat_timeout_s: float = LONG_S, max_pkg_size: int = 10_240
) -> RpcClientSettings:
    return RpcClientSettings(
        connection=ClientSettings(max_pkg_size=max_pkg_size, reconnect_timeout_s=0.05),
        heartbeat_s=0.05,
        heartbeat_timeout_s=heartbeat_timeout_s,
        inflight_max=inflight_max,
    )


OFF = HeartbeatPolicy(mode=HeartbeatMode.OFF)


@contextmanager
def serving(
    loop: asyncio.AbstractEventLoop, address: Address, policy: HeartbeatPolicy = OFF
) -> Iterator[tuple[RpcServer, EchoHandler]]:
    handler = EchoHandler()
    server = RpcServer(loop, [address], ServerLimits(), policy, handler)
    server.start()
    yield server, handler
    server.stop()


@contextmanager
def connected(
    loop: asyncio.AbstractEventLoop, address: Address, options: RpcClientSettings | None = None
) -> Iterator[RpcClient]:
    client = RpcClient(loop, "echo", [address], options or settings())
    client.start()
    run_until(loop, lambda: client.is_connected)
    yield client
    client.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_replies_find_their_calls(kind: str, loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    outcomes = Outcomes()
    with (
        serving(loop, local_address(kind, tmp_path)) as (server, _),
        connected(loop, server.bound[0]) as client,
    ):
        for number in range(8):  # the kernel queues only about ten datagrams for a unix socket
            client.call(ECHO, b"[%d]" % number, outcomes.note(str(number)), LONG_S, ext=b"key")
        assert (client.inflight, outcomes.noted) == (8, [])
        run_until(loop, lambda: len(outcomes.noted) == 8)
        assert outcomes.noted == [(str(number), b"[%d]" % number) for number in range(8)]
        assert client.inflight == 0


def test_request_id_and_ext_travel(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    replies: list[Packet | CallError] = []
    with (
        serving(loop, local_address("tcp", tmp_path)) as (server, _),
        connected(loop, server.bound[0]) as client,
    ):
        client.call(ECHO, b"[]", replies.append, LONG_S, ext=b"key", request_id=2**64 - 1)
        run_until(loop, lambda: bool(replies))
    [reply] = replies
    assert isinstance(reply, Packet)
    assert (reply.request_id, reply.ext) == (2**64 - 1, b"key")


def test_calls_of_one_turn_leave_together(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    outcomes = Outcomes()
    with (
        serving(loop, local_address("stream", tmp_path)) as (server, handler),
        connected(loop, server.bound[0]) as client,
    ):
        for _ in range(5):
            client.call(ECHO, b"[]", outcomes.note("echo"), LONG_S)
        run_until(loop, lambda: len(outcomes.noted) == 5)
        assert handler.batches == [[1, 2, 3, 4, 5]]


def test_refused_while_not_connected(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    outcomes = Outcomes()
    client = RpcClient(loop, "echo", [local_address("stream", tmp_path)], settings())
    client.call(ECHO, b"[]", outcomes.note("before start"), LONG_S)
    assert outcomes.noted == []
    client.start()
    client.call(ECHO, b"[]", outcomes.note("nobody there"), LONG_S)
    run_until(loop, lambda: len(outcomes.noted) == 2)
    assert outcomes.noted == [("before start", Failure.REFUSED), ("nobody there", Failure.REFUSED)]
    client.stop()


def test_refused_when_too_much_is_in_flight(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    outcomes = Outcomes()
    with (
        serving(loop, local_address("stream", tmp_path)) as (server, handler),
        connected(loop, server.bound[0], settings(inflight_max=2)) as client,
    ):
        for name in ("1", "2", "3"):
            client.call(SILENT, b"[]", outcomes.note(name), LONG_S)
        run_until(loop, lambda: bool(outcomes.noted) and bool(handler.batches))
        assert outcomes.noted == [("3", Failure.REFUSED)]
        assert handler.batches == [[1, 2]]


def test_oversized_request_is_the_callers_error(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    outcomes = Outcomes()
    with (
        serving(loop, local_address("tcp", tmp_path)) as (server, _),
        connected(loop, server.bound[0]) as client,
    ):
        with pytest.raises(ValueError, match="ext"):
            client.call(ECHO, b"[]", outcomes.note("never"), LONG_S, ext=b"x" * 65536)
        assert client.inflight == 0
        assert outcomes.noted == []


@pytest.mark.parametrize("kind", KINDS)
def test_timeout_and_late_reply(kind: str, loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    outcomes = Outcomes()
    with (
        serving(loop, local_address(kind, tmp_path)) as (server, handler),
        connected(loop, server.bound[0]) as client,
    ):
        client.call(SILENT, b"[]", outcomes.note("slow"), 0.05)
        run_until(loop, lambda: bool(outcomes.noted) and bool(handler.late_replies))
        assert outcomes.noted == [("slow", Failure.TIMEOUT)]
        handler.late_replies[0]()
        run_until(loop, lambda: client.unmatched_replies == 1)
        client.call(ECHO, b"[]", outcomes.note("next"), LONG_S)
        run_until(loop, lambda: len(outcomes.noted) == 2)
        assert outcomes.noted[1] == ("next", b"[]")


@pytest.mark.parametrize("kind", CONNECTED_KINDS)
def test_lost_connection_fails_what_is_in_flight_and_comes_back(
    kind: str, loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    outcomes = Outcomes()
    with (
        serving(loop, local_address(kind, tmp_path)) as (server, _),
        connected(loop, server.bound[0]) as client,
    ):
        client.call(SILENT, b"[]", outcomes.note("in flight"), LONG_S)
        client.call(HANG_UP, b"[]", outcomes.note("hang up"), LONG_S)
        run_until(loop, lambda: len(outcomes.noted) == 2)
        assert outcomes.noted == [("in flight", Failure.DISCONNECTED), ("hang up", Failure.DISCONNECTED)]
        client.call(ECHO, b"[]", outcomes.note("while down"), LONG_S)
        run_until(loop, lambda: client.is_connected)
        client.call(ECHO, b"[1]", outcomes.note("again"), LONG_S)
        run_until(loop, lambda: len(outcomes.noted) == 4)
        assert outcomes.noted[2:] == [("while down", Failure.REFUSED), ("again", b"[1]")]


def test_stop_fails_what_is_in_flight(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    outcomes = Outcomes()
    with (
        serving(loop, local_address("tcp", tmp_path)) as (server, _),
        connected(loop, server.bound[0]) as client,
    ):
        client.call(SILENT, b"[]", outcomes.note("in flight"), LONG_S)
        client.stop()
        assert outcomes.noted == [("in flight", Failure.DISCONNECTED)]


def test_timeout_callback_may_stop_the_client(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    outcomes = Outcomes()
    with (
        serving(loop, local_address("tcp", tmp_path)) as (server, _),
        connected(loop, server.bound[0]) as client,
    ):

        def stop(outcome: Packet | CallError) -> None:
            outcomes.note("timed out")(outcome)
            client.stop()

        client.call(SILENT, b"[]", stop, 0.01)
        client.call(SILENT, b"[]", outcomes.note("in flight"), LONG_S)
        run_until(loop, lambda: len(outcomes.noted) >= 2)
        assert outcomes.noted == [("timed out", Failure.TIMEOUT), ("in flight", Failure.DISCONNECTED)]


def test_oversized_reply_closes_and_says_so(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    outcomes = Outcomes()
    with (
        serving(loop, local_address("tcp", tmp_path)) as (server, _),
        connected(loop, server.bound[0], settings(max_pkg_size=1000)) as client,
    ):
        client.call(ECHO, b"x" * 964, outcomes.note("fits"), LONG_S)
        run_until(loop, lambda: len(outcomes.noted) == 1)
        client.call(ECHO, b"x" * 965, outcomes.note("too large"), LONG_S)
        run_until(loop, lambda: len(outcomes.noted) == 2)
        assert outcomes.noted == [("fits", b"x" * 964), ("too large", Failure.DISCONNECTED)]


def test_heartbeats_keep_the_connection(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    policy = HeartbeatPolicy(
        mode=HeartbeatMode.HEARTBEATS_ONLY, timeout_s=0.4, check_s=0.05, timeout_min_s=0.4, timeout_max_s=0.4
    )
    with (
        serving(loop, local_address("stream", tmp_path), policy) as (server, handler),
        connected(loop, server.bound[0], settings(heartbeat_timeout_s=0.4)) as client,
    ):
        ends_at = loop.time() + 1.0
        run_until(loop, lambda: loop.time() > ends_at)
        assert client.is_connected
        assert (handler.opened_count, handler.reasons) == (1, [])


def test_silent_server_is_given_up_and_tried_again(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    outcomes = Outcomes()
    with serving(loop, local_address("stream", tmp_path)) as (server, handler):
        server.reply = lambda session, data: None
        with connected(loop, server.bound[0], settings(heartbeat_timeout_s=0.2)) as client:
            client.call(SILENT, b"[]", outcomes.note("in flight"), LONG_S)
            run_until(loop, lambda: handler.opened_count == 2)
        assert outcomes.noted == [("in flight", Failure.DISCONNECTED)]


def test_no_heartbeat_over_datagrams(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    with (
        serving(loop, local_address("udp", tmp_path)) as (server, handler),
        connected(loop, server.bound[0], settings(heartbeat_timeout_s=0.1)) as client,
    ):
        ends_at = loop.time() + 0.4
        run_until(loop, lambda: loop.time() > ends_at)
        assert client.is_connected
        assert server.server.endpoints[0].received == handler.datagrams == 0


def test_second_address_is_used_when_the_first_is_dead(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    dead = parse_address(f"stream@{tmp_path}/nobody")
    outcomes = Outcomes()
    with serving(loop, local_address("stream", tmp_path)) as (server, _):
        client = RpcClient(loop, "echo", [dead, server.bound[0]], settings())
        client.start()
        run_until(loop, lambda: client.is_connected)
        client.call(ECHO, b"[]", outcomes.note("echo"), LONG_S)
        run_until(loop, lambda: bool(outcomes.noted))
        assert outcomes.noted == [("echo", b"[]")]
        client.stop()


def test_only_a_refusal_is_surely_without_effect() -> None:
    assert {failure for failure in Failure if not CallError(failure, "").outcome_unknown} == {Failure.REFUSED}
