"""Requests over every kind of socket; broken ones cost the one who sent them and nobody else."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.vxutils.rpc.driving import (
    CONNECTED_KINDS,
    ECHO,
    HANG_UP,
    KINDS,
    REFUSED,
    SILENT,
    local_address,
    running_server,
    wait_for,
)
from vxnet.session import Session
from vxutils.rpc.blocking import BlockingClient
from vxutils.rpc.packet import KIND_REPLY, Packet, encode_packet
from vxutils.rpc.server import RpcServer


def request(sequence: int, command: int = ECHO, body: bytes = b"[]") -> bytes:
    return encode_packet(command, 0, sequence, sequence, body)


def heartbeat(sequence: int, body: bytes = b"") -> bytes:
    return request(sequence, 0, body)


@pytest.mark.parametrize("kind", KINDS)
def test_request_and_heartbeat_are_answered(kind: str, tmp_path: Path) -> None:
    with (
        running_server([local_address(kind, tmp_path)]) as running,
        BlockingClient(running.address) as client,
    ):
        assert client.roundtrip(encode_packet(ECHO, 0, 7, 9, b"[1]", b"key")) == Packet(
            ECHO, KIND_REPLY, 0, 7, 9, b"key", b"[1]"
        )
        beat_reply = client.roundtrip(heartbeat(5, bytes.fromhex("01000400b80b0000")))
        assert beat_reply == Packet(0, KIND_REPLY, 0, 5, 5, b"", b"")
        assert client.call(ECHO, b'{"error": null, "result": [1], "id": 1}')["result"] == [1]


def test_all_addresses_are_served(tmp_path: Path) -> None:
    with running_server([local_address(kind, tmp_path, kind) for kind in KINDS]) as running:
        for address in running.server.bound:
            with BlockingClient(address) as client:
                assert client.roundtrip(request(1)).sequence == 1


def test_packets_of_one_read_come_in_one_call(tmp_path: Path) -> None:
    with (
        running_server([local_address("stream", tmp_path)]) as running,
        BlockingClient(running.address) as client,
    ):
        client.send(b"".join(request(n) for n in range(1, 6)))
        assert [client.receive().sequence for _ in range(5)] == [1, 2, 3, 4, 5]
        assert running.handler.batches == [[1, 2, 3, 4, 5]]


def test_fed_byte_by_byte(tmp_path: Path) -> None:
    with (
        running_server([local_address("tcp", tmp_path)]) as running,
        BlockingClient(running.address) as client,
    ):
        for byte in request(1) + heartbeat(2) + request(3):
            client.send(bytes([byte]))
        assert [client.receive().sequence for _ in range(3)] == [1, 2, 3]


def test_heartbeats_keep_their_place_between_replies(tmp_path: Path) -> None:
    with (
        running_server([local_address("stream", tmp_path)]) as running,
        BlockingClient(running.address) as client,
    ):
        client.send(request(1) + heartbeat(2) + heartbeat(3) + request(4) + request(5) + heartbeat(6))
        assert [client.receive().sequence for _ in range(6)] == [1, 2, 3, 4, 5, 6]
        assert running.handler.batches == [[1], [4, 5]]


def test_owner_decides_when_a_heartbeat_reply_leaves(tmp_path: Path) -> None:
    held: list[tuple[Session, bytes]] = []

    def hold_replies(server: RpcServer) -> None:
        server.reply = lambda session, data: held.append((session, data))

    with (
        running_server([local_address("stream", tmp_path)], prepare=hold_replies) as running,
        BlockingClient(running.address) as client,
    ):
        client.send(heartbeat(1) + heartbeat(2))
        assert client.roundtrip(request(3)).sequence == 3
        [(session, data)] = held
        running.loop.call_soon_threadsafe(session.send, data)
        assert [client.receive().sequence for _ in range(2)] == [1, 2]


def broken_magic() -> bytes:
    return b"x" + request(9)[1:]


def broken_crc() -> bytes:
    return request(9)[:-1] + b"x"


def too_large() -> bytes:
    return request(9)[:30] + (2**32 - 1).to_bytes(4, "little") + request(9)[34:]


def short_heartbeat() -> bytes:
    return heartbeat(9, b"\x01\x00")


BROKEN: list[tuple[Callable[[], bytes], str]] = [
    (broken_magic, "decode msg error: bad magic"),
    (broken_crc, "decode msg error: bad crc"),
    (too_large, "decode msg error: packet larger than max_pkg_size 10240"),
    (short_heartbeat, "heartbeat option cut short"),
    (lambda: request(9, REFUSED), "not an array"),
    (lambda: request(9, HANG_UP) + heartbeat(10) + request(11), "hung up"),
]


@pytest.mark.parametrize(("make", "reason"), BROKEN)
def test_broken_packet_closes_its_session_after_those_before_it(
    make: Callable[[], bytes], reason: str, tmp_path: Path
) -> None:
    with (
        running_server([local_address("tcp", tmp_path)]) as running,
        BlockingClient(running.address) as other,
        BlockingClient(running.address) as client,
    ):
        client.send(request(1) + heartbeat(2) + make())
        assert [client.receive().sequence for _ in range(2)] == [1, 2]
        with pytest.raises(ConnectionError):
            client.receive()
        assert running.reason() == reason
        assert other.roundtrip(request(3)).sequence == 3
        assert not any(11 in batch for batch in running.handler.batches)


@pytest.mark.parametrize("kind", ["udp", "dgram", "seqpacket"])
def test_broken_message_is_dropped_and_counted(kind: str, tmp_path: Path) -> None:
    messages = [
        b"12345",
        request(9)[:-1],
        request(9) + b"x",
        request(9) * 2,
        broken_magic(),
        broken_crc(),
        too_large(),
    ]
    if kind != "seqpacket":
        messages += [b"", short_heartbeat()]
    with (
        running_server([local_address(kind, tmp_path)]) as running,
        BlockingClient(running.address) as client,
    ):
        for message in messages:
            client.send(message)
            assert client.roundtrip(request(1)).sequence == 1
        if kind == "seqpacket":
            assert running.server.dropped_messages == len(messages)
        else:
            assert running.server.server.endpoints[0].dropped_faulty == len(messages)
            assert running.handler.datagrams == len(messages)


@pytest.mark.parametrize("kind", CONNECTED_KINDS)
def test_largest_packet_is_accepted_and_one_byte_more_closes(kind: str, tmp_path: Path) -> None:
    with running_server([local_address(kind, tmp_path)], max_pkg_size=1000) as running:
        with BlockingClient(running.address) as client:
            assert len(client.roundtrip(request(1, body=b"x" * 964)).body) == 964
            client.send(request(2, body=b"x" * 965))
            with pytest.raises(ConnectionError):
                client.receive()
        assert "max_pkg_size 1000" in running.reason()


def test_replies_to_datagrams_go_to_each_sender(tmp_path: Path) -> None:
    with (
        running_server([local_address("udp", tmp_path)]) as running,
        BlockingClient(running.address) as first,
        BlockingClient(running.address) as second,
    ):
        first.send(request(1))
        second.send(request(2))
        assert (first.receive().sequence, second.receive().sequence) == (1, 2)


def test_nameless_unix_datagrams_hurt_nobody(tmp_path: Path) -> None:
    with running_server([local_address("dgram", tmp_path)]) as running:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
            nameless.connect(running.address.path)
            for data in (request(1), heartbeat(2), b"junk"):
                nameless.send(data)
        with BlockingClient(running.address) as client:
            assert client.roundtrip(request(3)).sequence == 3
        assert running.server.server.endpoints[0].dropped_unanswerable == 2


def test_opened_and_closed_are_told_once_per_session(tmp_path: Path) -> None:
    with running_server([local_address("tcp", tmp_path)]) as running:
        for _ in range(3):
            with BlockingClient(running.address) as client:
                client.send(request(1, SILENT))
        wait_for(lambda: len(running.handler.reasons) == 3)
        assert running.handler.opened_count == 3
