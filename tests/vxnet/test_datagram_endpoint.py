"""Datagram binds: whole datagrams or none, answers to their sender, the rest dropped and counted."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.vxnet.net import Recorder, address_of_kind, plain_peer, run_until, serving
from vxnet.datagram import PASS_DATAGRAMS_MAX, Endpoint, Sender
from vxnet.errors import PeerError
from vxnet.loop import EventLoop


@pytest.mark.parametrize("kind", ["udp", "dgram"])
def test_a_larger_datagram_is_dropped_whole(loop: EventLoop, tmp_path: Path, kind: str) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind(kind, tmp_path), handler, max_pkg_size=100) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        for size in (100, 101, 5000, 1):
            peer.send(b"x" * size)
        run_until(loop, lambda: len(handler.datagrams) == 2)
        assert [len(data) for data, _ in handler.datagrams] == [100, 1]
        assert server.endpoints[0].dropped_too_large == 2
        assert server.endpoints[0].received == 2


def test_an_empty_datagram_is_a_datagram(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind("udp", tmp_path), handler) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        peer.send(b"")
        run_until(loop, lambda: handler.datagrams)
        assert handler.datagrams[0][0] == b""


@pytest.mark.parametrize("kind", ["udp", "dgram"])
def test_every_answer_goes_to_its_sender(loop: EventLoop, tmp_path: Path, kind: str) -> None:
    handler = Recorder()
    with serving(loop, address_of_kind(kind, tmp_path), handler) as server:
        peers = []
        for number in range(3):
            peer = socket.socket(server.bound[0].family, socket.SOCK_DGRAM)
            peer.bind(("127.0.0.1", 0) if kind == "udp" else str(tmp_path / f"peer{number}"))
            peer.connect(server.bound[0].sockaddr())
            peer.settimeout(5)
            peer.send(b"%d" % number)
            peers.append(peer)
        run_until(loop, lambda: len(handler.datagrams) == 3)
        # Answered late and in another order: the sender counts, not who spoke last.
        for data, sender in reversed(handler.datagrams):
            server.endpoints[0].send_to(b"to " + data, sender)
        assert [peer.recv(10) for peer in peers] == [b"to 0", b"to 1", b"to 2"]
        for peer in peers:
            peer.close()


def test_a_sender_without_a_name_can_not_be_answered(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    handler.on_datagram = lambda endpoint, data, sender: endpoint.send_to(b"reply", sender)
    with (
        serving(loop, address_of_kind("dgram", tmp_path), handler) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        peer.send(b"anonymous")
        run_until(loop, lambda: handler.datagrams)
        assert server.endpoints[0].dropped_unanswerable == 1


def test_a_sender_that_is_gone(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with serving(loop, address_of_kind("dgram", tmp_path), handler) as server:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
            peer.bind(str(tmp_path / "peer"))
            peer.sendto(b"x", server.bound[0].path)
        run_until(loop, lambda: handler.datagrams)
        server.endpoints[0].send_to(b"reply", handler.datagrams[0][1])
        (tmp_path / "peer").unlink()
        server.endpoints[0].send_to(b"reply", handler.datagrams[0][1])
        assert server.endpoints[0].dropped_unanswerable == 2
        assert server.endpoints[0].sent == 0


def test_a_sender_that_does_not_read(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind("dgram", tmp_path), handler) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer,
    ):
        peer.bind(str(tmp_path / "peer"))
        peer.sendto(b"x", server.bound[0].path)
        run_until(loop, lambda: handler.datagrams)
        endpoint = server.endpoints[0]
        for _ in range(10_000):
            endpoint.send_to(b"reply" * 100, handler.datagrams[0][1])
        assert endpoint.dropped_busy > 0
        assert endpoint.sent + endpoint.dropped_busy == 10_000


def test_a_faulty_datagram_is_counted_and_the_others_served(
    loop: EventLoop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def check(endpoint: Endpoint, data: bytes, sender: Sender) -> None:
        if data == b"bad":
            raise PeerError("decode msg error: bad crc")

    handler = Recorder()
    handler.on_datagram = check
    with (
        serving(loop, address_of_kind("udp", tmp_path), handler) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        for text in (b"bad", b"good", b"bad", b"bad", b"good"):
            peer.send(text)
        run_until(loop, lambda: len(handler.datagrams) == 5)
        assert server.endpoints[0].dropped_faulty == 3
    assert len(caplog.records) == 1, "a flood of bad datagrams does not flood the log"
    assert "bad crc" in caplog.records[0].getMessage()


def test_one_socket_does_not_take_the_whole_pass(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    addresses = [address_of_kind("udp", tmp_path), address_of_kind("udp", tmp_path)]
    with serving(loop, addresses, handler) as server:
        with plain_peer(server.bound[0]) as busy, plain_peer(server.bound[1]) as other:
            for _ in range(PASS_DATAGRAMS_MAX * 2):
                busy.send(b"busy")
            other.send(b"other")
            run_until(loop, lambda: len(handler.datagrams) == PASS_DATAGRAMS_MAX * 2 + 1)
        texts = [data for data, _ in handler.datagrams]
        assert texts.index(b"other") <= PASS_DATAGRAMS_MAX


def test_stop_within_a_datagram(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind("udp", tmp_path), handler) as server,
        plain_peer(server.bound[0]) as peer,
    ):
        handler.on_datagram = lambda endpoint, data, sender: server.stop()
        peer.send(b"one")
        peer.send(b"two")
        run_until(loop, lambda: handler.datagrams)
        assert len(handler.datagrams) == 1
        server.endpoints[0].send_to(b"too late", handler.datagrams[0][1])
