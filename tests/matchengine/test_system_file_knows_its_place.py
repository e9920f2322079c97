"""SYSTEM: only at its own place, never silently new, every problem in words."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

from matchengine.system import (
    ADOPTED_EPOCHS,
    System,
    SystemCopied,
    SystemDamaged,
    SystemExists,
    SystemMissing,
    SystemNewer,
    adopt,
    create_system,
    open_epoch,
    read_system,
)
from tests.support.faulty_disk import Crash, FaultyDisk
from vxutils.disk import Disk

ID = "00112233445566778899aabbccddeeff"


def make(directory: Path) -> System:
    return create_system(Disk(), directory, ID, 1_700_000_000_000_000)


def test_made_read_and_opened(tmp_path: Path) -> None:
    made = make(tmp_path / "a" / "data")
    assert (made.system_id, made.last_epoch, made.created_us) == (ID, 0, 1_700_000_000_000_000)
    assert made.id_bytes == bytes.fromhex(ID)
    assert read_system(Disk(), tmp_path / "a" / "data") == made
    for epoch in (1, 2, 3):
        assert open_epoch(Disk(), tmp_path / "a" / "data").last_epoch == epoch
    assert read_system(Disk(), tmp_path / "a" / "data").last_epoch == 3


def test_one_line_per_member(tmp_path: Path) -> None:
    make(tmp_path)
    lines = (tmp_path / "SYSTEM").read_text().splitlines()
    assert lines[0] == "{"
    assert [line.split('"')[1] for line in lines[1:-1]] == [
        "format_version",
        "system_id",
        "created_us",
        "last_epoch",
        "directory_inode",
        "identity_inode",
        "crc32",
    ]


def test_it_is_made_once(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(SystemExists, match="is a data directory already"):
        make(tmp_path)


def test_a_directory_without_it(tmp_path: Path) -> None:
    words = r"is not a data directory \(no SYSTEM file\): a disk that is not mounted\? `vx init --data-dir"
    for directory in (tmp_path, tmp_path / "none"):
        with pytest.raises(SystemMissing, match=words):
            read_system(Disk(), directory)
        with pytest.raises(SystemMissing):
            open_epoch(Disk(), directory)
    assert list(tmp_path.iterdir()) == []


def test_every_flipped_byte_is_damage(tmp_path: Path) -> None:
    made = make(tmp_path)
    path = tmp_path / "SYSTEM"
    whole = path.read_bytes()
    for offset in range(len(whole)):
        data = bytearray(whole)
        data[offset] ^= 1
        path.write_bytes(data)
        try:
            found = read_system(Disk(), tmp_path)
        except SystemDamaged:
            continue
        assert found == made, f"offset {offset}"  # blanks between members
    for size in range(len(whole) - 2):
        path.write_bytes(whole[:size])
        with pytest.raises(SystemDamaged):
            read_system(Disk(), tmp_path)


def test_a_newer_format(tmp_path: Path) -> None:
    make(tmp_path)
    members = json.loads((tmp_path / "SYSTEM").read_text())
    del members["crc32"]
    members |= {"format_version": 2, "something": "new"}
    members["crc32"] = zlib.crc32(json.dumps(members, sort_keys=True, separators=(",", ":")).encode())
    (tmp_path / "SYSTEM").write_text(json.dumps(members))
    with pytest.raises(SystemNewer, match="format 2, this version reads up to 1"):
        read_system(Disk(), tmp_path)


def test_a_copy_is_refused_until_adopted(tmp_path: Path) -> None:
    make(tmp_path / "real")
    open_epoch(Disk(), tmp_path / "real")
    subprocess.run(["cp", "-a", tmp_path / "real", tmp_path / "copy"], check=True)
    with pytest.raises(SystemCopied, match=f"is a copy of system {ID}.*vx adopt --data-dir"):
        read_system(Disk(), tmp_path / "copy")
    with pytest.raises(SystemCopied):
        open_epoch(Disk(), tmp_path / "copy")
    assert adopt(Disk(), tmp_path / "copy").last_epoch == 1 + ADOPTED_EPOCHS
    assert open_epoch(Disk(), tmp_path / "copy").last_epoch == 2 + ADOPTED_EPOCHS
    assert read_system(Disk(), tmp_path / "real").last_epoch == 1


def test_copied_files_inside_a_known_directory_are_a_copy_too(tmp_path: Path) -> None:
    """A backup restored into the same, emptied directory: that keeps its number, IDENTITY does not."""
    data = tmp_path / "data"
    make(data)
    shutil.copytree(data, tmp_path / "backup")
    inode = data.stat().st_ino
    (data / "occupied").touch()
    for name in ("SYSTEM", "IDENTITY"):
        (tmp_path / "keep").mkdir(exist_ok=True)
        (data / name).rename(tmp_path / "keep" / name)  # kept, so its number is not used again
        shutil.copy(tmp_path / "backup" / name, data / name)
    assert data.stat().st_ino == inode
    with pytest.raises(SystemCopied):
        read_system(Disk(), data)


def test_the_same_files_in_another_directory_are_a_copy(tmp_path: Path) -> None:
    """Hard links keep the numbers of the files; the directory has its own."""
    make(tmp_path / "real")
    subprocess.run(["cp", "-al", tmp_path / "real", tmp_path / "links"], check=True)
    with pytest.raises(SystemCopied):
        read_system(Disk(), tmp_path / "links")


def test_a_renamed_directory_is_no_copy(tmp_path: Path) -> None:
    make(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    assert open_epoch(Disk(), tmp_path / "new").last_epoch == 1


def test_a_crash_at_every_step(tmp_path: Path) -> None:
    for step in range(1, 40):
        directory = tmp_path / str(step)
        disk = FaultyDisk()
        disk.crash_at(step)
        try:
            create_system(disk, directory, ID, 1)
            open_epoch(disk, directory)
            done = True
        except Crash:
            done = False
        try:
            make(directory)
        except SystemExists:
            pass
        assert open_epoch(Disk(), directory).last_epoch in (1, 2)
        if done:
            assert step > 10
            return
    raise AssertionError("it never ended")


def test_a_full_disk_keeps_the_old_epoch(tmp_path: Path) -> None:
    make(tmp_path)
    disk = FaultyDisk()
    disk.fail("pwrite", 1, errno.ENOSPC)
    with pytest.raises(OSError, match="No space"):
        open_epoch(disk, tmp_path)
    assert read_system(Disk(), tmp_path).last_epoch == 0
