"""How far a recorder is behind: `run/<its name>/STATE`, one small block that is written over in place.

    0  magic "VXRECSTA"        8     48  lag, bytes of journal    u64
    8  format version u16           56  published, microseconds  u64
   10  flags          u16           64  differs at               u64
   12  zeros            4           72  zeros                    52
   16  sequence       u64          124  crc32 of bytes 0..123    u32
   24  time           u64
   32  durable        u64
   40  lag, records   u64

The recorder writes it many times a second, the engine and monitors read it. No sync: it says how things are,
not how they were. A reader who meets half a block (the checksum tells) reads again.

Not here: what is done about it. The engine refuses new orders while `is_lag_too_high` or `is_refused`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from vxutils.disk import Disk

RUN_DIRECTORY: Final = Path("run")
STATE_NAME: Final = "STATE"
RECORDER: Final = "recorder"
MESSAGES_RECORDER: Final = "recorder-messages"
STATE_BYTES: Final = 128
FORMAT_VERSION: Final = 1
READ_ATTEMPTS: Final = 20

# Once too high, the lag has to fall to this part of the bound, so that orders are not let in and out.
ENOUGH: Final = 0.8

_MAGIC: Final = b"VXRECSTA"
_BLOCK: Final = struct.Struct("<8sHHIQQQQQQQ")
_CRC: Final = 124
_LAG_TOO_HIGH: Final = 1
_TROUBLED: Final = 2
_REFUSED: Final = 4


class RecorderState(msgspec.Struct, frozen=True, kw_only=True):
    """`sequence` and `time_us` (journal time) of the last committed record; `durable_sequence` of the last
    one in the journal.

    `lag_bytes` is an estimate. `is_troubled`: the history can not be written at present.
    `published_us`: wall clock; an old one means that no recorder runs. `diverged_at`: the first record whose
    outcome the recorder could not prove, 0 while it proves them all; nothing from there on is recorded.
    `is_refused`: the store belongs to another engine, or to another past than this journal; nothing is
    recorded until a recorder is started again and finds the store well.
    """

    sequence: int
    time_us: int
    durable_sequence: int
    lag_bytes: int
    is_lag_too_high: bool
    is_troubled: bool
    published_us: int
    diverged_at: int = 0
    is_refused: bool = False

    @property
    def lag_records(self) -> int:
        """Durable records whose rows are not committed."""
        return max(0, self.durable_sequence - self.sequence)

    @property
    def lag_us(self) -> int:
        """Age of the last committed record while others wait, 0 when none does."""
        return max(0, self.published_us - self.time_us) if self.lag_records else 0


def encode_state(state: RecorderState) -> bytes:
    """The block."""
    flags = (_LAG_TOO_HIGH if state.is_lag_too_high else 0) | (_TROUBLED if state.is_troubled else 0)
    flags |= _REFUSED if state.is_refused else 0
    block = _BLOCK.pack(
        _MAGIC,
        FORMAT_VERSION,
        flags,
        0,
        state.sequence,
        state.time_us,
        state.durable_sequence,
        state.lag_records,
        state.lag_bytes,
        state.published_us,
        state.diverged_at,
    ).ljust(_CRC, b"\0")
    return block + zlib.crc32(block).to_bytes(4, "little")


def decode_state(block: bytes) -> RecorderState | None:
    """None when it is not a whole block of a version that we know."""
    if len(block) != STATE_BYTES or zlib.crc32(block[:_CRC]) != int.from_bytes(block[_CRC:], "little"):
        return None
    magic, version, flags, _, *numbers = _BLOCK.unpack_from(block)
    if magic != _MAGIC or version != FORMAT_VERSION:
        return None
    sequence, time_us, durable, _, lag_bytes, published_us, diverged_at = numbers
    return RecorderState(
        sequence=sequence,
        time_us=time_us,
        durable_sequence=durable,
        lag_bytes=lag_bytes,
        is_lag_too_high=bool(flags & _LAG_TOO_HIGH),
        is_troubled=bool(flags & _TROUBLED),
        published_us=published_us,
        diverged_at=diverged_at,
        is_refused=bool(flags & _REFUSED),
    )


def state_path(directory: Path, name: str) -> Path:
    """Where the recorder `name` of a data directory publishes."""
    return directory / RUN_DIRECTORY / name / STATE_NAME


def slowest(states: Sequence[RecorderState]) -> RecorderState | None:
    """What the worst of several recorders is in each respect; None of none."""
    if not states:
        return None
    behind = min(states, key=lambda state: state.sequence)
    return RecorderState(
        sequence=behind.sequence,
        time_us=behind.time_us,
        durable_sequence=max(state.durable_sequence for state in states),
        lag_bytes=max(state.lag_bytes for state in states),
        is_lag_too_high=any(state.is_lag_too_high for state in states),
        is_troubled=any(state.is_troubled for state in states),
        published_us=max(state.published_us for state in states),
        diverged_at=min((state.diverged_at for state in states if state.diverged_at), default=0),
        is_refused=any(state.is_refused for state in states),
    )


def read_recorder_state(disk: Disk, directory: Path, name: str = RECORDER) -> RecorderState | None:
    """What the recorder of the data directory `directory` has published last; None if nothing can be read.

    Cost some 20 us. A state stays when its recorder is gone: look at `published_us`.
    """
    try:
        for _ in range(READ_ATTEMPTS):
            state = decode_state(disk.read_file(state_path(directory, name), STATE_BYTES))
            if state is not None:
                return state
    except OSError:
        pass
    return None


class StateFile:
    """The recorder's end: the open file. Raises: OSError."""

    def __init__(self, disk: Disk, data_directory: Path, name: str = RECORDER) -> None:
        path = state_path(data_directory, name)
        disk.make_directory(path.parent)
        self._disk = disk
        self._fd = disk.open_to_write(path) if disk.exists(path) else disk.create(path)

    def publish(self, state: RecorderState) -> None:
        """Writes over the block. Raises: OSError."""
        self._disk.pwrite(self._fd, encode_state(state), 0)

    def close(self) -> None:
        self._disk.close(self._fd)


class LagBound:
    """Whether the backlog in the journal is larger than `part` of the space that is still free."""

    def __init__(self, part: float) -> None:
        self._part = part
        self.is_exceeded = False

    def check(self, lag_bytes: int, free_bytes: int) -> bool:
        """Looks at the figures of now; returns whether `is_exceeded` has changed."""
        bound = self._part * free_bytes
        before = self.is_exceeded
        self.is_exceeded = lag_bytes > (bound * ENOUGH if before else bound)
        return self.is_exceeded != before
