"""Old segments, compressed: `archive/<name of the segment>.gz`, byte for byte the segment when unpacked.

    journal/0000000001-...  --packed, synced, read back, compared-->  archive/0000000001-....gz
                   '-- removed then

A segment leaves the journal only when its copy has been read from the disk again and found equal, so a
crash at any moment leaves it in one place at least, at worst in both. Level 6 of gzip: made by a short
process beside the exchange, so speed matters less than that every tool can read it.

When a segment may go is decided by `recorder.keep`; here is how.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path

from matchengine.journal import format as layout
from matchengine.journal.segments import SegmentFile
from vxutils.disk import Disk

ARCHIVE_DIRECTORY = "archive"
LEVEL = 6
CHUNK_BYTES = 1024 * 1024

_SUFFIX = ".gz"
_UNFINISHED = ".packing"
_GZIP = zlib.MAX_WBITS | 16


def archived_name(segment_name: str) -> str:
    """The file name in the archive of the segment with this name."""
    return segment_name + _SUFFIX


def list_archived(disk: Disk, directory: Path) -> list[SegmentFile]:
    """What the archive holds, by number; empty when there is no archive. Raises: JournalIOError."""
    try:
        names = disk.names(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise layout.JournalIOError(f"the archive {directory} can not be read: {error}") from error
    return [
        SegmentFile(numbers[0], numbers[1], directory / name)
        for name in names
        if name.endswith(_SUFFIX)
        and (numbers := layout.parse_segment_name(name[: -len(_SUFFIX)])) is not None
    ]


def read_archived(disk: Disk, path: Path) -> bytes:
    """The segment in this file, whole. Raises: JournalDamaged; JournalIOError; FileNotFoundError."""
    try:
        packed = disk.read_file(path, 2 * layout.SEGMENT_BYTES_MAX)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise layout.JournalIOError(f"{path} can not be read: {error}") from error
    unpacker = zlib.decompressobj(wbits=_GZIP)
    try:
        data = unpacker.decompress(packed, layout.SEGMENT_BYTES_MAX + 1)
    except zlib.error as error:
        raise _damaged(path, str(error)) from error
    if not unpacker.eof or len(data) > layout.SEGMENT_BYTES_MAX:
        raise _damaged(path, "it is cut, or holds more than a segment")
    return data


def archive_segment(
    disk: Disk, segment: SegmentFile, directory: Path, throttle: Callable[[], None] | None = None
) -> Path:
    """Moves one segment into the archive; returns its file there. Only for segments that nobody writes.

    `throttle` is called after each chunk, to leave processor and disk to the exchange.

    Raises: JournalIOError, JournalDamaged when the copy is not what was written; the segment stays then.
    """
    path = directory / archived_name(segment.path.name)
    unfinished = path.with_name(path.name + _UNFINISHED)
    try:
        disk.make_directory(directory)
        expected = _pack(disk, segment.path, unfinished, throttle)
        if _hash(read_archived(disk, unfinished)) != expected:
            raise _damaged(unfinished, "it was read back other than it was written")
        disk.rename(unfinished, path)
        disk.sync_directory(directory)
        disk.unlink(segment.path)
        disk.sync_directory(segment.path.parent)
    except OSError as error:
        raise layout.JournalIOError(f"{segment.path} can not be archived in {directory}: {error}") from error
    return path


def remove_unfinished_archives(disk: Disk, directory: Path) -> None:
    """Removes what an interrupted packing left. Never while one runs. Raises: OSError."""
    if disk.is_directory(directory):
        for name in disk.names(directory):
            if name.endswith(_UNFINISHED):
                disk.unlink(directory / name)


def _pack(disk: Disk, source: Path, target: Path, throttle: Callable[[], None] | None) -> bytes:
    """Writes the compressed copy, synced and out of our cache; returns the hash of what went in."""
    digest = hashlib.blake2b()
    reading = disk.open_to_read(source)
    try:
        writing = disk.create(target)
        try:
            packer = zlib.compressobj(LEVEL, wbits=_GZIP)
            offset = written = 0
            while chunk := disk.pread(reading, CHUNK_BYTES, offset):
                offset += len(chunk)
                digest.update(chunk)
                packed = packer.compress(chunk)
                disk.pwrite(writing, packed, written)
                written += len(packed)
                if throttle is not None:
                    throttle()
            disk.pwrite(writing, packer.flush(), written)
            disk.fsync(writing)
            disk.drop_cache(writing)  # so that reading it back reads the disk
        finally:
            disk.close(writing)
    finally:
        disk.close(reading)
    return digest.digest()


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data).digest()


def _damaged(path: Path, what: str) -> layout.JournalDamaged:
    return layout.JournalDamaged(str(path), 0, f"the archived segment: {what}; put it back from a backup")
