"""What the recorder says about itself, and when its lag is too high."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from matchengine.recorder.lag import (
    RECORDER,
    STATE_BYTES,
    LagBound,
    RecorderState,
    StateFile,
    decode_state,
    encode_state,
    read_recorder_state,
    slowest,
    state_path,
)
from vxutils.disk import Disk

STATE = RecorderState(
    sequence=2**40,
    time_us=1_700_000_000_000_000,
    durable_sequence=2**40 + 7,
    lag_bytes=12_345,
    is_lag_too_high=True,
    is_troubled=False,
    published_us=1_700_000_003_000_000,
)


def test_what_is_published_is_read(tmp_path: Path) -> None:
    assert read_recorder_state(Disk(), tmp_path) is None
    file = StateFile(Disk(), tmp_path)
    assert read_recorder_state(Disk(), tmp_path) is None
    file.publish(STATE)
    assert read_recorder_state(Disk(), tmp_path) == STATE
    assert (STATE.lag_records, STATE.lag_us) == (7, 3_000_000)
    file.close()
    again = StateFile(Disk(), tmp_path)
    assert read_recorder_state(Disk(), tmp_path) == STATE, "the next recorder leaves it until it knows better"
    again.close()


def test_who_has_caught_up_has_no_lag() -> None:
    state = RecorderState(
        sequence=9,
        time_us=1,
        durable_sequence=9,
        lag_bytes=0,
        is_lag_too_high=False,
        is_troubled=True,
        published_us=10**15,
    )
    assert (state.lag_records, state.lag_us) == (0, 0)
    assert decode_state(encode_state(state)) == state


def test_a_refused_store_is_told_beside_the_rest() -> None:
    refused = msgspec.structs.replace(STATE, is_refused=True)
    read = decode_state(encode_state(refused))
    assert read == refused != STATE
    assert slowest([STATE, refused]) == refused


def test_half_a_block_is_nothing(tmp_path: Path) -> None:
    block = encode_state(STATE)
    assert len(block) == STATE_BYTES
    for position in range(STATE_BYTES):
        assert decode_state(block[:position]) is None
        torn = bytearray(block)
        torn[position] ^= 1
        assert decode_state(bytes(torn)) is None
    state_path(tmp_path, RECORDER).parent.mkdir(parents=True)
    state_path(tmp_path, RECORDER).write_bytes(block[:100])
    assert read_recorder_state(Disk(), tmp_path) is None


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(0, 100), (50, 100), (51, 100)], [False, False, True]),
        ([(51, 100), (45, 100), (41, 100), (40, 100)], [True, True, True, False]),  # not in and out
        (
            [(40, 100), (40, 70), (40, 100), (40, 200)],
            [False, True, False, False],
        ),  # the disk fills otherwise
        ([(1, 0), (0, 0)], [True, False]),
    ],
)
def test_the_bound(steps: list[tuple[int, int]], expected: list[bool]) -> None:
    bound = LagBound(0.5)
    found = []
    for lag_bytes, free_bytes in steps:
        before = bound.is_exceeded
        assert bound.check(lag_bytes, free_bytes) == (bound.is_exceeded != before)
        found.append(bound.is_exceeded)
    assert found == expected
