"""Snapshot ring: the newest state of one thing, for any number of readers.

    header   constants: slots, slot bytes         cursors: 8 publications so far, 9 sequence of the newest
    slot i   begin | sequence | time us | length | crc32 | end | payload ... (padded to 8 bytes)

Publication n goes to slot (n - 1) % slots. The writer stores `begin` = n, the contents, `end` = n, and then
the cursor. A reader takes the slot of the cursor; unless `end`, before, and `begin`, after copying, are both
n, and the crc is right, the writer was at work in it, and the reader takes the newest again. The crc
covers number, sequence, time and length too, so the proof does not rest on the order in which a processor
shows its stores. The writer waits for nobody, a reader misses what was replaced before it looked.

A payload that fits in no slot is published as "empty": readers then know only that what they had is old.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import msgspec

from vxutils.ring.ends import DEAD_AFTER_US, RingOwner, RingReader, monotonic_us
from vxutils.ring.segment import CONSTANT_CELL, CURSOR_CELL, HEADER_BYTES, Segment

SLOTS_MAX = 1024
SLOT_BYTES_MAX = 1 << 24
TRIES_MAX = 16  # reads of a slot that the writer was just replacing, before the reader gives up

KIND = b"VXSNAPSH"
_PUBLISHED = CURSOR_CELL
_SEQUENCE = CURSOR_CELL + 1
_SLOT_HEAD_BYTES = 48
_EMPTY = 2**64 - 1  # as length: the payload was too large
_NUMBERS = struct.Struct("=QQQQ")  # publication, sequence, time, length: what the crc begins with


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """What was published: `sequence` of the journal, its `time_us`, and the payload."""

    sequence: int
    time_us: int
    payload: bytes


class SnapshotWriter(RingOwner):
    """Publishes payloads of up to `slot_bytes` bytes. Makes the ring at once.

    `now` is the monotonic clock in microseconds. Raises: RingError.
    """

    def __init__(
        self, name: str, slot_bytes: int, slots: int = 8, *, now: Callable[[], int] = monotonic_us
    ) -> None:
        assert 2 <= slots <= SLOTS_MAX and 1 <= slot_bytes <= SLOT_BYTES_MAX
        self.slot_bytes = slot_bytes
        self.slots = slots
        self.too_large = 0  # payloads that were published as empty
        self._stride = _SLOT_HEAD_BYTES + -(-slot_bytes // 8) * 8
        super().__init__(name, now)

    def _make(self) -> Segment:
        segment = Segment.create(self.name, KIND, self.slots * self._stride, (self.slots, self.slot_bytes))
        self._published = 0
        return segment

    def publish(self, payload: bytes, sequence: int, time_us: int) -> bool:
        """Makes `payload` the newest; False when it is too large, and readers must ask elsewhere."""
        segment = self._segment
        cells = segment.cells
        number = self._published = self._published + 1
        offset = HEADER_BYTES + (number - 1) % self.slots * self._stride
        first = offset >> 3
        length = len(payload)
        is_empty = length > self.slot_bytes
        if is_empty:
            self.too_large += 1
            payload, length = b"", _EMPTY
        checksum = zlib.crc32(payload, zlib.crc32(_NUMBERS.pack(number, sequence, time_us, length)))
        cells[first] = number
        cells[first + 1] = sequence
        cells[first + 2] = time_us
        cells[first + 3] = length
        cells[first + 4] = checksum
        offset += _SLOT_HEAD_BYTES
        segment.view[offset : offset + len(payload)] = payload
        cells[first + 5] = number
        cells[_SEQUENCE] = sequence
        cells[_PUBLISHED] = number
        return not is_empty


class SnapshotReader(RingReader):
    """Reads the newest snapshot of one name; follows a restarted writer by itself."""

    def __init__(
        self,
        name: str,
        *,
        dead_after_us: int = DEAD_AFTER_US,
        now: Callable[[], int] = monotonic_us,
    ) -> None:
        super().__init__(name, KIND, now, dead_after_us)
        self._slots = self._stride = self._slot_bytes = 0

    def _attached(self, segment: Segment) -> bool:
        self._slots, self._slot_bytes = segment.cells[CONSTANT_CELL], segment.cells[CONSTANT_CELL + 1]
        self._stride = _SLOT_HEAD_BYTES + -(-self._slot_bytes // 8) * 8
        return self._slots > 0 and HEADER_BYTES + self._slots * self._stride <= len(segment.view)

    @property
    def sequence(self) -> int:
        """The sequence of the newest publication, 0 if there is none. Copies nothing."""
        segment = self._find()
        return segment.cells[_SEQUENCE] if segment is not None and segment.cells[_PUBLISHED] else 0

    @property
    def mark(self) -> tuple[int, int]:
        """Generation and publication number of the newest, to be compared by `changed`."""
        segment = self._find()
        return (self.generation, segment.cells[_PUBLISHED]) if segment is not None else (0, 0)

    def changed(self, since: tuple[int, int]) -> bool:
        """Whether anything was published since `mark` had that value. Costs less than a microsecond."""
        return self.mark != since

    def read(self) -> Snapshot | None:
        """The newest snapshot; None when there is nothing to be believed: no ring, a dead writer, a payload
        that was too large, or a writer that was at work at each of TRIES_MAX tries."""
        for _ in range(TRIES_MAX):
            segment = self._find()
            if segment is None or not self._is_beating(segment):
                return None
            number = segment.cells[_PUBLISHED]
            if not number:
                return None
            first = (HEADER_BYTES + (number - 1) % self._slots * self._stride) >> 3
            found = self._copy(segment, first, number)
            if found is not None:
                return found
            if segment.cells[first] == number and segment.cells[first + 3] == _EMPTY:
                return None
            self.torn += 1
        return None

    def _copy(self, segment: Segment, first: int, number: int) -> Snapshot | None:
        """The slot's contents, None unless they are proven to be publication `number`."""
        cells = segment.cells
        if cells[first + 5] != number:
            return None
        sequence, time_us, length, checksum = cells[first + 1 : first + 5]
        if length > self._slot_bytes:
            return None
        offset = (first << 3) + _SLOT_HEAD_BYTES
        payload = bytes(segment.view[offset : offset + length])
        if cells[first] != number:
            return None
        if checksum != zlib.crc32(payload, zlib.crc32(_NUMBERS.pack(number, sequence, time_us, length))):
            return None
        return Snapshot(sequence, time_us, payload)
