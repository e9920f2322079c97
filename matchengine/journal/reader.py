"""Reads a journal from its files and proves it on the way: nothing is skipped silently.

Checked: names without gaps, system id, versions, epochs that never go down, sequences without a gap over
frames and segments, the crc32 of every frame, zeros after the last frame, and that each segment read
carries the hash of the one before. What does not hold raises, naming file, offset and what to do.

One thing is no damage: an invalid frame at the very end, when nothing that had been synced comes after it.
It was being written when the process or the machine died; it is reported as `torn` and its bytes
are not part of the journal. The file DURABLE tells when that can not be the explanation.

For a journal that nobody writes. It reads a segment whole (one read), and changes nothing on the disk.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import msgspec

from matchengine.journal import format as layout
from matchengine.journal.archive import archived_name, list_archived, read_archived
from matchengine.journal.durable import check_floor
from matchengine.journal.format import JournalDamaged
from matchengine.journal.segments import SegmentFile, list_segments
from vxutils.disk import Disk

_ZEROS = bytes(1024 * 1024)
_RESTORE = "put the file back from a backup, with all files after it"


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One verified frame. `payload` is `count` packed records one after another."""

    segment: int
    offset: int
    epoch: int
    first_sequence: int
    count: int
    time_us: int
    digest: bytes
    payload: bytes


class TornTail(msgspec.Struct, frozen=True):
    """An unfinished frame at the end of the last segment: `size_bytes` from `offset` on are not zero."""

    segment: Path
    offset: int
    size_bytes: int


class JournalEnd(msgspec.Struct, frozen=True):
    """Where the journal ends. A new writer goes on with `previous=(segment_number, segment_hash)`.

    `valid_bytes`: the used bytes of the last segment, over which the hash goes. `clean`: the last writer
    closed it, so no `repair_tail` is needed. `last_*` are of the last frame read: None when none was.
    """

    segment_number: int
    segment_path: Path
    segment_hash: bytes
    valid_bytes: int
    clean: bool
    last_sequence: int
    epoch: int
    rules_hash: bytes
    last_time_us: int | None
    last_digest: bytes | None
    torn: TornTail | None


class _Read(msgspec.Struct, frozen=True):
    """A segment that was read: the hash and number of its used bytes, and the size of the file."""

    segment: SegmentFile
    header: layout.SegmentHeader
    digest: bytes
    used_bytes: int
    file_bytes: int


class JournalScan:
    """Iterate once over the frames; afterwards `end` tells where the journal stops (None: no segment yet).

    The first frame given out is the one that holds `from_sequence`; the segments before are not read.
    Segments that the journal has no more are taken from `archive`, if it is given.
    """

    def __init__(
        self,
        disk: Disk,
        directory: Path,
        system_id: bytes,
        from_sequence: int = 1,
        archive: Path | None = None,
    ) -> None:
        assert from_sequence >= 1, "sequences start at 1"
        self.end: JournalEnd | None = None
        self._disk = disk
        self._directory = directory
        self._system_id = system_id
        self._from_sequence = from_sequence
        self._archive = archive
        self._expected = 0
        self._last_time_us: int | None = None
        self._last_digest: bytes | None = None
        self._torn: TornTail | None = None

    def __iter__(self) -> Iterator[Frame]:
        """Raises: JournalDamaged, JournalNewer, JournalForeign, JournalMissing, JournalIOError."""
        segments = list_segments(self._disk, self._directory)
        if not segments:
            check_floor(self._disk, self._directory, self._system_id, None)
            return
        segments = self._archived_before(segments[0]) + segments
        first = self._first_to_read(segments)
        self._expected = segments[first].first_sequence
        before: _Read | None = None
        for segment in segments[first:]:
            data = self._read(segment.path)
            header = layout.decode_segment_header(data[: layout.SEGMENT_HEADER_BYTES], str(segment.path))
            self._check_header(segment, header, before)
            used = yield from self._frames(segment, header, data, is_last=segment is segments[-1])
            digest = layout.segment_hash(memoryview(data)[:used]).digest()
            before = _Read(segment, header, digest, used, len(data))
        assert before is not None, "there is at least one segment"
        self._finish(before)

    def _finish(self, last: _Read) -> None:
        end = (str(last.segment.path), last.used_bytes, self._expected - 1)
        check_floor(self._disk, self._directory, self._system_id, end)
        self.end = JournalEnd(
            segment_number=last.segment.number,
            segment_path=last.segment.path,
            segment_hash=last.digest,
            valid_bytes=last.used_bytes,
            clean=last.used_bytes == last.file_bytes,
            last_sequence=self._expected - 1,
            epoch=last.header.epoch,
            rules_hash=last.header.rules_hash,
            last_time_us=self._last_time_us,
            last_digest=self._last_digest,
            torn=self._torn,
        )

    def _archived_before(self, oldest: SegmentFile) -> list[SegmentFile]:
        """The archived segments that lead to `oldest` without a gap, if what is wanted is before it."""
        found: list[SegmentFile] = []
        if self._archive is None or oldest.first_sequence <= self._from_sequence:
            return found
        known = {file.number: file for file in list_archived(self._disk, self._archive)}
        number = oldest.number - 1
        while number in known:
            found.insert(0, known[number])
            number -= 1
        return found

    def _first_to_read(self, segments: list[SegmentFile]) -> int:
        if segments[0].first_sequence > self._from_sequence:
            raise layout.JournalMissing(
                f"the journal in {self._directory} begins with sequence {segments[0].first_sequence}, but "
                f"{self._from_sequence} is needed; put the older segments back from the archive"
            )
        index = 0
        while index + 1 < len(segments) and segments[index + 1].first_sequence <= self._from_sequence:
            index += 1
        return index

    def _read(self, path: Path) -> bytes:
        try:
            if path.parent == self._archive:
                return read_archived(self._disk, path)
            try:
                fd = self._disk.open_to_read(path)
            except FileNotFoundError:
                if self._archive is None:
                    raise
                # It went to the archive after we had listed the journal.
                return read_archived(self._disk, self._archive / archived_name(path.name))
            try:
                size = self._disk.size(fd)
                if size > layout.SEGMENT_BYTES_MAX:
                    raise JournalDamaged(
                        str(path), 0, f"{size} bytes are more than a segment holds; {_RESTORE}"
                    )
                return self._disk.pread(fd, size, 0)
            finally:
                self._disk.close(fd)
        except OSError as error:
            raise layout.JournalIOError(f"{path} can not be read: {error}") from error

    def _check_header(
        self,
        segment: SegmentFile,
        header: layout.SegmentHeader,
        before: _Read | None,
    ) -> None:
        file = str(segment.path)
        if header.system_id != self._system_id:
            raise layout.JournalForeign(
                f"{file} belongs to system {header.system_id.hex()}, this data directory is system "
                f"{self._system_id.hex()}: move the file to where it came from"
            )
        if (header.number, header.first_sequence) != (segment.number, segment.first_sequence):
            own = layout.segment_name(header.number, header.first_sequence)
            raise JournalDamaged(file, 0, f"the file was renamed, its header says {own}; give it that name")
        if segment.number == 1 and header.previous_hash != layout.NO_HASH:
            raise JournalDamaged(file, 0, f"the first segment names one before it; {_RESTORE}")
        if before is None:
            return
        previous = str(before.segment.path)
        if header.first_sequence != self._expected:
            raise JournalDamaged(
                previous,
                before.used_bytes,
                f"it ends with sequence {self._expected - 1}, but {segment.path.name} begins with "
                f"{header.first_sequence}; {_RESTORE}",
            )
        if header.previous_hash != before.digest:
            raise JournalDamaged(
                previous,
                0,
                f"its hash is not the one in {segment.path.name}: it was changed or replaced; {_RESTORE}",
            )
        if header.epoch < before.header.epoch:
            raise JournalDamaged(
                file, 0, f"epoch {header.epoch} comes after epoch {before.header.epoch}; {_RESTORE}"
            )

    def _frames(
        self, segment: SegmentFile, header: layout.SegmentHeader, data: bytes, is_last: bool
    ) -> Generator[Frame, None, int]:
        """Gives out the frames of one segment; returns the offset where they end."""
        view = memoryview(data)
        size = len(data)
        seed = layout.segment_seed(view[: layout.SEGMENT_HEADER_BYTES])
        unpack = layout.FRAME_HEADER.unpack_from
        offset = layout.SEGMENT_HEADER_BYTES
        while offset + layout.FRAME_HEADER_BYTES <= size:
            magic, length, crc, epoch, sequence, count, _, time_us, digest = unpack(view, offset)
            end = offset + layout.frame_bytes(length)
            if magic != layout.FRAME_MAGIC or end > size:
                break
            if not layout.frame_is_whole(view, offset, end, crc, seed):
                break
            if sequence != self._expected or epoch != header.epoch or not count:
                raise JournalDamaged(
                    str(segment.path),
                    offset,
                    f"a frame of epoch {epoch} with {count} records from sequence {sequence} stands where "
                    f"sequence {self._expected} of epoch {header.epoch} belongs; {_RESTORE}",
                )
            self._expected += count
            self._last_time_us = time_us
            self._last_digest = digest
            if self._expected > self._from_sequence:
                start = offset + layout.FRAME_HEADER_BYTES
                payload = data[start : start + length]
                yield Frame(segment.number, offset, epoch, sequence, count, time_us, digest, payload)
            offset = end
        if not _zeros_from(data, offset):
            self._judge_invalid(segment, view, seed, offset, is_last)
        return offset

    def _judge_invalid(
        self, segment: SegmentFile, view: memoryview, seed: int, offset: int, is_last: bool
    ) -> None:
        """Something that is no frame stands at `offset`: a torn tail, or damage."""
        file = str(segment.path)
        if not is_last:
            raise JournalDamaged(file, offset, f"an invalid frame, with segments after it; {_RESTORE}")
        later = _find_synced_after(view, seed, offset, self._expected)
        if later is not None:
            raise JournalDamaged(
                file, offset, f"an invalid frame, with a valid one after it at offset {later}; {_RESTORE}"
            )
        used = len(bytes(view[offset:]).rstrip(b"\0"))
        self._torn = TornTail(segment.path, offset, used)


def scan(
    disk: Disk, directory: Path, system_id: bytes, from_sequence: int = 1, archive: Path | None = None
) -> JournalScan:
    """A verified pass over the journal of a data directory that is not in use; see `JournalScan`."""
    return JournalScan(disk, directory, system_id, from_sequence, archive)


def _zeros_from(data: bytes, offset: int) -> bool:
    while offset < len(data):
        chunk = data[offset : offset + len(_ZEROS)]
        if chunk != _ZEROS[: len(chunk)]:
            return False
        offset += len(chunk)
    return True


def _find_synced_after(view: memoryview, seed: int, offset: int, expected: int) -> int | None:
    """The offset of a valid frame after `offset` that proves what stood there had been synced.

    A frame proves it when it was written after the sync of the records before it: always with durability
    `group`. With `interval` a power cut may keep a later page and lose an earlier one, so frames that
    still counted `expected` among their unsynced records prove nothing.
    """
    data = bytes(view)
    found = data.find(layout.FRAME_MAGIC, offset + 1)
    while found >= 0:
        if found % layout.FRAME_ALIGNMENT == 0 and found + layout.FRAME_HEADER_BYTES <= len(data):
            _, length, crc, _, sequence, _, unsynced, _, _ = layout.FRAME_HEADER.unpack_from(data, found)
            end = found + layout.frame_bytes(length)
            synced_before = sequence - unsynced
            if (
                end <= len(data)
                and synced_before > expected
                and layout.frame_is_whole(view, found, end, crc, seed)
            ):
                return found
        found = data.find(layout.FRAME_MAGIC, found + 1)
    return None
