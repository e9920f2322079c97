"""A segment in the archive is as good as in the journal, and never in neither."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from matchengine.journal import format as layout
from matchengine.journal.archive import (
    archive_segment,
    list_archived,
    read_archived,
    remove_unfinished_archives,
)
from matchengine.journal.reader import scan
from tests.matchengine.journal.journals import SYSTEM_ID, append, open_writer, segments_of
from tests.matchengine.recorder_process.following import Following
from vxutils.disk import Disk


class Died(Exception):
    """The process is killed here."""


class DyingDisk(Disk):
    """Dies at the n-th step that changes something."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def _step(self) -> None:
        if self._steps == 0:
            raise Died
        self._steps -= 1

    def create(self, path: Path, exclusive: bool = False) -> int:
        self._step()
        return super().create(path, exclusive)

    def pwrite(self, fd: int, data: bytes, offset: int) -> None:
        self._step()
        super().pwrite(fd, data, offset)

    def fsync(self, fd: int) -> None:
        self._step()
        super().fsync(fd)

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        self._step()
        super().unlink(path)


def make_journal(directory: Path) -> None:
    writer = open_writer(directory)
    while len(segments_of(directory)) < 4:
        append(writer, size=900)
    writer.close(clean=False)


def test_the_copy_is_the_segment(tmp_path: Path) -> None:
    make_journal(tmp_path)
    segment = segments_of(tmp_path)[0]
    data = segment.path.read_bytes()
    packed = archive_segment(Disk(), segment, tmp_path / "archive")
    assert not segment.path.exists()
    assert packed.name == segment.path.name + ".gz"
    assert gzip.decompress(packed.read_bytes()) == data == read_archived(Disk(), packed)
    (found,) = list_archived(Disk(), tmp_path / "archive")
    assert (found.number, found.first_sequence) == (segment.number, segment.first_sequence)


def test_following_from_the_archive_into_the_journal(tmp_path: Path) -> None:
    make_journal(tmp_path)
    segments = segments_of(tmp_path)
    for segment in segments[:2]:
        archive_segment(Disk(), segment, tmp_path / "archive")
    middle = segments[1].first_sequence + 5
    for wanted in (1, middle):
        with Following(tmp_path, from_sequence=wanted) as following:
            following.poll(1 << 30)
            assert following.sequences[0] == wanted
            assert following.sequences[-1] == following.follower.durable_sequence


def test_a_segment_leaves_while_it_is_followed(tmp_path: Path) -> None:
    make_journal(tmp_path)
    segments = segments_of(tmp_path)
    with Following(tmp_path) as following:
        following.poll(3_000)
        for segment in segments[:3]:
            archive_segment(Disk(), segment, tmp_path / "archive")
        while following.poll(3_000):
            pass
        assert following.sequences[-1] == following.follower.durable_sequence >= segments[3].first_sequence


def test_a_scan_takes_the_archive_too(tmp_path: Path) -> None:
    make_journal(tmp_path)
    whole = list(scan(Disk(), tmp_path, SYSTEM_ID))
    segments = segments_of(tmp_path)
    for segment in segments[:2]:
        archive_segment(Disk(), segment, tmp_path / "archive")
    with pytest.raises(layout.JournalMissing):
        list(scan(Disk(), tmp_path, SYSTEM_ID))
    assert list(scan(Disk(), tmp_path, SYSTEM_ID, archive=tmp_path / "archive")) == whole
    late = segments[2].first_sequence
    found = list(scan(Disk(), tmp_path, SYSTEM_ID, late, tmp_path / "archive"))
    assert found == [frame for frame in whole if frame.first_sequence >= late]


def test_killed_at_every_step_it_is_somewhere(tmp_path: Path) -> None:
    steps = 0
    finished = False
    while not finished:
        directory = tmp_path / str(steps)
        make_journal(directory)
        archive = directory / "archive"
        segment = segments_of(directory)[0]
        data = segment.path.read_bytes()
        try:
            archive_segment(DyingDisk(steps), segment, archive)
            finished = True
        except Died:
            pass
        packed = archive / f"{segment.path.name}.gz"
        if segment.path.exists():
            assert segment.path.read_bytes() == data
        else:
            assert read_archived(Disk(), packed) == data
        remove_unfinished_archives(Disk(), archive)
        with Following(directory) as following:
            following.poll(1 << 30)
            assert following.sequences[-1] == following.follower.durable_sequence
        if segment.path.exists():
            archive_segment(Disk(), segment, archive)
        assert [path.name for path in archive.iterdir()] == [packed.name]
        steps += 1
    assert steps > 5


@pytest.mark.parametrize("keep", [0, 10, -1])
def test_a_damaged_archive_is_named(tmp_path: Path, keep: int) -> None:
    make_journal(tmp_path)
    packed = archive_segment(Disk(), segments_of(tmp_path)[0], tmp_path / "archive")
    packed.write_bytes(packed.read_bytes()[:keep])
    with Following(tmp_path) as following, pytest.raises(layout.JournalDamaged, match=packed.name):
        following.poll()
    data = bytearray(gzip.compress(b"x" * 1000))
    data[-6] ^= 1
    packed.write_bytes(data)
    with pytest.raises(layout.JournalDamaged, match="archived segment"):
        read_archived(Disk(), packed)
