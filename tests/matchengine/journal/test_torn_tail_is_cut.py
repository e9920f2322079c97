"""A frame that was being written at the end is no damage: reported, cut, and the journal goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from matchengine.journal.format import JournalDamaged
from tests.matchengine.journal.journals import (
    append,
    end_of,
    open_writer,
    read_all,
    recover,
    segments_of,
)


def journal_with_unsynced_last(directory: Path, durability: str = "group") -> tuple[Path, int, int]:
    """Three synced frames and one that is not: the file, and where the last frame begins and ends."""
    writer = open_writer(directory, durability=durability)  # type: ignore[arg-type]
    for _ in range(3):
        append(writer)
    begin = end_of(directory).valid_bytes
    append(writer, size=201, sync=False)
    end = end_of(directory).valid_bytes
    writer.close(clean=False)
    return segments_of(directory)[0].path, begin, end


@pytest.mark.parametrize("kind", ["zeros after the cut", "file ends at the cut", "first half missing"])
def test_torn_at_every_byte(tmp_path: Path, kind: str) -> None:
    path, begin, end = journal_with_unsynced_last(tmp_path / "j")
    whole = path.read_bytes()
    for cut in range(begin, end):
        if kind == "zeros after the cut":
            data = whole[:cut] + bytes(len(whole) - cut)
        elif kind == "file ends at the cut":
            data = whole[:cut]
        else:
            data = whole[:begin] + bytes(cut - begin) + whole[cut:]
        path.write_bytes(data)
        sequences, reading = read_all(tmp_path / "j")
        assert reading.end is not None
        if data == whole:
            assert sequences == [1, 2, 3, 4]
            continue
        assert sequences == [1, 2, 3]
        assert reading.end.valid_bytes == begin
        torn = reading.end.torn
        rest = data[begin:].rstrip(b"\0")
        assert (torn is None) == (not rest)
        if torn is not None:
            assert (torn.segment, torn.offset, torn.size_bytes) == (path, begin, len(rest))


def test_after_the_repair_nothing_of_it_is_left(tmp_path: Path) -> None:
    path, begin, end = journal_with_unsynced_last(tmp_path / "j")
    path.write_bytes(path.read_bytes()[: end - 20] + bytes(1000))
    sequences, writer = recover(tmp_path / "j", epoch=2)
    assert sequences == [1, 2, 3]
    assert path.stat().st_size == begin
    append(writer)
    writer.close(clean=False)
    sequences, reading = read_all(tmp_path / "j")
    assert sequences == [1, 2, 3, 4]
    assert reading.end is not None
    assert reading.end.torn is None
    assert reading.end.segment_number == 2


def test_repair_takes_a_prepared_file_when_there_is_one(tmp_path: Path) -> None:
    path, begin, end = journal_with_unsynced_last(tmp_path / "j")
    path.write_bytes(path.read_bytes()[: end - 20] + bytes(1000))
    prepared = tmp_path / "j" / "next-1.prepared"
    prepared.write_bytes(bytes(32 * 1024))
    inode = prepared.stat().st_ino
    _, writer = recover(tmp_path / "j", epoch=2)
    writer.close()
    assert path.stat().st_ino == inode
    assert path.stat().st_size == begin
    assert end_of(tmp_path / "j").last_sequence == 3


def test_a_torn_frame_that_was_acknowledged_is_damage(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "j")
    append(writer)
    begin = end_of(tmp_path / "j").valid_bytes
    append(writer, count=2)
    writer.close(clean=False)
    path = segments_of(tmp_path / "j")[0].path
    path.write_bytes(path.read_bytes()[: begin + 60])
    with pytest.raises(JournalDamaged, match=r"acknowledged operations 2\.\.3 are missing") as caught:
        read_all(tmp_path / "j")
    assert (caught.value.file, caught.value.offset) == (str(path), begin)
    (tmp_path / "j" / "DURABLE").unlink()  # accepts the loss, as the sentence says
    sequences, _ = recover(tmp_path / "j", epoch=2)
    assert sequences == [1]


def test_a_hole_in_what_was_never_synced_is_a_torn_tail(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "j", durability="interval")
    append(writer, count=2)
    hole = end_of(tmp_path / "j").valid_bytes
    for _ in range(3):
        append(writer, count=2, sync=False)
    writer.close(clean=False)
    path = segments_of(tmp_path / "j")[0].path
    whole = path.read_bytes()
    path.write_bytes(whole[:hole] + bytes(100) + whole[hole + 100 :])
    sequences, reading = read_all(tmp_path / "j")
    assert sequences == [1, 2]
    assert reading.end is not None
    assert reading.end.torn is not None


def test_a_hole_before_a_later_sync_is_damage_with_interval_too(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "j", durability="interval")
    append(writer, count=2)
    hole = end_of(tmp_path / "j").valid_bytes
    append(writer, count=2, sync=False)
    append(writer, count=2, sync=True)
    append(writer, count=2, sync=False)
    writer.close(clean=False)
    (tmp_path / "j" / "DURABLE").unlink()
    path = segments_of(tmp_path / "j")[0].path
    whole = path.read_bytes()
    path.write_bytes(whole[:hole] + bytes(100) + whole[hole + 100 :])
    with pytest.raises(JournalDamaged):
        read_all(tmp_path / "j")


def test_what_a_client_sent_can_not_pass_for_a_frame(tmp_path: Path) -> None:
    """A record holds the image of a valid frame of another segment; the torn frame around it stays torn."""
    other, begin, end = journal_with_unsynced_last(tmp_path / "other")
    image = other.read_bytes()[begin:end]
    writer = open_writer(tmp_path / "j", epoch=2)
    append(writer)
    begin = end_of(tmp_path / "j").valid_bytes
    writer.append([image, image, image], 2, 5, b"12345678")
    writer.close(clean=False)
    path = segments_of(tmp_path / "j")[0].path
    whole = path.read_bytes()
    path.write_bytes(whole[:begin] + b"\0" + whole[begin + 1 :])
    sequences, reading = read_all(tmp_path / "j")
    assert sequences == [1]
    assert reading.end is not None
    assert reading.end.torn is not None
