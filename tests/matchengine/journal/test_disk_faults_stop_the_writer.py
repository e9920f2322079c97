"""Failed writes and syncs end the writer; a full disk refuses before anything is written."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from matchengine.journal.durable import read_durable
from matchengine.journal.format import JournalIOError, NoSpace, frame_bytes
from matchengine.journal.segments import prepare_segment, prepared_segments, repair_tail
from matchengine.journal.writer import JournalWriter
from tests.matchengine.journal.journals import (
    SEGMENT_BYTES,
    SYSTEM_ID,
    append,
    digest_of,
    end_of,
    make_journal,
    open_writer,
    read_all,
    recover,
)
from tests.support.faulty_disk import FaultyDisk
from vxutils.disk import Disk


def fail_pwrite(disk: FaultyDisk) -> None:
    disk.fail("pwrite", 1, errno.EIO)


def fail_half_a_pwrite(disk: FaultyDisk) -> None:
    disk.cut_write(1, 70)


def fail_with_no_space(disk: FaultyDisk) -> None:
    disk.fail("pwrite", 1, errno.ENOSPC)


def fail_fdatasync(disk: FaultyDisk) -> None:
    disk.fail("fdatasync", 1, errno.EIO)


@pytest.mark.parametrize("break_it", [fail_pwrite, fail_half_a_pwrite, fail_with_no_space, fail_fdatasync])
def test_after_a_failure_every_call_raises(tmp_path: Path, break_it: Callable[[FaultyDisk], None]) -> None:
    disk = FaultyDisk()
    writer = open_writer(tmp_path / "j", disk)
    append(writer, count=3)
    break_it(disk)
    with pytest.raises(JournalIOError):
        append(writer)
    calls: list[Callable[[], object]] = [lambda: append(writer), writer.sync, writer.take_prepared]
    for call in calls:
        with pytest.raises(JournalIOError, match="not written any more"):
            call()
    writer.close()
    assert read_durable(Disk(), tmp_path / "j", SYSTEM_ID) == 3
    sequences, writer = recover(tmp_path / "j", epoch=2)
    assert sequences[:3] == [1, 2, 3]
    append(writer)
    writer.close()
    assert read_all(tmp_path / "j")[0] == [*sequences, len(sequences) + 1]


def test_a_short_write_is_continued(tmp_path: Path) -> None:
    disk = FaultyDisk()
    writer = open_writer(tmp_path / "j", disk)
    disk.short_write(1, 33)
    append(writer, count=2)
    writer.close()
    assert read_all(tmp_path / "j")[0] == [1, 2]


def fill_segment(writer: JournalWriter, reserve: int) -> None:
    """Appends until the rest of the segment is smaller than `reserve` bytes."""
    while writer.room >= reserve:
        append(writer, size=1000)


@pytest.mark.parametrize("operation", ["allocate", "pwrite", "create"])
def test_no_space_for_a_segment_leaves_the_journal_usable(tmp_path: Path, operation: str) -> None:
    disk = FaultyDisk()
    writer = open_writer(tmp_path / "j", disk)
    fill_segment(writer, 3000)
    room, last = writer.room, writer.last_sequence
    disk.fail(operation, 1, errno.ENOSPC)
    with pytest.raises(NoSpace, match="no space for another journal segment"):
        append(writer, size=4000)
    assert (writer.room, writer.last_sequence, writer.segment_number) == (room, last, 1)
    assert sorted(path.name for path in (tmp_path / "j").glob("next-*")) == []
    append(writer)  # a small one still fits
    append(writer, size=4000)  # and there is space again
    assert writer.segment_number == 2
    writer.close()
    assert read_all(tmp_path / "j")[0] == list(range(1, last + 3))


def test_what_room_promises_can_be_appended(tmp_path: Path) -> None:
    """With no space for any more segment, frames of any size fit until `room` is used up."""
    for size in (10, 100, 3001, 8000):
        directory = tmp_path / str(size)
        disk = FaultyDisk()
        writer = open_writer(directory, disk)
        for k in (1, 2):
            prepare_segment(Disk(), directory, k, SEGMENT_BYTES)
        assert writer.prepared == 0
        assert writer.take_prepared() == 2
        for nth in range(1, 100):
            disk.fail("create", nth, errno.ENOSPC)
        promised, used = writer.room, 0
        frame = frame_bytes(size)
        while used + frame <= promised:
            writer.append([b"x" * size], writer.last_sequence + 1, 1, digest_of(1))
            writer.sync()
            used += frame
            assert writer.room >= promised - used
        assert writer.inline_preparations == 1  # the first segment of all
        writer.close()


def test_inline_preparations_are_counted(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "j")
    assert writer.inline_preparations == 1
    prepare_segment(Disk(), tmp_path / "j", 1, SEGMENT_BYTES)
    while writer.segment_number < 3:
        append(writer, size=4000)
    assert writer.inline_preparations == 2
    writer.close()


def test_preparing_is_throttled_and_of_the_right_size(tmp_path: Path) -> None:
    size = 2 * 1024 * 1024 + 4096
    chunks: list[int] = []
    path = prepare_segment(Disk(), tmp_path, 4, size, chunks.append)
    assert chunks == [1024 * 1024, 1024 * 1024, 4096]
    assert path.read_bytes() == bytes(size)
    assert prepared_segments(Disk(), tmp_path) == [(4, path)]


def test_a_failed_preparation_leaves_nothing(tmp_path: Path) -> None:
    for operation, error, raised in (
        ("fdatasync", errno.EIO, JournalIOError),
        ("pwrite", errno.ENOSPC, NoSpace),
        ("rename", errno.EIO, JournalIOError),
    ):
        disk = FaultyDisk()
        disk.fail(operation, 1, error)
        with pytest.raises(raised):
            prepare_segment(disk, tmp_path, 1, SEGMENT_BYTES)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("operation", "error", "raised"),
    [
        ("pwrite", errno.ENOSPC, NoSpace),
        ("fsync", errno.EIO, JournalIOError),
        ("create", errno.EIO, JournalIOError),
    ],
)
def test_a_failed_repair_leaves_the_old_segment(
    tmp_path: Path, operation: str, error: int, raised: type[Exception]
) -> None:
    make_journal(tmp_path / "j", frames=3)
    end = end_of(tmp_path / "j")
    disk = FaultyDisk()
    disk.fail(operation, 1, error)
    with pytest.raises(raised):
        repair_tail(disk, tmp_path / "j", end.segment_path, end.valid_bytes)
    assert end_of(tmp_path / "j") == end
    assert list((tmp_path / "j").glob("*.repairing")) == []
