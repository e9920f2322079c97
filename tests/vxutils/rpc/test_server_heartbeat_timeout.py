"""What silence costs under each policy."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.vxutils.rpc.driving import ECHO, STALL, local_address, running_server, wait_for
from vxutils.rpc.blocking import BlockingClient
from vxutils.rpc.heartbeat import HeartbeatMode, HeartbeatPolicy, encode_heartbeat
from vxutils.rpc.packet import encode_packet


def policy(mode: HeartbeatMode, timeout_s: float = 0.5) -> HeartbeatPolicy:
    return HeartbeatPolicy(
        mode=mode, timeout_s=timeout_s, check_s=0.05, timeout_min_s=0.2, timeout_max_s=60.0
    )


def beat(timeout_ms: int | None = None) -> bytes:
    return encode_packet(0, 0, 1, 1, b"" if timeout_ms is None else encode_heartbeat(timeout_ms))


REQUEST = encode_packet(ECHO, 0, 1, 1, b"[]")

# policy, and what a client says all the time
ALIVE = [
    (HeartbeatMode.OFF, b""),
    (HeartbeatMode.ANY_TRAFFIC, REQUEST),
    (HeartbeatMode.ANY_TRAFFIC, beat()),
    (HeartbeatMode.HEARTBEATS_ONLY, beat()),
]
SILENT = [(HeartbeatMode.ANY_TRAFFIC, b""), (HeartbeatMode.HEARTBEATS_ONLY, REQUEST)]


def test_signs_of_life_keep_a_session(tmp_path: Path) -> None:
    with ExitStack() as stack:
        talks = []
        for number, (mode, sent) in enumerate(ALIVE):
            address = local_address("stream", tmp_path, str(number))
            running = stack.enter_context(running_server([address], policy(mode, timeout_s=0.8)))
            talks.append((running, stack.enter_context(BlockingClient(running.address)), sent))
        for _ in range(24):
            for _, client, sent in talks:
                if sent:
                    client.roundtrip(sent)
            time.sleep(0.05)
        assert [running.handler.reasons for running, _, _ in talks] == [[]] * len(ALIVE)


@pytest.mark.parametrize(("mode", "sent"), SILENT)
def test_silence_ends_a_session(mode: HeartbeatMode, sent: bytes, tmp_path: Path) -> None:
    with (
        running_server([local_address("stream", tmp_path)], policy(mode)) as running,
        BlockingClient(running.address) as client,
        suppress(OSError),
    ):
        while not running.handler.reasons:
            if sent:
                client.roundtrip(sent)
            time.sleep(0.02)
    assert running.handler.reasons == ["heartbeat timeout"]


def test_a_packet_in_parts_is_life(tmp_path: Path) -> None:
    with (
        running_server([local_address("tcp", tmp_path)], policy(HeartbeatMode.ANY_TRAFFIC)) as running,
        BlockingClient(running.address) as client,
    ):
        for byte in REQUEST[:12]:
            client.send(bytes([byte]))
            time.sleep(0.05)
        client.send(REQUEST[12:])
        assert client.receive().body == b"[]"


def test_a_session_may_ask_for_more_time(tmp_path: Path) -> None:
    with (
        running_server([local_address("stream", tmp_path)], policy(HeartbeatMode.HEARTBEATS_ONLY)) as running,
        BlockingClient(running.address) as patient,
        BlockingClient(running.address) as other,
    ):
        patient.roundtrip(beat(30_000))
        other.roundtrip(beat())
        assert running.reason() == "heartbeat timeout"
        assert patient.roundtrip(REQUEST).body == b"[]"


def test_a_session_can_not_ask_for_less_than_the_minimum(tmp_path: Path) -> None:
    bounded = HeartbeatPolicy(
        mode=HeartbeatMode.HEARTBEATS_ONLY,
        timeout_s=60.0,
        check_s=0.05,
        timeout_min_s=1.0,
        timeout_max_s=60.0,
    )
    with (
        running_server([local_address("stream", tmp_path)], bounded) as running,
        BlockingClient(running.address) as client,
    ):
        client.roundtrip(beat(0))
        time.sleep(0.2)
        assert client.roundtrip(REQUEST).body == b"[]"
        assert running.reason() == "heartbeat timeout"


def test_own_stall_is_not_the_silence_of_the_peers(tmp_path: Path) -> None:
    with (
        running_server([local_address("stream", tmp_path)], policy(HeartbeatMode.ANY_TRAFFIC)) as running,
        BlockingClient(running.address) as client,
        BlockingClient(running.address) as other,
    ):
        client.roundtrip(REQUEST)
        other.send(encode_packet(STALL, 0, 1, 1, b"[]"))
        time.sleep(0.2)
        client.send(REQUEST)
        assert client.receive().body == b"[]"
        assert running.handler.reasons == []


def test_forgotten_sessions_leave_nothing(tmp_path: Path) -> None:
    with running_server([local_address("tcp", tmp_path)], policy(HeartbeatMode.ANY_TRAFFIC)) as running:
        for _ in range(5):
            with BlockingClient(running.address) as client:
                client.roundtrip(REQUEST)
        wait_for(lambda: len(running.handler.reasons) == 5)
        assert running.server.server.sessions == {}
