"""Follows a journal while the engine writes it: each durable frame once, in order, verified, never one more.

    DURABLE (mapped) --how far--> poll --pread--> frames of segment n --end--> segment n+1

Verified as by `reader`: names, system id, versions, epochs that never go down, sequences without a gap,
the crc32 of every frame, and that each segment carries the hash of the one before. Outcomes are proven by
whoever executes the records.

The engine may be killed, started again and stop at any moment. What was durable stays true then: the tail
of a segment is only cut where nothing was durable (`segments.repair_tail` replaces the file, so it is opened
again by its name), and the next epoch begins another segment. So a frame that should be there and is not,
or a segment without its header, gets PATIENCE_S to appear; then it is damage.

It never waits, changes nothing on the disk, and takes a segment from the archive when the journal has it no
more. When to poll again is the caller's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from matchengine.journal import format as layout
from matchengine.journal.archive import archived_name, list_archived, read_archived
from matchengine.journal.durable import FILE_NAME, DurableCell, follow_durable, read_durable
from matchengine.journal.reader import Frame
from matchengine.journal.segments import SegmentFile, list_segments
from vxutils.disk import Disk

CHUNK_BYTES_MIN = 8 * 1024
CHUNK_BYTES_MAX = 512 * 1024
PATIENCE_S = 3.0  # for what a restarting engine does between two of its steps


class JournalAhead(layout.JournalError):
    """What is wanted next was durable once, and the journal does not hold it."""


class _Source(Protocol):
    """The bytes of one segment, wherever it is."""

    file: str

    def read(self, size: int, offset: int) -> bytes: ...
    def close(self) -> None: ...


class _LiveSegment:
    """A segment in the journal: read from the file, which the engine may be writing."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self.file = str(path)
        self._disk = disk
        self._fd = disk.open_to_read(path)

    def read(self, size: int, offset: int) -> bytes:
        return self._disk.pread(self._fd, size, offset)

    def close(self) -> None:
        self._disk.close(self._fd)


class _ArchivedSegment:
    """A segment in the archive: unpacked into memory whole."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self.file = str(path)
        self._data = read_archived(disk, path)

    def read(self, size: int, offset: int) -> bytes:
        return self._data[offset : offset + size]

    def close(self) -> None:
        self._data = b""


class JournalFollower:
    """Gives the frames from the one that holds `from_sequence` on. For one owner; `close` it.

    `floor`: a sequence that is known to be durable although DURABLE may not say so (after a loss of power
    it is too low until the engine has started again).

    Raises: JournalMissing when the segments that hold `from_sequence` are neither in the journal nor in
    the archive; JournalForeign, JournalNewer, JournalDamaged, JournalIOError.
    """

    def __init__(
        self,
        disk: Disk,
        directory: Path,
        archive: Path,
        system_id: bytes,
        from_sequence: int = 1,
        floor: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        assert from_sequence >= 1, "sequences start at 1"
        self._disk = disk
        self._directory = directory
        self._archive = archive
        self._system_id = system_id
        self._from_sequence = from_sequence
        self._floor = floor
        self._monotonic = monotonic
        self._cell: DurableCell | None = None
        self._cell_inode = 0
        self._missing_since: float | None = None
        self._source: _Source | None = None
        self._header: layout.SegmentHeader | None = None
        self._seed = 0
        self._hash = layout.segment_hash()
        self._offset = 0
        self._buffer = b""  # of the segment; what is before `_used` was taken
        self._used = 0
        self._durable = 0  # as `poll` has seen it: the frames up to it are whole on the disk
        self._buffered = 0  # what `_durable` was when the buffer was read: behind it may be half a frame
        self._expected = from_sequence
        self.record_bytes = 100.0  # mean size of a record in its frame, of the latest frames
        self._attach()

    @property
    def sequence(self) -> int:
        """The last sequence given out, or before the first poll the one before the first wanted."""
        return max(self._expected, self._from_sequence) - 1

    @property
    def durable_sequence(self) -> int:
        """How far the journal is durable now."""
        cell = self._cell
        return max(self._floor, cell.sequence if cell is not None else 0)

    @property
    def segment_number(self) -> int:
        """The number of the segment being read, 0 before the first."""
        return self._header.number if self._header is not None else 0

    def poll(self, bytes_max: int) -> list[Frame]:
        """The next durable frames, of together about `bytes_max` bytes (one frame at least); empty: none yet.

        Raises: JournalAhead when DURABLE counts what the journal does not hold; JournalDamaged,
        JournalForeign, JournalNewer, JournalIOError.
        """
        frames: list[Frame] = []
        self._durable = durable = self.durable_sequence
        if self._expected > durable:
            self._missing_since = None
            return frames
        size = 0
        try:
            while self._expected <= durable and size < bytes_max:
                if self._source is None and not self._open_next():
                    break
                frame = self._next_frame()
                if frame is None:
                    if not self._leave_segment():
                        break
                    continue
                self._missing_since = None
                if self._expected > self._from_sequence:
                    frames.append(frame)
                    size += layout.FRAME_HEADER_BYTES + len(frame.payload)
        except OSError as error:
            raise layout.JournalIOError(
                f"the journal in {self._directory} can not be read: {error}"
            ) from error
        if frames:
            count = self._expected - frames[0].first_sequence
            self.record_bytes += (size / count - self.record_bytes) / 8
        return frames

    def refresh(self) -> None:
        """Looks whether DURABLE was replaced; to be called about once a second. Raises: JournalError."""
        try:
            inode = self._disk.inode(self._directory / FILE_NAME)
        except FileNotFoundError:
            return
        except OSError as error:
            raise layout.JournalIOError(f"{self._directory} can not be read: {error}") from error
        if self._cell is None or inode != self._cell_inode:
            self._attach()

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None
        if self._cell is not None:
            self._cell.close()
            self._cell = None

    # -- segments ------------------------------------------------------------------------------

    def _attach(self) -> None:
        """Maps DURABLE, if it is there and readable."""
        path = self._directory / FILE_NAME
        try:
            # Asked for its checks only: another system, a later version.
            known = read_durable(self._disk, self._directory, self._system_id)
            if known is None:
                return
            self._cell_inode = self._disk.inode(path)
            cell = follow_durable(self._disk, self._directory)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise layout.JournalIOError(f"{path} can not be read: {error}") from error
        if self._cell is not None:
            self._cell.close()
        self._cell = cell

    def _open_next(self) -> bool:
        """Opens the segment that the next frame is in; False if it is not there (yet)."""
        before = self._header
        if before is None:
            segment = self._find_first()
        else:
            name = layout.segment_name(before.number + 1, self._expected)
            segment = SegmentFile(before.number + 1, self._expected, self._directory / name)
        source = self._open(segment)
        if source is None:
            return self._wait_for(f"the segment {segment.path.name}, which holds it, is not there")
        try:
            block = source.read(layout.SEGMENT_HEADER_BYTES, 0)
            header = layout.decode_segment_header(block, source.file)
            self._check_header(source.file, segment, header)
        except BaseException:
            source.close()
            raise
        self._source, self._header = source, header
        self._seed = layout.segment_seed(block)
        self._hash = layout.segment_hash(block)
        self._offset = layout.SEGMENT_HEADER_BYTES
        self._forget_buffer()
        self._expected = header.first_sequence
        return True

    def _find_first(self) -> SegmentFile:
        """The segment that holds the first wanted sequence."""
        wanted = self._from_sequence
        known = {file.number: file for file in list_archived(self._disk, self._archive)}
        known |= {file.number: file for file in list_segments(self._disk, self._directory)}
        candidates = [number for number, file in known.items() if file.first_sequence <= wanted]
        if not candidates:
            raise layout.JournalMissing(
                f"sequence {wanted} is in no segment of {self._directory} or {self._archive}; "
                "put the older segments back from a backup"
            )
        found = known[max(candidates)]
        # The archive's own suffix is not part of the name that `_open` looks for.
        name = layout.segment_name(found.number, found.first_sequence)
        return SegmentFile(found.number, found.first_sequence, self._directory / name)

    def _open(self, segment: SegmentFile) -> _Source | None:
        # The journal is looked at again last: a segment goes to the archive before it leaves the journal.
        for _ in range(2):
            try:
                return _LiveSegment(self._disk, segment.path)
            except FileNotFoundError:
                pass
            try:
                return _ArchivedSegment(self._disk, self._archive / archived_name(segment.path.name))
            except FileNotFoundError:
                pass
        return None

    def _check_header(self, file: str, segment: SegmentFile, header: layout.SegmentHeader) -> None:
        if header.system_id != self._system_id:
            raise layout.JournalForeign(
                f"{file} belongs to system {header.system_id.hex()}, this data directory is system "
                f"{self._system_id.hex()}: move the file to where it came from"
            )
        if (header.number, header.first_sequence) != (segment.number, segment.first_sequence):
            own = layout.segment_name(header.number, header.first_sequence)
            raise layout.JournalDamaged(file, 0, f"its header says {own}: the file was renamed")
        before = self._header
        if before is None:
            return
        if header.epoch < before.epoch:
            raise layout.JournalDamaged(file, 0, f"epoch {header.epoch} comes after epoch {before.epoch}")
        if header.previous_hash != self._hash.digest():
            raise layout.JournalDamaged(
                file, 0, f"segment {before.number} is not the one that its hash is of"
            )

    def _leave_segment(self) -> bool:
        """No valid frame where one is wanted: the segment is at its end, or was replaced; False: wait."""
        assert self._source is not None and self._header is not None, "a segment is open"
        header = self._header
        following = layout.segment_name(header.number + 1, self._expected)
        archived = self._archive / archived_name(following)
        if self._disk.exists(self._directory / following) or self._disk.exists(archived):
            self._source.close()
            self._source = None
            return True
        self._forget_buffer()
        # A repaired tail is another file under the same name, with the same bytes up to here.
        name = layout.segment_name(header.number, header.first_sequence)
        again = self._open(SegmentFile(header.number, header.first_sequence, self._directory / name))
        if again is not None:
            self._source.close()
            self._source = again
        if self._is_overdue() and any(self._bytes(layout.FRAME_HEADER_BYTES)):
            raise layout.JournalDamaged(
                self._source.file,
                self._offset,
                f"an invalid frame, where sequence {self._expected} was durable",
            )
        return self._wait_for(f"there is no frame at offset {self._offset} of {self._source.file}")

    def _wait_for(self, what: str) -> bool:
        """False; raises when it has been so for too long."""
        if self._is_overdue():
            raise JournalAhead(
                f"sequence {self._expected} was durable (everything up to {self._durable} was), but the "
                f"journal in {self._directory} does not hold it: {what}. The disk lost synced data, or this "
                "is an older copy; put the journal back from a backup"
            )
        return False

    def _is_overdue(self) -> bool:
        now = self._monotonic()
        if self._missing_since is None:
            self._missing_since = now
        return now - self._missing_since > PATIENCE_S

    # -- frames --------------------------------------------------------------------------------

    def _next_frame(self) -> Frame | None:
        """The valid frame at the present offset, taken; None if there is none."""
        assert self._source is not None and self._header is not None, "a segment is open"
        head = self._bytes(layout.FRAME_HEADER_BYTES)
        if len(head) < layout.FRAME_HEADER_BYTES:
            return None
        magic, length, crc, epoch, sequence, count, _, time_us, digest = layout.FRAME_HEADER.unpack_from(head)
        size = layout.frame_bytes(length)
        if magic != layout.FRAME_MAGIC or size > layout.SEGMENT_BYTES_MAX:
            return None
        data = self._bytes(size)
        if len(data) < size or not layout.frame_is_whole(data, 0, size, crc, self._seed):
            return None
        header = self._header
        if sequence != self._expected or epoch != header.epoch or not count:
            raise layout.JournalDamaged(
                self._source.file,
                self._offset,
                f"a frame of epoch {epoch} with {count} records from sequence {sequence} stands where "
                f"sequence {self._expected} of epoch {header.epoch} belongs",
            )
        start = layout.FRAME_HEADER_BYTES
        frame = Frame(
            header.number,
            self._offset,
            epoch,
            sequence,
            count,
            time_us,
            digest,
            bytes(data[start : start + length]),
        )
        self._hash.update(data)
        self._offset += size
        self._used += size
        self._expected += count
        return frame

    def _bytes(self, size: int) -> memoryview:
        """`size` bytes from the present offset on, fewer at the end of the file."""
        if len(self._buffer) - self._used < size or self._buffered < self._expected:
            assert self._source is not None, "a segment is open"
            due = int((self._durable - self._expected + 2) * self.record_bytes)
            chunk = min(max(size, due, CHUNK_BYTES_MIN), max(size, CHUNK_BYTES_MAX))
            self._buffer = self._source.read(chunk, self._offset)
            self._used = 0
            self._buffered = self._durable
        return memoryview(self._buffer)[self._used : self._used + size]

    def _forget_buffer(self) -> None:
        self._buffer = b""
        self._used = self._buffered = 0
