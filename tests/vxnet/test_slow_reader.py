"""Output: a slow reader gets everything in order; one that never reads is closed in time."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.vxnet.net import (
    Recorder,
    address_of_kind,
    open_descriptors,
    plain_peer,
    run_for,
    run_until,
    serving,
)
from vxnet.loop import EventLoop

SMALL = {"write_mem": 4096, "max_pkg_size": 10_000}


@pytest.mark.parametrize("kind", ["tcp", "stream"])
def test_everything_arrives_in_order(loop: EventLoop, tmp_path: Path, kind: str) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind(kind, tmp_path), handler, buf_limit=1000, **SMALL) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        run_until(loop, lambda: handler.sessions)
        session = handler.sessions[0]
        expected = b""
        for number in range(200):
            piece = b"%06d" % number * 1000
            expected += piece
            session.hold(piece[:10])
            session.send(piece[10:])
        assert session.pending_output > 0, "the test needs a full socket"
        peer.setblocking(False)
        got = bytearray()

        def read_a_little() -> None:
            try:
                got.extend(peer.recv(20_000))
            except BlockingIOError:
                pass
            loop.call_later(0.0005, read_a_little)

        loop.call_soon(read_a_little)
        run_until(loop, lambda: len(got) == len(expected))
        assert bytes(got) == expected
        assert session.pending_output == 0
        assert not handler.closings


@pytest.mark.parametrize("kind", ["tcp", "stream", "seqpacket"])
def test_who_never_reads_is_closed(loop: EventLoop, tmp_path: Path, kind: str) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind(kind, tmp_path), handler, buf_limit=10, **SMALL) as server,
        plain_peer(server.bound[0]),
        plain_peer(server.bound[0]) as bystander,
    ):
        run_until(loop, lambda: len(handler.sessions) == 2)
        lazy, well = handler.sessions
        sends = 0
        while lazy.is_open:
            lazy.send(b"z" * 5000)
            sends += 1
            assert sends < 10_000, "output without a bound"
            assert lazy.pending_output <= 10 * 10_000 + 5000
        assert handler.closings == [(1, "no send buf")]
        assert lazy.pending_output == 0
        well.send(b"fine")
        assert bystander.recv(10) == b"fine"


def test_zero_means_unlimited(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind("tcp", tmp_path), handler, buf_limit=0, **SMALL) as server,
        plain_peer(server.bound[0]),
    ):
        run_until(loop, lambda: handler.sessions)
        for _ in range(20):
            handler.sessions[0].send(b"z" * 1_000_000)
        assert handler.sessions[0].pending_output > 10_000_000
        assert handler.sessions[0].is_open


def test_held_output_is_one_send(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind("stream", tmp_path), handler) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        run_until(loop, lambda: handler.sessions)
        session = handler.sessions[0]
        for number in range(100):
            session.hold(b"%02d" % number)
        assert session.pending_output == 200
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(1000)
        session.flush()
        assert session.pending_output == 0
        assert peer.recv(1000) == b"".join(b"%02d" % number for number in range(100))


def test_waiting_messages_stay_whole_and_ordered(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind("seqpacket", tmp_path), handler, buf_limit=1000, **SMALL) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        run_until(loop, lambda: handler.sessions)
        session = handler.sessions[0]
        expected = [b"%04d" % number * (1 + number % 50) for number in range(1000)]
        for message in expected:
            session.send(message)
        assert session.pending_output > 0
        peer.setblocking(False)
        got: list[bytes] = []

        def read_some() -> None:
            try:
                while True:
                    got.append(peer.recv(20_000))
            except BlockingIOError:
                loop.call_later(0.0005, read_some)

        loop.call_soon(read_some)
        run_until(loop, lambda: len(got) == len(expected))
        assert got == expected


def test_descriptors_waiting_for_a_peer_are_few_and_closed(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind("seqpacket", tmp_path), handler, buf_limit=1000) as server,
        plain_peer(server.bound[0]),
        socket.socket() as passed,
    ):
        run_until(loop, lambda: handler.sessions)
        session = handler.sessions[0]
        before = open_descriptors()
        sends = 0
        while session.is_open:
            session.send_descriptor(passed.fileno(), b"yours")
            sends += 1
            assert sends < 10_000, "descriptors without a bound"
            assert open_descriptors() <= before + 66
        assert handler.reasons == ["no send buf"]
        assert open_descriptors() == before - 1


def test_a_full_socket_does_not_keep_the_loop_busy(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind("tcp", tmp_path), handler, buf_limit=1000, **SMALL) as server,
        plain_peer(server.bound[0]),
    ):
        run_until(loop, lambda: handler.sessions)
        handler.sessions[0].send(b"z" * 5_000_000)
        assert handler.sessions[0].pending_output
        before_s = time.process_time()
        run_for(loop, 0.4)
        assert time.process_time() - before_s < 0.2
