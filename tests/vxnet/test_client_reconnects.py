"""The client comes back by itself, at the right moment, to the right address."""

from __future__ import annotations

import contextlib
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vxnet.net import (
    ClientRecorder,
    Recorder,
    address_of_kind,
    at_least,
    connecting,
    descriptor_shortage,
    run_for,
    run_until,
    serving,
)
from vxnet.address import Address, parse_address
from vxnet.client import _connect_problem
from vxnet.loop import EventLoop
from vxnet.session import Session

NEVER_S = 3600.0  # a wait that would fail the test if it were waited for
KINDS = ["tcp", "stream", "seqpacket"]


@pytest.fixture
def nobody() -> Iterator[Address]:
    """An address that refuses connections: bound, so that nobody else gets it, and not listening."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield parse_address(f"tcp@127.0.0.1:{holder.getsockname()[1]}")


@pytest.fixture
def silent() -> Iterator[Address]:
    """An address that neither accepts nor refuses: its backlog is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield parse_address(f"tcp@127.0.0.1:{listener.getsockname()[1]}")


@pytest.mark.parametrize("kind", KINDS)
def test_server_comes_later_and_again(loop: EventLoop, tmp_path: Path, kind: str) -> None:
    with serving(loop, address_of_kind(kind, tmp_path), Recorder()) as server:
        address = server.bound[0]
    client_side = ClientRecorder()
    with connecting(loop, address, client_side, reconnect_timeout_s=0.02) as client:
        run_until(loop, lambda: len(client_side.failures) >= 2)
        assert not client.send(b"into the void")
        for round_number in (1, 2):
            server_side = Recorder()
            with serving(loop, address, server_side):
                run_until(loop, at_least(client_side.sessions, round_number))
                assert client.send(b"hello")
                run_until(loop, at_least(server_side.data, 1))
            run_until(loop, at_least(client_side.reasons, round_number))
            assert client.session is None
    assert set(client_side.reasons) <= {"closed by peer", "connection reset by peer"}


def test_the_first_attempt_is_made_by_the_loop_not_within_start(loop: EventLoop, nobody: Address) -> None:
    client_side = ClientRecorder()
    with connecting(loop, nobody, client_side):
        assert client_side.failures == []
        run_until(loop, lambda: client_side.failures == ["connection refused"])


def test_one_address_waits_before_the_next_attempt(loop: EventLoop, nobody: Address) -> None:
    client_side = ClientRecorder()
    with connecting(loop, nobody, client_side, reconnect_timeout_s=0.1):
        run_for(loop, 0.25)
    assert 1 <= len(client_side.failures) <= 3


def test_several_addresses_the_next_one_at_once(loop: EventLoop, tmp_path: Path, nobody: Address) -> None:
    server_side = Recorder()
    client_side = ClientRecorder()
    with serving(loop, address_of_kind("tcp", tmp_path), server_side) as server:
        addresses = [nobody, nobody, server.bound[0]]
        with connecting(loop, addresses, client_side, reconnect_timeout_s=NEVER_S) as client:
            run_until(loop, lambda: client.session)
            assert client.address == server.bound[0]
    assert client_side.failures == ["connection refused"] * 2


def test_several_addresses_wait_after_the_last(loop: EventLoop, nobody: Address) -> None:
    client_side = ClientRecorder()
    with connecting(loop, [nobody, nobody, nobody], client_side, reconnect_timeout_s=NEVER_S) as client:
        run_until(loop, lambda: len(client_side.failures) == 3)
        run_for(loop, 0.05)
        assert len(client_side.failures) == 3
        assert client.address == nobody


def test_a_lost_connection_goes_to_the_next_address_at_once(loop: EventLoop, tmp_path: Path) -> None:
    first_side, second_side, client_side = Recorder(), Recorder(), ClientRecorder()
    with (
        serving(loop, address_of_kind("tcp", tmp_path), first_side) as first,
        serving(loop, address_of_kind("tcp", tmp_path), second_side) as second,
        connecting(loop, [first.bound[0], second.bound[0]], client_side, reconnect_timeout_s=NEVER_S),
    ):
        run_until(loop, lambda: first_side.sessions)
        first_side.sessions[0].close("go away")
        run_until(loop, lambda: second_side.sessions)
        assert client_side.reasons == ["closed by peer"]


def test_no_answer_to_a_connection_attempt(loop: EventLoop, tmp_path: Path, silent: Address) -> None:
    client_side = ClientRecorder()
    with (
        serving(loop, address_of_kind("tcp", tmp_path), Recorder()) as server,
        connecting(loop, [silent, server.bound[0]], client_side, reconnect_timeout_s=0.05) as client,
    ):
        run_until(loop, lambda: client.session)
        assert client_side.failures == ["no connection in time"]


def test_asked_to_reconnect_it_does_so_at_once(loop: EventLoop, tmp_path: Path) -> None:
    client_side = ClientRecorder()
    with (
        serving(loop, address_of_kind("tcp", tmp_path), Recorder()) as server,
        connecting(loop, server.bound[0], client_side, reconnect_timeout_s=NEVER_S) as client,
    ):
        client.reconnect("nothing to give up yet")
        run_until(loop, lambda: client.session)
        client.reconnect("heartbeat timeout")
        assert client_side.reasons == ["heartbeat timeout"]
        assert client.session is None
        run_until(loop, lambda: client.session)
        assert len(client_side.sessions) == 2


def test_out_of_descriptors_it_tries_again(loop: EventLoop, tmp_path: Path) -> None:
    client_side = ClientRecorder()
    with (
        serving(loop, address_of_kind("tcp", tmp_path), Recorder()) as server,
        descriptor_shortage() as shortage,
    ):
        loop.call_soon(shortage.begin)
        with connecting(loop, server.bound[0], client_side, reconnect_timeout_s=0.02) as client:
            run_until(loop, lambda: len(client_side.failures) >= 2)
            assert set(client_side.failures) == {"too many open files"}
            shortage.end()
            run_until(loop, lambda: client.session)


def test_stop_makes_no_other_attempt(loop: EventLoop, tmp_path: Path, nobody: Address) -> None:
    client_side = ClientRecorder()
    with connecting(loop, nobody, client_side, reconnect_timeout_s=0.01) as client:
        run_until(loop, lambda: client_side.failures)
        client.stop()
        client.stop()
        count = len(client_side.failures)
        run_for(loop, 0.05)
        assert len(client_side.failures) == count


@pytest.mark.parametrize("moment", ["connected", "closed"])
def test_stop_within_a_callback(loop: EventLoop, tmp_path: Path, moment: str) -> None:
    class Stops(ClientRecorder):
        def connected(self, session: Session) -> None:
            super().connected(session)
            if moment == "connected":
                client.stop()
            else:
                session.close("done")

        def closed(self, session: Session | None, reason: str) -> None:
            super().closed(session, reason)
            client.stop()

    client_side = Stops()
    with (
        serving(loop, address_of_kind("tcp", tmp_path), Recorder()) as server,
        connecting(loop, server.bound[0], client_side, reconnect_timeout_s=0.01) as client,
    ):
        run_until(loop, lambda: client_side.reasons)
        run_for(loop, 0.05)
        assert len(client_side.sessions) == len(client_side.reasons) == 1
        assert client.session is None


def test_a_reply_larger_than_allowed_closes(loop: EventLoop, tmp_path: Path) -> None:
    class Waits(ClientRecorder):
        def received(self, session: Session, data: bytes) -> int:
            return 0

    server_side, client_side = Recorder(), Waits()
    with (
        serving(loop, address_of_kind("tcp", tmp_path), server_side) as server,
        connecting(loop, server.bound[0], client_side, max_pkg_size=1000),
    ):
        run_until(loop, lambda: server_side.sessions)
        server_side.sessions[0].send(b"x" * 1000)
        run_until(loop, lambda: client_side.reasons)
        assert client_side.reasons == ["packet larger than max_pkg_size 1000"]


def test_a_connection_to_itself_is_none() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        assert _connect_problem(sock) == "connected to itself: nobody listens there"


def test_dgram_client_has_a_private_path_and_removes_it(
    loop: EventLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "private"
    private.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(private))
    client_side = ClientRecorder()
    address = address_of_kind("dgram", tmp_path)
    with connecting(loop, address, client_side, reconnect_timeout_s=0.02) as client:
        run_until(loop, lambda: client_side.failures)
        assert list(private.iterdir()) == []
        with serving(loop, address, Recorder()):
            run_until(loop, lambda: client.session)
            (path,) = private.iterdir()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        # The server is gone: sending shows it, and the client comes back to its successor.
        client.send(b"lost")
        assert client_side.reasons == ["connection refused"]
        assert list(private.iterdir()) == []
        server_side = Recorder()
        with serving(loop, address, server_side):
            run_until(loop, lambda: client.session)
            client.send(b"found")
            run_until(loop, lambda: server_side.datagrams)
    assert list(private.iterdir()) == []


def test_udp_client_notices_that_nobody_listens(loop: EventLoop, tmp_path: Path) -> None:
    with serving(loop, address_of_kind("udp", tmp_path), Recorder()) as server:
        address = server.bound[0]
    client_side = ClientRecorder()
    with connecting(loop, address, client_side, reconnect_timeout_s=0.02) as client:
        run_until(loop, lambda: client.session)
        client.send(b"anybody?")
        run_until(loop, lambda: client_side.reasons == ["connection refused"])
        run_until(loop, lambda: client.session)


def test_datagram_client_drops_what_is_too_large(loop: EventLoop, tmp_path: Path) -> None:
    server_side, client_side = Recorder(), ClientRecorder()
    server_side.on_datagram = lambda endpoint, data, sender: endpoint.send_to(data * 10, sender)
    with (
        serving(loop, address_of_kind("udp", tmp_path), server_side) as server,
        connecting(loop, server.bound[0], client_side, max_pkg_size=100) as client,
    ):
        run_until(loop, lambda: client.session)
        client.send(b"x" * 70_000)
        client.send(b"x" * 11)
        client.send(b"x" * 10)
        run_until(loop, lambda: client_side.data)
        assert client_side.data == [b"x" * 100]
        assert client.session is not None
