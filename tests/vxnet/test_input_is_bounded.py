"""Input: any cut of the stream gives the same data; what is never finished closes its session only."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest

from tests.vxnet.net import Recorder, address_of_kind, at_least, plain_peer, run_until, serving
from vxnet.errors import PeerError
from vxnet.loop import EventLoop
from vxnet.session import READ_SIZE, Session

LINES = [b"a\n", b"bc\n", b"\n", b"d" * 63 + b"\n"]


def whole_lines(data: bytes) -> int:
    return data.rfind(b"\n") + 1


class Lines(Recorder):
    """Uses whole lines only."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[bytes] = []
        self.consume = whole_lines
        self.on_data = self.keep_lines

    def keep_lines(self, session: Session, data: bytes) -> None:
        self.lines += data[: whole_lines(data)].splitlines(keepends=True)


@pytest.mark.parametrize("kind", ["tcp", "stream"])
def test_byte_by_byte(loop: EventLoop, tmp_path: Path, kind: str) -> None:
    handler = Lines()
    with (
        serving(loop, address_of_kind(kind, tmp_path), handler, max_pkg_size=64) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        for count, byte in enumerate(b"".join(LINES), start=1):
            peer.send(bytes([byte]))
            run_until(loop, at_least(handler.data, count))
        assert handler.lines == LINES


def test_random_cuts(loop: EventLoop, tmp_path: Path) -> None:
    handler = Lines()
    cutter = random.Random(7)
    lines = [bytes([cutter.randrange(65, 90)]) * cutter.randrange(60) + b"\n" for _ in range(500)]
    text = b"".join(lines)
    with (
        serving(loop, address_of_kind("tcp", tmp_path), handler, max_pkg_size=64) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        while text:
            size = cutter.randrange(1, 200)
            peer.send(text[:size])
            text = text[size:]
            run_until(loop, lambda: not handler.sessions or handler.data)
        run_until(loop, lambda: len(handler.lines) == len(lines))
        assert handler.lines == lines
        assert not handler.closings


@pytest.mark.parametrize(("length", "closed"), [(63, False), (64, True), (5000, True)])
def test_unfinished_input_of_the_maximum_closes(
    loop: EventLoop, tmp_path: Path, caplog: pytest.LogCaptureFixture, length: int, closed: bool
) -> None:
    handler = Lines()
    with (
        serving(loop, address_of_kind("tcp", tmp_path), handler, max_pkg_size=64) as server,
        plain_peer(server.bound[0]) as peer,
        plain_peer(server.bound[0]) as bystander,
    ):
        peer.send(b"x" * length)
        run_until(loop, lambda: handler.data)
        bystander.send(b"still here\n")
        run_until(loop, lambda: handler.lines == [b"still here\n"])
        assert handler.reasons == (["packet larger than max_pkg_size 64"] if closed else [])
    faults = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(faults) == closed
    assert all(text.startswith("peer: 127.0.0.1:") for text in faults)


def test_many_small_packets_in_one_read_are_not_one_large_packet(loop: EventLoop, tmp_path: Path) -> None:
    handler = Lines()
    with (
        serving(loop, address_of_kind("stream", tmp_path), handler, max_pkg_size=64) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        peer.sendall(b"0123456\n" * 1000)
        run_until(loop, lambda: len(handler.lines) == 1000)
        assert not handler.closings
        assert max(map(len, handler.data)) > 64


def test_one_read_per_readiness_is_bounded(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    limits = {"max_pkg_size": 64, "read_mem": 4_000_000}
    with (
        serving(loop, address_of_kind("tcp", tmp_path), handler, **limits) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        peer.setblocking(False)
        sent = peer.send(b"y" * 4_000_000)
        run_until(loop, lambda: len(handler.received_bytes) == sent)
        assert max(map(len, handler.data)) <= READ_SIZE


def test_too_large_seqpacket_message_closes(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind("seqpacket", tmp_path), handler, max_pkg_size=64) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        peer.send(b"x" * 64)
        peer.send(b"y" * 65)
        run_until(loop, lambda: handler.closings)
        assert handler.data == [b"x" * 64]
        assert handler.reasons[0].startswith("packet larger than max_pkg_size 64")


@pytest.mark.parametrize("kind", ["tcp", "stream", "seqpacket"])
def test_a_broken_rule_closes_and_is_logged_once(
    loop: EventLoop, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    def refuse(session: Session, data: bytes) -> None:
        raise PeerError("decode msg error: bad magic")

    handler = Recorder()
    handler.on_data = refuse
    with (
        serving(loop, address_of_kind(kind, tmp_path), handler) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        peer.send(b"nonsense")
        run_until(loop, lambda: handler.closings)
        assert handler.reasons == ["decode msg error: bad magic"]
        assert peer.recv(100) == b""
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.records[0].getMessage().endswith(": decode msg error: bad magic")
