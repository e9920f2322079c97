"""Accepting: limits, pauses, running out of descriptors, adopted descriptors."""

from __future__ import annotations

import logging
import socket
import time
from pathlib import Path

import pytest

from tests.vxnet.net import (
    Recorder,
    address_of_kind,
    descriptor_shortage,
    plain_peer,
    run_for,
    run_until,
    serving,
)
from vxnet.loop import EventLoop
from vxnet.session import Session


def test_connections_over_the_maximum_are_closed_at_once(
    loop: EventLoop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Recorder()
    with serving(loop, address_of_kind("tcp", tmp_path), handler, connections_max=3) as server:
        peers = [plain_peer(server.bound[0]) for _ in range(10)]
        run_until(loop, lambda: server.connections_refused == 7)
        assert len(server.sessions) == len(handler.sessions) == 3
        assert [peer.recv(10) for peer in peers[3:]] == [b""] * 7
        handler.sessions[0].close("room")
        peers.append(plain_peer(server.bound[0]))
        run_until(loop, lambda: len(server.sessions) == 3)
        assert sorted(server.sessions) == [2, 3, 4]
        for peer in peers:
            peer.close()
    warnings = [record for record in caplog.records if "connections_max 3" in record.getMessage()]
    assert len(warnings) == 1, "at most one line per second"


def test_paused_connections_wait(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind("tcp", tmp_path), handler) as server,
        plain_peer(server.bound[0]) as first,
    ):
        run_until(loop, lambda: handler.sessions)
        server.pause_accepting()
        with plain_peer(server.bound[0]) as second:
            second.send(b"second")
            first.send(b"first")
            run_until(loop, lambda: handler.data == [b"first"])
            run_for(loop, 0.02)
            assert len(handler.sessions) == 1
            server.resume_accepting()
            run_until(loop, lambda: handler.data == [b"first", b"second"])


def test_pause_from_within_opened_takes_effect_at_once(loop: EventLoop, tmp_path: Path) -> None:
    class OneAtATime(Recorder):
        def opened(self, session: Session) -> None:
            super().opened(session)
            assert session.server is not None
            session.server.pause_accepting()

    handler = OneAtATime()
    with serving(loop, address_of_kind("tcp", tmp_path), handler) as server:
        server.pause_accepting()
        peers = [plain_peer(server.bound[0]) for _ in range(5)]
        server.resume_accepting()
        run_until(loop, lambda: handler.sessions)
        run_for(loop, 0.02)
        assert len(handler.sessions) == 1
        for peer in peers:
            peer.close()


def test_running_out_of_descriptors_does_not_spin(
    loop: EventLoop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind("tcp", tmp_path), handler) as server,
        plain_peer(server.bound[0]) as served,
        descriptor_shortage() as shortage,
    ):
        run_until(loop, lambda: handler.sessions)
        peers = [socket.socket() for _ in range(5)]

        def begin() -> None:
            shortage.begin()
            for peer in peers:
                peer.connect(server.bound[0].sockaddr())
            served.send(b"still served")

        loop.call_soon(begin)
        before_s = time.process_time()
        run_for(loop, 0.5)
        assert time.process_time() - before_s < 0.3, "the listener was watched all the time"
        assert len(handler.sessions) == 1
        assert handler.data == [b"still served"]
        shortage.end()
        run_until(loop, lambda: len(handler.sessions) == 6)
        for peer in peers:
            peer.close()
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert lines == [f"{server.bound[0]}: can not accept for now: too many open files"]


def test_stop_while_out_of_descriptors(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind("tcp", tmp_path), handler) as server,
        socket.socket() as peer,
        descriptor_shortage() as shortage,
    ):
        loop.call_soon(shortage.begin)
        loop.call_soon(peer.connect, server.bound[0].sockaddr())
        run_for(loop, 0.03)
        server.stop()
        shortage.end()
        run_for(loop, 0.15)
        assert not handler.sessions


@pytest.mark.parametrize(
    ("family", "socktype", "kind"),
    [(socket.AF_UNIX, socket.SOCK_STREAM, "stream"), (socket.AF_UNIX, socket.SOCK_SEQPACKET, "seqpacket")],
)
def test_an_adopted_descriptor_is_a_session(
    loop: EventLoop, tmp_path: Path, family: int, socktype: int, kind: str
) -> None:
    handler = Recorder()
    handler.on_data = lambda session, data: session.send(data.upper())
    with serving(loop, [], handler, connections_max=1) as server:
        ours, theirs = socket.socketpair(family, socktype)
        session = server.adopt(ours)
        assert session is not None
        assert (session.kind, session.id, server.sessions) == (kind, 1, {1: session})
        theirs.send(b"hello")
        run_until(loop, lambda: handler.data)
        theirs.settimeout(5)
        assert theirs.recv(10) == b"HELLO"
        one_more, other_end = socket.socketpair(family, socktype)
        assert server.adopt(one_more) is None
        assert one_more.fileno() == -1
        theirs.close()
        other_end.close()


def test_adopting_a_connection_that_is_gone(loop: EventLoop) -> None:
    handler = Recorder()
    with serving(loop, [], handler) as server:
        gone = socket.socket()
        assert server.adopt(gone) is None
        assert gone.fileno() == -1
        assert not handler.sessions


def test_kernel_buffers_are_set_on_each_connection(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind("tcp", tmp_path), handler, read_mem=20_000, write_mem=30_000) as server,
        plain_peer(server.bound[0]),
    ):
        run_until(loop, lambda: handler.sessions)
        sock = handler.sessions[0]._socket
        # The kernel doubles what it is asked for, to have room for its own bookkeeping.
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 40_000
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 60_000
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_five_hundred_sessions_at_once(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    handler.on_data = lambda session, data: session.send(data)
    with serving(loop, address_of_kind("tcp", tmp_path), handler) as server:
        peers = [plain_peer(server.bound[0]) for _ in range(500)]
        run_until(loop, lambda: len(server.sessions) == 500)
        for number, peer in enumerate(peers):
            peer.send(b"%d" % number)
        run_until(loop, lambda: len(handler.data) == 500)
        assert [peer.recv(10) for peer in peers] == [b"%d" % number for number in range(500)]
        for peer in peers:
            peer.close()
        run_until(loop, lambda: not server.sessions)
