"""Server and client of every socket kind exchange data over real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vxnet.net import (
    DATAGRAM_KINDS,
    STREAM_KINDS,
    ClientRecorder,
    Recorder,
    address_of_kind,
    at_least,
    connecting,
    has_ipv6,
    run_until,
    serving,
)
from vxnet.datagram import Endpoint, Sender
from vxnet.loop import EventLoop
from vxnet.session import Session


def skip_without_ipv6(kind: str) -> None:
    if kind.endswith("6") and not has_ipv6():
        pytest.skip("no IPv6 here")


@pytest.mark.parametrize("kind", STREAM_KINDS)
def test_request_and_reply(loop: EventLoop, tmp_path: Path, kind: str) -> None:
    skip_without_ipv6(kind)
    server_side = Recorder()
    server_side.on_data = lambda session, data: session.send(data.upper())
    client_side = ClientRecorder()
    with (
        serving(loop, address_of_kind(kind, tmp_path), server_side) as server,
        connecting(loop, server.bound[0], client_side) as client,
    ):
        run_until(loop, lambda: client.session)
        assert client.send(b"hello")
        run_until(loop, lambda: client_side.received_bytes == b"HELLO")
        session = server_side.sessions[0]
        assert (session.id, session.kind, session.server) == (1, kind.removesuffix("6"), server)
        assert server.sessions == {1: session}
        if kind.startswith("tcp"):
            assert session.peer.startswith("[::1]:" if kind == "tcp6" else "127.0.0.1:")


@pytest.mark.parametrize("kind", DATAGRAM_KINDS)
def test_datagram_and_answer(loop: EventLoop, tmp_path: Path, kind: str) -> None:
    skip_without_ipv6(kind)

    def answer(endpoint: Endpoint, data: bytes, sender: Sender) -> None:
        endpoint.send_to(data.upper(), sender)

    server_side = Recorder()
    server_side.on_datagram = answer
    client_side = ClientRecorder()
    with (
        serving(loop, address_of_kind(kind, tmp_path), server_side) as server,
        connecting(loop, server.bound[0], client_side) as client,
    ):
        run_until(loop, lambda: client.session)
        for text in (b"one", b"two", b"three"):
            client.send(text)
        run_until(loop, lambda: len(client_side.data) == 3)
        assert client_side.data == [b"ONE", b"TWO", b"THREE"]
        assert [data for data, _ in server_side.datagrams] == [b"one", b"two", b"three"]
        assert (server.endpoints[0].received, server.endpoints[0].sent) == (3, 3)


def test_one_handler_serves_all_binds(loop: EventLoop, tmp_path: Path) -> None:
    kinds = ("tcp", "stream", "seqpacket")
    server_side = Recorder()
    addresses = [address_of_kind(kind, tmp_path, f"{kind}.sock") for kind in kinds]
    with serving(loop, addresses, server_side) as server:
        clients = [ClientRecorder() for _ in kinds]
        with (
            connecting(loop, server.bound[0], clients[0]),
            connecting(loop, server.bound[1], clients[1]),
            connecting(loop, server.bound[2], clients[2]),
        ):
            run_until(loop, lambda: len(server_side.sessions) == 3)
            assert {session.kind for session in server_side.sessions} == set(kinds)
            assert sorted(server.sessions) == [1, 2, 3]


def test_seqpacket_messages_stay_whole(loop: EventLoop, tmp_path: Path) -> None:
    server_side = Recorder()
    client_side = ClientRecorder()

    def answer_in_two(session: Session, data: bytes) -> None:
        session.hold(b"first of " + data)
        session.hold(b"second of " + data)
        session.flush()

    server_side.on_data = answer_in_two
    server_side.consume = lambda data: 0  # what a message handler returns does not matter
    with (
        serving(loop, address_of_kind("seqpacket", tmp_path), server_side) as server,
        connecting(loop, server.bound[0], client_side) as client,
    ):
        run_until(loop, lambda: client.session)
        client.send(b"a")
        client.send(b"b")
        run_until(loop, lambda: len(client_side.data) == 4)
        assert server_side.data == [b"a", b"b"]
        assert client_side.data == [b"first of a", b"second of a", b"first of b", b"second of b"]


def test_ids_are_never_given_twice(loop: EventLoop, tmp_path: Path) -> None:
    server_side = Recorder()
    with serving(loop, address_of_kind("tcp", tmp_path), server_side) as server:
        for count in (1, 2, 3):
            client_side = ClientRecorder()
            with connecting(loop, server.bound[0], client_side):
                run_until(loop, at_least(server_side.sessions, count))
            run_until(loop, lambda: not server.sessions)
        assert [number for number, _ in server_side.closings] == [1, 2, 3]
        assert [session.id for session in server_side.sessions] == [0, 0, 0]
