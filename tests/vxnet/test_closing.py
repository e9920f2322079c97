"""Closing: once, from any callback, whoever does it; our own faults end the loop instead."""

from __future__ import annotations

import gc
import socket
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.vxnet.net import Recorder, address_of_kind, plain_peer, run_until, serving
from vxnet.loop import EventLoop
from vxnet.session import Session

KINDS = ["tcp", "stream", "seqpacket"]


class ClosesWhenOpened(Recorder):
    def opened(self, session: Session) -> None:
        super().opened(session)
        session.close("not today")


class ClosesWhenClosed(Recorder):
    def closed(self, session: Session, reason: str) -> None:
        super().closed(session, reason)
        session.close("again")
        session.fault("and again")
        session.send(b"too late")


@pytest.mark.parametrize("kind", KINDS)
def test_peer_goes_away(loop: EventLoop, tmp_path: Path, kind: str) -> None:
    handler = Recorder()
    with serving(loop, address_of_kind(kind, tmp_path), handler) as server:
        with plain_peer(server.bound[0]) as peer:
            peer.send(b"bye")
        run_until(loop, lambda: handler.closings)
        assert handler.data == [b"bye"]
        assert handler.closings == [(1, "closed by peer")]
        assert handler.sessions[0].id == 0
        assert server.sessions == {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "act",
    [
        lambda session: session.close("enough"),
        lambda session: (session.close("enough"), session.close("more")),
        lambda session: (session.send(b"ok"), session.close("enough"), session.send(b"lost")),
        lambda session: session.server.stop("enough"),
    ],
    ids=["close", "twice", "around sends", "whole server"],
)
def test_close_while_receiving(
    loop: EventLoop, tmp_path: Path, kind: str, act: Callable[[Session], object]
) -> None:
    handler = Recorder()
    handler.on_data = lambda session, data: act(session)
    handler.consume = lambda data: 0
    with (
        serving(loop, address_of_kind(kind, tmp_path), handler, max_pkg_size=4) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        peer.send(b"ping")
        run_until(loop, lambda: handler.closings)
        assert handler.closings == [(1, "enough")]
        assert not handler.sessions[0].is_open
        assert handler.sessions[0].pending_output == 0
        assert server.sessions == {}
        assert peer.recv(100) in (b"", b"ok")


def test_close_when_opened(loop: EventLoop, tmp_path: Path) -> None:
    handler = ClosesWhenOpened()
    with (
        serving(loop, address_of_kind("tcp", tmp_path), handler) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        run_until(loop, lambda: handler.closings)
        assert peer.recv(10) == b""
        assert handler.closings == [(1, "not today")]


def test_close_when_closed(loop: EventLoop, tmp_path: Path) -> None:
    handler = ClosesWhenClosed()
    with serving(loop, address_of_kind("tcp", tmp_path), handler) as server:
        plain_peer(server.bound[0]).close()
        run_until(loop, lambda: handler.closings)
        assert handler.closings == [(1, "closed by peer")]


def test_sessions_close_one_another_in_one_pass(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    peers: list[socket.socket] = []
    with serving(loop, address_of_kind("tcp", tmp_path), handler) as server:
        peers += [plain_peer(server.bound[0]) for _ in range(20)]
        run_until(loop, lambda: len(server.sessions) == 20)

        def close_all_others(session: Session, data: bytes) -> None:
            for other in list(server.sessions.values()):
                if other is not session:
                    other.close("shown the door")

        handler.on_data = close_all_others
        for peer in peers:
            peer.send(b"me first")
        run_until(loop, lambda: len(server.sessions) == 1)
        assert handler.data == [b"me first"]
        newcomer = plain_peer(server.bound[0])  # takes a descriptor number of a closed one
        peers.append(newcomer)
        handler.on_data = None
        newcomer.send(b"hello")
        run_until(loop, lambda: handler.data[-1] == b"hello")
    for peer in peers:
        peer.close()


def test_our_own_fault_leaves_the_loop(loop: EventLoop, tmp_path: Path) -> None:
    def break_down(session: Session, data: bytes) -> None:
        raise KeyError("ours")

    handler = Recorder()
    handler.on_data = break_down
    with (
        serving(loop, address_of_kind("tcp", tmp_path), handler) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        peer.send(b"x")
        with pytest.raises(KeyError, match="ours"):
            run_until(loop, lambda: False)


@pytest.mark.parametrize("consumed", [-1, 5])
def test_a_handler_that_lies_about_what_it_used_is_our_fault(
    loop: EventLoop, tmp_path: Path, consumed: int
) -> None:
    handler = Recorder()
    handler.consume = lambda data: consumed
    with (
        serving(loop, address_of_kind("tcp", tmp_path), handler) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        peer.send(b"1234")
        with pytest.raises(AssertionError, match="consumes"):
            run_until(loop, lambda: False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_session_is_freed_without_the_garbage_collector(
    loop: EventLoop, tmp_path: Path, kind: str
) -> None:
    class Belongings:
        pass

    handler = Recorder()
    gc.disable()
    try:
        with (
            serving(loop, address_of_kind(kind, tmp_path), handler) as server,
            plain_peer(server.bound[0]) as peer,
        ):
            run_until(loop, lambda: handler.sessions)
            session = handler.sessions.pop()
            session.data = Belongings()
            gone = weakref.ref(session.data)
            del session
            peer.send(b"x")
            run_until(loop, lambda: handler.data)
            assert gone() is not None
            peer.close()
            run_until(loop, lambda: handler.closings)
            run_until(loop, lambda: gone() is None, 2.0)
    finally:
        gc.enable()
