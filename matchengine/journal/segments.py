"""The files of a journal directory: which segments are there, preparing empty ones, repairing the last.

    0000000001-00000000000000000001.journal   a segment
    next-<k>.prepared                          all zeros, synced, waiting to become a segment
    next-<k>.preparing, *.repairing            unfinished; removed at the next start
    DURABLE                                    see durable.py

A prepared file makes the switch to a new segment cheap: its blocks are allocated and written, so a
frame in it changes no metadata and its fdatasync is one disk write. `prepare_segment` is what a helper
process calls; number 0 is the engine's own, for when no helper was in time.
"""

from __future__ import annotations

import errno
import itertools
import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from matchengine.journal import format as layout
from vxutils.disk import Disk

PREPARED_BY_ENGINE = 0
ZERO_CHUNK_BYTES = 1024 * 1024

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_PREPARED = re.compile(r"next-(\d{1,6})\.prepared")
_UNFINISHED = re.compile(r"next-\d{1,6}\.preparing|.*\.repairing|.*\.tmp")


class SegmentFile(msgspec.Struct, frozen=True):
    """A segment as its name tells it."""

    number: int
    first_sequence: int
    path: Path


def list_segments(disk: Disk, directory: Path) -> list[SegmentFile]:
    """All segments, by number. Raises: JournalIOError; JournalDamaged when a number is missing or twice."""
    try:
        names = disk.names(directory)
    except FileNotFoundError as error:
        raise layout.JournalMissing(
            f"the journal directory {directory} does not exist: a disk that is not mounted?"
        ) from error
    except OSError as error:
        raise layout.JournalIOError(f"the journal directory {directory} can not be read: {error}") from error
    segments = [
        SegmentFile(numbers[0], numbers[1], directory / name)
        for name in names
        if (numbers := layout.parse_segment_name(name)) is not None
    ]
    segments.sort(key=lambda segment: segment.number)
    for left, right in itertools.pairwise(segments):
        if right.number == left.number:
            raise layout.JournalDamaged(
                str(right.path), 0, f"{left.path.name} has the same number; move away the one that is a copy"
            )
        if right.number != left.number + 1:
            raise layout.JournalDamaged(
                str(right.path),
                0,
                f"the {right.number - left.number - 1} segment(s) between {left.path.name} and this one are "
                "missing; put them back from the archive or a backup",
            )
    return segments


def prepared_segments(disk: Disk, directory: Path) -> list[tuple[int, Path]]:
    """The prepared files as (k, path), in the order in which they are taken. Raises: OSError."""
    found = [
        (int(match[1]), directory / name)
        for name in disk.names(directory)
        if (match := _PREPARED.fullmatch(name)) is not None
    ]
    return sorted(found)


def remove_unfinished(disk: Disk, directory: Path, segment_size: int) -> list[str]:
    """Removes what a crash left half made, and prepared files of another size; returns the names.

    The writer does it when it is made, before a helper process prepares anything. Raises: OSError.
    """
    removed = [name for name in disk.names(directory) if _UNFINISHED.fullmatch(name)]
    for _, path in prepared_segments(disk, directory):
        fd = disk.open_to_read(path)
        try:
            size = disk.size(fd)
        finally:
            disk.close(fd)
        if size != segment_size:
            removed.append(path.name)
    for name in removed:
        disk.unlink(directory / name)
    if removed:
        disk.sync_directory(directory)
    return removed


def prepare_segment(
    disk: Disk,
    directory: Path,
    k: int,
    segment_size: int,
    throttle: Callable[[int], None] | None = None,
) -> Path:
    """Makes `next-<k>.prepared`: allocated, zero-written in chunks, synced. Blocks for the whole writing.

    `throttle` is called after each chunk with its bytes, to sleep as long as the journal's disk should be
    left alone.

    Raises: NoSpace; JournalIOError. Then nothing is left of it.
    """
    unfinished = directory / f"next-{k}.preparing"
    prepared = directory / f"next-{k}.prepared"
    zeros = bytes(ZERO_CHUNK_BYTES)
    try:
        fd = disk.create(unfinished)
        try:
            disk.allocate(fd, segment_size)
            for offset in range(0, segment_size, ZERO_CHUNK_BYTES):
                chunk = zeros[: segment_size - offset]
                disk.pwrite(fd, chunk, offset)
                disk.fdatasync(fd)
                if throttle is not None:
                    throttle(len(chunk))
            disk.fsync(fd)
        finally:
            disk.close(fd)
        disk.rename(unfinished, prepared)
        disk.sync_directory(directory)
    except OSError as error:
        _remove_quietly(disk, unfinished)
        if error.errno in _NO_SPACE:
            raise layout.NoSpace(
                f"no space for another journal segment of {segment_size} bytes in {directory}: {error}"
            ) from error
        raise layout.JournalIOError(
            f"a journal segment can not be prepared in {directory}: {error}"
        ) from error
    return prepared


def repair_tail(disk: Disk, directory: Path, segment: Path, valid_bytes: int) -> None:
    """Rewrites the last segment so that it holds its first `valid_bytes` bytes and nothing else, synced.

    For every start after an unclean end: it cuts a torn frame, and it writes again what the kernel may
    wrongly believe to be on the disk after a sync that failed. Uses a prepared file as the target when
    there is one, so it also works on a full disk. A crash inside leaves the old segment as it was.

    Raises: NoSpace; JournalIOError.
    """
    target = segment.with_name(segment.name + ".repairing")
    try:
        old = disk.open_to_read(segment)
        try:
            new = _open_repair_target(disk, directory, target)
            try:
                for offset in range(0, valid_bytes, ZERO_CHUNK_BYTES):
                    size = min(ZERO_CHUNK_BYTES, valid_bytes - offset)
                    chunk = disk.pread(old, size, offset)
                    assert len(chunk) == size, "the segment is shorter than what was read from it"
                    disk.pwrite(new, chunk, offset)
                disk.truncate(new, valid_bytes)
                disk.fsync(new)
            finally:
                disk.close(new)
        finally:
            disk.close(old)
        disk.rename(target, segment)
        disk.sync_directory(directory)
    except OSError as error:
        _remove_quietly(disk, target)
        if error.errno in _NO_SPACE:
            raise layout.NoSpace(
                f"no space to rewrite {segment} ({valid_bytes} bytes); free some and start again: {error}"
            ) from error
        raise layout.JournalIOError(f"{segment} can not be rewritten: {error}") from error


def _open_repair_target(disk: Disk, directory: Path, target: Path) -> int:
    # Renamed first: a half copied file must never keep a name that promises zeros.
    prepared = prepared_segments(disk, directory)
    if not prepared:
        return disk.create(target)
    disk.rename(prepared[-1][1], target)
    disk.sync_directory(directory)
    return disk.open_to_write(target)


def _remove_quietly(disk: Disk, path: Path) -> None:
    try:
        disk.unlink(path)
    except OSError:
        pass  # the start removes it; the error that brought us here is the one to tell
