"""The order of the steps of a switch, each there for a loss of power between it and the next."""

from __future__ import annotations

from pathlib import Path

from matchengine.journal.segments import prepare_segment
from tests.matchengine.journal.journals import SEGMENT_BYTES, append, open_writer, read_all
from tests.support.faulty_disk import FaultyDisk
from vxutils.disk import Disk


def test_the_old_segment_then_the_header_then_the_name(tmp_path: Path) -> None:
    disk = FaultyDisk()
    writer = open_writer(tmp_path / "j", disk, durability="interval")
    prepare_segment(Disk(), tmp_path / "j", 1, SEGMENT_BYTES)
    for _ in range(4):
        append(writer, size=6000, sync=False)
    disk.operations.clear()
    append(writer, size=6000, sync=False)
    assert disk.operations == ["fdatasync", "pwrite", "fdatasync", "rename", "sync_directory", "pwrite"]
    assert (writer.durable_sequence, writer.segment_number) == (4, 2)
    writer.close()
    assert read_all(tmp_path / "j")[0] == [1, 2, 3, 4, 5]


def test_one_frame_is_one_write_and_one_sync(tmp_path: Path) -> None:
    disk = FaultyDisk()
    writer = open_writer(tmp_path / "j", disk)
    disk.operations.clear()
    append(writer, count=20)
    assert disk.operations == ["pwrite", "fdatasync"]
    writer.sync()  # nothing new: nothing to do
    assert disk.operations == ["pwrite", "fdatasync"]
    writer.close()


def test_off_never_syncs_a_frame(tmp_path: Path) -> None:
    disk = FaultyDisk()
    writer = open_writer(tmp_path / "j", disk, durability="off")
    disk.operations.clear()
    append(writer)
    append(writer)
    assert disk.operations == ["pwrite", "pwrite"]
    writer.close()


def test_preparing_syncs_before_the_name(tmp_path: Path) -> None:
    disk = FaultyDisk()
    prepare_segment(disk, tmp_path, 1, SEGMENT_BYTES)
    assert disk.operations == [
        "create",
        "allocate",
        "pwrite",
        "fdatasync",
        "fsync",
        "rename",
        "sync_directory",
    ]


def test_replacing_a_small_file_syncs_before_the_name(tmp_path: Path) -> None:
    disk = FaultyDisk()
    disk.write_atomically(tmp_path / "file", b"content")
    assert disk.operations == ["create", "pwrite", "fsync", "rename", "sync_directory"]
