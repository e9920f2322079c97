"""Anything changed, missing or put elsewhere before the end raises, with file, offset and what to do."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from matchengine.journal import format as layout
from matchengine.journal.durable import create_journal
from matchengine.journal.format import (
    JournalDamaged,
    JournalForeign,
    JournalIOError,
    JournalMissing,
    JournalNewer,
)
from matchengine.journal.reader import scan
from tests.matchengine.journal.journals import (
    SYSTEM_ID,
    append,
    end_of,
    flip,
    make_journal,
    open_writer,
    read_all,
    segments_of,
)
from vxutils.disk import Disk


def write_header(path: Path, offset: int, value: bytes) -> None:
    """Changes bytes of a segment's header and makes its checksum right again."""
    data = bytearray(path.read_bytes())
    data[offset : offset + len(value)] = value
    data[4092:4096] = zlib.crc32(data[:4092]).to_bytes(4, "little")
    path.write_bytes(data)


def test_a_flipped_bit_anywhere_before_the_last_frame(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "j")
    for _ in range(2):
        append(writer, size=61)  # with padding after the payload
    last = end_of(tmp_path / "j").valid_bytes
    append(writer, size=61)
    writer.close(clean=False)
    (tmp_path / "j" / "DURABLE").unlink()  # found without the floor
    path = segments_of(tmp_path / "j")[0].path
    for offset in [*range(128), *range(128, 4096, 97), *range(4092, last)]:
        flip(path, offset, 1 << offset % 8)
        with pytest.raises(JournalDamaged) as caught:
            read_all(tmp_path / "j")
        assert caught.value.file == str(path)
        assert caught.value.offset <= offset
        flip(path, offset, 1 << offset % 8)
    assert read_all(tmp_path / "j")[0] == [1, 2, 3]


def test_a_flipped_bit_in_any_segment_but_the_last(tmp_path: Path) -> None:
    make_journal(tmp_path / "j", frames=60, size=1000)
    segments = segments_of(tmp_path / "j")
    assert len(segments) >= 3
    for segment in segments[:-1]:
        size = segment.path.stat().st_size
        for offset in [*range(0, size, 997), size - 1]:  # frames, and the zeros after them
            flip(segment.path, offset)
            with pytest.raises(JournalDamaged) as caught:
                read_all(tmp_path / "j")
            assert caught.value.file == str(segment.path)
            flip(segment.path, offset)
    assert len(read_all(tmp_path / "j")[0]) == 60


def test_the_last_frame_flipped_after_it_was_acknowledged(tmp_path: Path) -> None:
    make_journal(tmp_path / "j", frames=3)
    flip(segments_of(tmp_path / "j")[0].path, end_of(tmp_path / "j").valid_bytes - 20)
    with pytest.raises(JournalDamaged, match=r"acknowledged operations 3\.\.3 are missing"):
        read_all(tmp_path / "j")


def test_a_deleted_middle_segment(tmp_path: Path) -> None:
    make_journal(tmp_path / "j", frames=80, size=1000)
    segments = segments_of(tmp_path / "j")
    segments[1].path.unlink()
    with pytest.raises(JournalDamaged, match=r"1 segment\(s\) between .* are\s+missing"):
        read_all(tmp_path / "j")


def test_a_deleted_last_segment(tmp_path: Path) -> None:
    make_journal(tmp_path / "j", frames=80, size=1000)
    segments_of(tmp_path / "j")[-1].path.unlink()
    with pytest.raises(JournalDamaged, match="acknowledged operations"):
        read_all(tmp_path / "j")


def test_deleted_first_segments_are_missed_only_when_needed(tmp_path: Path) -> None:
    make_journal(tmp_path / "j", frames=80, size=1000)
    segments = segments_of(tmp_path / "j")
    segments[0].path.unlink()
    with pytest.raises(JournalMissing, match="1 is needed"):
        read_all(tmp_path / "j")
    start = segments[1].first_sequence
    assert read_all(tmp_path / "j", start)[0] == list(range(start, 81))


def test_swapped_segments(tmp_path: Path) -> None:
    make_journal(tmp_path / "j", frames=80, size=1000)
    one, two = (segment.path for segment in segments_of(tmp_path / "j")[:2])
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    with pytest.raises(JournalDamaged, match="renamed"):
        read_all(tmp_path / "j")


def test_two_files_with_one_number(tmp_path: Path) -> None:
    make_journal(tmp_path / "j", frames=3)
    path = segments_of(tmp_path / "j")[0].path
    path.with_name(layout.segment_name(1, 7)).write_bytes(path.read_bytes())
    with pytest.raises(JournalDamaged, match="the same number"):
        read_all(tmp_path / "j")


def test_a_segment_replaced_by_one_of_another_past(tmp_path: Path) -> None:
    """All checksums and sequences fit; only the hash in the segment after it tells."""
    for name, size in (("a", 1000), ("b", 1001)):
        make_journal(tmp_path / name, frames=60, size=size)
    ours, theirs = segments_of(tmp_path / "a"), segments_of(tmp_path / "b")
    assert [s.first_sequence for s in ours] == [s.first_sequence for s in theirs]
    ours[0].path.write_bytes(theirs[0].path.read_bytes())
    with pytest.raises(JournalDamaged, match="its hash is not the one") as caught:
        read_all(tmp_path / "a")
    assert caught.value.file == str(ours[0].path)


def test_a_frame_lost_from_the_end_of_a_middle_segment(tmp_path: Path) -> None:
    make_journal(tmp_path / "j", frames=60, size=1000)
    segment = segments_of(tmp_path / "j")[0]
    reading = scan(Disk(), tmp_path / "j", SYSTEM_ID)
    last = [frame.offset for frame in reading if frame.segment == 1][-1]
    data = segment.path.read_bytes()
    segment.path.write_bytes(data[:last] + bytes(len(data) - last))
    with pytest.raises(JournalDamaged, match="it ends with sequence") as caught:
        read_all(tmp_path / "j")
    assert (caught.value.file, caught.value.offset) == (str(segment.path), last)


@pytest.mark.parametrize(("epoch", "sequence", "records"), [(1, 4, 1), (1, 2, 1), (2, 3, 1), (1, 3, 0)])
def test_a_whole_frame_that_does_not_belong_there(
    tmp_path: Path, epoch: int, sequence: int, records: int
) -> None:
    make_journal(tmp_path / "j", frames=2)
    path = segments_of(tmp_path / "j")[0].path
    end = end_of(tmp_path / "j").valid_bytes
    data = path.read_bytes()
    seed = layout.segment_seed(data)
    frame = layout.encode_frame(seed, epoch, sequence, [b"\x01"] * records, 0, 1, bytes(8))
    path.write_bytes(data[:end] + frame + data[end + len(frame) :])
    with pytest.raises(JournalDamaged, match="where sequence 3 of epoch 1 belongs") as caught:
        read_all(tmp_path / "j")
    assert caught.value.offset == end


def test_an_epoch_that_goes_down(tmp_path: Path) -> None:
    for epoch in (5, 4):
        writer = open_writer(tmp_path / "j", end=end_of(tmp_path / "j") if epoch == 4 else None, epoch=epoch)
        append(writer)
        writer.close()
    with pytest.raises(JournalDamaged, match="epoch 4 comes after epoch 5"):
        read_all(tmp_path / "j")


def test_a_foreign_segment(tmp_path: Path) -> None:
    make_journal(tmp_path / "j", frames=1)
    with pytest.raises(JournalForeign, match="belongs to system 000102"):
        list(scan(Disk(), tmp_path / "j", b"\xee" * 16))


@pytest.mark.parametrize(
    ("offset", "words"), [(8, "journal format 2, this version reads up to 1"), (10, "logic version 2")]
)
def test_a_newer_version(tmp_path: Path, offset: int, words: str) -> None:
    make_journal(tmp_path / "j", frames=1)
    write_header(segments_of(tmp_path / "j")[0].path, offset, b"\x02")
    with pytest.raises(JournalNewer, match=words):
        read_all(tmp_path / "j")


@pytest.mark.parametrize("size", [0, 1, 4095])
def test_a_segment_cut_inside_its_header(tmp_path: Path, size: int) -> None:
    make_journal(tmp_path / "j", frames=1)
    path = segments_of(tmp_path / "j")[0].path
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(JournalDamaged, match="inside its header"):
        read_all(tmp_path / "j")


def test_no_directory_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(JournalMissing, match="not mounted"):
        read_all(tmp_path / "none")
    with pytest.raises(JournalMissing, match="not mounted"):
        read_all(tmp_path)


def test_a_journal_is_made_only_where_there_is_none(tmp_path: Path) -> None:
    create_journal(Disk(), tmp_path / "j", SYSTEM_ID)
    create_journal(Disk(), tmp_path / "j", SYSTEM_ID)
    make_journal(tmp_path / "j", frames=2)
    with pytest.raises(JournalForeign, match="already holds a journal"):
        create_journal(Disk(), tmp_path / "j", SYSTEM_ID)
    segments_of(tmp_path / "j")[0].path.unlink()
    with pytest.raises(JournalMissing, match="segments are gone"):
        create_journal(Disk(), tmp_path / "j", SYSTEM_ID)
    with pytest.raises(JournalDamaged, match=r"acknowledged operations 1\.\.2 are missing"):
        read_all(tmp_path / "j")


def test_an_unreadable_segment_is_an_io_error(tmp_path: Path) -> None:
    make_journal(tmp_path / "j", frames=1)
    path = segments_of(tmp_path / "j")[0].path
    path.unlink()
    path.mkdir()
    with pytest.raises(JournalIOError):
        read_all(tmp_path / "j")
