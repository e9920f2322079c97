"""The body of a heartbeat: a list of TLVs, read to its last byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vxutils.rpc.heartbeat import HeartbeatError, HeartbeatPolicy, decode_heartbeat, encode_heartbeat

ACCEPTED = [
    ("", None),
    ("01000400b80b0000", 3000),
    ("0100040010270000", 10000),
    ("01000400ffffffff", 2**32 - 1),
    ("0200030061626301000400b80b0000", 3000),  # unknown types are skipped
    ("02000000", None),  # zero-length at the very end: the original misreads it
    ("01000400b80b000002000000", 3000),
    ("01000400b80b00000100040010270000", 10000),  # the last one counts
]
REFUSED = [
    "01",
    "0100",
    "010004",
    "01000400",
    "01000400b80b00",
    "01000200b80b",
    "01000000",
    "0200050061",
    "02000000ff",
]


@pytest.mark.parametrize(("text", "timeout_ms"), ACCEPTED)
def test_accepted(text: str, timeout_ms: int | None) -> None:
    assert decode_heartbeat(bytes.fromhex(text)) == timeout_ms


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    with pytest.raises(HeartbeatError):
        decode_heartbeat(bytes.fromhex(text))


@given(st.integers(0, 2**32 - 1))
def test_round_trip(timeout_ms: int) -> None:
    assert decode_heartbeat(encode_heartbeat(timeout_ms)) == timeout_ms


@given(st.binary(max_size=30))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        decode_heartbeat(body)
    except HeartbeatError:
        pass


@pytest.mark.parametrize(
    ("asked_s", "granted_s"), [(0.0, 2.0), (2.0, 2.0), (3.5, 3.5), (600.0, 600.0), (4e6, 600.0)]
)
def test_timeouts_are_clamped(asked_s: float, granted_s: float) -> None:
    assert HeartbeatPolicy().clamp(asked_s) == granted_s
