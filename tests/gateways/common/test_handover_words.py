"""Reports and payloads come back as they were written; what is neither is told."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateways.common.handover import (
    REPORT_COMMAND,
    Report,
    decode_payload,
    decode_report,
    encode_payload,
    encode_report,
    handover_address,
)
from vxutils.exits import ExitCode, ProcessExit
from vxutils.rpc.packet import decode_datagram

REPORT = Report(
    worker=3,
    pid=4711,
    connections=5,
    adopted=7,
    room=95,
    leaving=False,
    backends={"matchengine": True},
    samples=[("requests", ("order.depth", "0"), 12.0), ("connections", (), 5.0)],
    latency_counts=[1, 2, 3],
    latency_total_s=0.5,
)


def test_report_round_trip() -> None:
    packet = decode_datagram(encode_report(REPORT), 1 << 16)
    assert not isinstance(packet, str) and packet.command == REPORT_COMMAND
    assert decode_report(packet.body) == REPORT


@pytest.mark.parametrize("body", [b"", b"\x01", b"{}", msgspec.msgpack.encode({"worker": 1})])
def test_what_is_no_report(body: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_report(body)


def test_payload() -> None:
    assert [decode_payload(encode_payload(index)) for index in (0, 1, 2**32 - 1)] == [0, 1, 2**32 - 1]
    assert decode_payload(b"") is None and decode_payload(b"12345") is None


def test_too_long_a_directory_is_told() -> None:
    assert handover_address(Path("/run"), "accesshttp").path == "/run/accesshttp_listener.sock"
    with pytest.raises(ProcessExit) as caught:
        handover_address(Path("/" + "d" * 100), "accesshttp")
    assert caught.value.code == ExitCode.USAGE
    assert "shorter path" in caught.value.sentence
