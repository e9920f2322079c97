"""A slice is the state or it is refused: cut, flipped, foreign, newer; the one before is used."""

from __future__ import annotations

import errno
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from matchengine.slices import (
    BLOCK_BYTES_MAX,
    SliceDamaged,
    SliceForeign,
    SliceHeader,
    SliceIOError,
    SliceNewer,
    list_slices,
    newest_good_slice,
    read_items,
    read_slice,
    remove_older,
    state_hash,
    verify_slice,
    write_slice,
)
from tests.support.faulty_disk import Crash, FaultyDisk
from vxutils.disk import Disk
from vxutils.packing import pack

SYSTEM_ID = bytes(range(16))
HUGE = [2**63, 2**64, 10**30, -(10**30), 0, 10**60]


def header_at(sequence: int) -> SliceHeader:
    return SliceHeader(
        system_id=SYSTEM_ID,
        epoch=3,
        sequence=sequence,
        operation_id=sequence - 1,
        time_us=1_700_000_000_000_000,
        digest=b"outcome!",
        rules_hash=b"r" * 32,
    )


def items_of(count: int, size: int = 50) -> Iterator[object]:
    yield ["huge", HUGE]
    for number in range(count):
        yield ["order", number, b"\x5a" * size]


def write(directory: Path, sequence: int, count: int = 5, disk: Disk | None = None) -> Path:
    return write_slice(disk or Disk(), directory, header_at(sequence), items_of(count)).path


@pytest.mark.parametrize(("count", "size"), [(0, 0), (5, 50), (3000, 1500), (3, BLOCK_BYTES_MAX - 20)])
def test_what_was_written_is_read(tmp_path: Path, count: int, size: int) -> None:
    written = write_slice(Disk(), tmp_path / "s", header_at(9), items_of(count, size))
    header, items = read_slice(Disk(), written.path)
    assert header == written.header == header_at(9)
    assert list(items) == list(items_of(count, size))
    payload = b"".join(map(pack, items_of(count, size)))
    assert written.state_hash == hashlib.blake2b(payload, digest_size=32).digest()
    assert written.state_hash == state_hash(items_of(count, size))
    assert written.item_count == count + 1
    assert written.path.name == "00000000000000000009.slice"


def test_an_empty_state_is_a_state(tmp_path: Path) -> None:
    written = write_slice(Disk(), tmp_path, header_at(1), [])
    assert (written.item_count, list(read_items(Disk(), written))) == (0, [])


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    path = write(tmp_path, 9)
    whole = path.read_bytes()
    for offset in range(len(whole)):
        data = bytearray(whole)
        data[offset] ^= 1 << offset % 8
        path.write_bytes(data)
        with pytest.raises(SliceDamaged):
            verify_slice(Disk(), path)


def test_every_truncation_and_addition_is_found(tmp_path: Path) -> None:
    path = write(tmp_path, 9)
    whole = path.read_bytes()
    for data in [whole[:size] for size in range(len(whole))] + [whole + b"\0", whole + whole[-64:]]:
        path.write_bytes(data)
        with pytest.raises(SliceDamaged):
            read_slice(Disk(), path)


def test_blocks_that_changed_places_are_found(tmp_path: Path) -> None:
    path = write_slice(Disk(), tmp_path, header_at(9), items_of(3, BLOCK_BYTES_MAX - 100)).path
    whole = path.read_bytes()
    blocks, at = [], 128
    while at < len(whole) - 64:
        length = 8 + int.from_bytes(whole[at : at + 4], "little")
        blocks.append(whole[at : at + length])
        at += length
    assert len(blocks) == 4
    path.write_bytes(whole[:128] + blocks[0] + blocks[2] + blocks[1] + blocks[3] + whole[-64:])
    with pytest.raises(SliceDamaged, match="state hash"):
        verify_slice(Disk(), path)


def test_a_block_of_another_slice_is_found(tmp_path: Path) -> None:
    ours, theirs = write(tmp_path, 9), write(tmp_path, 10)
    one, two = ours.read_bytes(), theirs.read_bytes()
    ours.write_bytes(one[:128] + two[128:-64] + one[-64:])  # the same items, written for another moment
    with pytest.raises(SliceDamaged, match="checksum of a block"):
        verify_slice(Disk(), ours)


@pytest.mark.parametrize(("offset", "words"), [(8, "format 2"), (10, "logic version 2")])
def test_a_newer_version_is_refused_not_skipped(tmp_path: Path, offset: int, words: str) -> None:
    write(tmp_path, 8)
    path = write(tmp_path, 9)
    data = bytearray(path.read_bytes())
    data[offset] = 2
    data[124:128] = zlib.crc32(data[:124]).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(SliceNewer, match=words):
        newest_good_slice(Disk(), tmp_path, SYSTEM_ID)


def test_the_newest_good_one(tmp_path: Path) -> None:
    for sequence in (5, 900, 1000, 2000):
        write(tmp_path, sequence)
    good, warnings = newest_good_slice(Disk(), tmp_path, SYSTEM_ID)
    assert good is not None
    assert (good.header.sequence, warnings) == (2000, [])
    (tmp_path / "00000000000000002000.slice").write_bytes(b"")
    broken = tmp_path / "00000000000000001000.slice"
    broken.write_bytes(broken.read_bytes()[:-100])
    good, warnings = newest_good_slice(Disk(), tmp_path, SYSTEM_ID)
    assert good is not None
    assert good.header.sequence == 900
    assert len(warnings) == 2
    assert "00000000000000002000.slice is damaged at offset 0" in warnings[0]
    assert all(warning.endswith("the one before is used") for warning in warnings)
    good, warnings = newest_good_slice(Disk(), tmp_path, SYSTEM_ID, sequence_max=899)
    assert good is not None
    assert (good.header.sequence, warnings) == (5, [])


def test_a_renamed_slice_is_not_believed(tmp_path: Path) -> None:
    write(tmp_path, 7).rename(tmp_path / f"{8:020d}.slice")
    good, warnings = newest_good_slice(Disk(), tmp_path, SYSTEM_ID)
    assert good is None
    assert "its header says sequence 7" in warnings[0]


def test_none_at_all(tmp_path: Path) -> None:
    assert newest_good_slice(Disk(), tmp_path / "none", SYSTEM_ID) == (None, [])
    assert list_slices(Disk(), tmp_path) == []


def test_a_foreign_slice_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 7)
    with pytest.raises(SliceForeign):
        newest_good_slice(Disk(), tmp_path, b"\xee" * 16)


def test_old_ones_and_leftovers_go(tmp_path: Path) -> None:
    for sequence in (1, 20, 300, 4000):
        write(tmp_path, sequence)
    (tmp_path / "00000000000000005000.slice.writing").write_bytes(b"half")
    (tmp_path / "something else").write_bytes(b"")
    assert len(remove_older(Disk(), tmp_path, keep=2)) == 3
    assert [file.sequence for file in list_slices(Disk(), tmp_path)] == [300, 4000]
    assert (tmp_path / "something else").exists()
    assert remove_older(Disk(), tmp_path / "none") == []


@pytest.mark.parametrize(
    ("operation", "error"),
    [("pwrite", errno.ENOSPC), ("fsync", errno.EIO), ("rename", errno.EIO), ("create", errno.ENOSPC)],
)
def test_a_failing_disk_leaves_what_was_there(tmp_path: Path, operation: str, error: int) -> None:
    write(tmp_path, 9, count=5)
    before = (tmp_path / f"{9:020d}.slice").read_bytes()
    disk = FaultyDisk()
    disk.fail(operation, 1, error)
    with pytest.raises(SliceIOError):
        write(tmp_path, 9, count=50, disk=disk)
    assert [path.name for path in tmp_path.iterdir()] == [f"{9:020d}.slice"]
    assert (tmp_path / f"{9:020d}.slice").read_bytes() == before


def test_bytes_lost_on_the_way_to_the_disk_are_noticed(tmp_path: Path) -> None:
    class LosingDisk(Disk):
        def pwrite(self, fd: int, data: bytes, offset: int) -> None:
            super().pwrite(fd, data[:200] + bytes(len(data[200:])), offset)

    with pytest.raises(SliceDamaged):
        write(tmp_path, 9, count=50, disk=LosingDisk())
    assert list(tmp_path.iterdir()) == []


def test_a_crash_at_every_step_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    for step in range(1, 40):
        directory = tmp_path / str(step)
        write(directory, 5)
        disk = FaultyDisk()
        disk.crash_at(step)
        try:
            write(directory, 6, disk=disk)
            done = True
        except Crash:
            done = False
        good, warnings = newest_good_slice(Disk(), directory, SYSTEM_ID)
        assert good is not None
        assert good.header.sequence in ((6,) if done else (5, 6))
        assert warnings == []
        if done:
            assert step > 5
            return
    raise AssertionError("it never ended")


def test_it_is_synced_before_it_has_its_name(tmp_path: Path) -> None:
    disk = FaultyDisk()
    write(tmp_path, 9, disk=disk)
    assert disk.operations[-3:] == ["fsync", "rename", "sync_directory"]


def test_a_slice_that_changed_after_it_was_verified(tmp_path: Path) -> None:
    good = verify_slice(Disk(), write(tmp_path, 9))
    with pytest.raises(SliceDamaged, match="6 items where 7 were written"):
        list(read_items(Disk(), msgspec.structs.replace(good, item_count=7)))
    data = bytearray(good.path.read_bytes())
    data[200] ^= 1
    good.path.write_bytes(data)
    with pytest.raises(SliceDamaged):
        list(read_items(Disk(), good))
