"""What a writer appended is what a scan gives, over segments, restarts and both kinds of ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from matchengine.journal.durable import follow_durable
from matchengine.journal.format import frame_bytes
from matchengine.journal.reader import JournalEnd, scan
from tests.matchengine.journal.journals import (
    RULES_HASH,
    SEGMENT_BYTES,
    SYSTEM_ID,
    append,
    digest_of,
    end_of,
    make_journal,
    open_writer,
    read_all,
    recover,
    segments_of,
)
from vxutils.disk import Disk
from vxutils.packing import pack, unpack_all

HUGE = [2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30, -(2**63), -(2**63) - 1, -(10**30), 10**60]


def test_a_frame_keeps_every_field(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "j", epoch=7)
    writer.append([b"\x01", b"\x02", b"\x03"], 1, 123_456_789, b"12345678")
    writer.sync()
    writer.close()
    reading = scan(Disk(), tmp_path / "j", SYSTEM_ID)
    (frame,) = reading
    assert (frame.segment, frame.offset, frame.epoch) == (1, 4096, 7)
    assert (frame.first_sequence, frame.count, frame.time_us) == (1, 3, 123_456_789)
    assert (frame.digest, frame.payload) == (b"12345678", b"\x01\x02\x03")
    end = reading.end
    assert end is not None
    assert (end.last_sequence, end.last_time_us, end.last_digest) == (3, 123_456_789, b"12345678")
    assert (end.epoch, end.rules_hash, end.torn) == (7, RULES_HASH, None)


def test_huge_integers_survive(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "j")
    writer.append([pack(HUGE)], 1, 1, digest_of(1))
    writer.close()
    (frame,) = scan(Disk(), tmp_path / "j", SYSTEM_ID)
    assert list(unpack_all(frame.payload)) == [HUGE]


def test_many_segments_and_restarts_are_one_sequence(tmp_path: Path) -> None:
    make_journal(tmp_path / "j", frames=100, size=1000)
    for epoch in (2, 3, 4):
        sequences, writer = recover(tmp_path / "j", epoch)
        assert sequences == list(range(1, len(sequences) + 1))
        for _ in range(40):
            append(writer, count=2, size=500)
        writer.close(clean=epoch != 3)
    sequences, _ = read_all(tmp_path / "j")
    assert sequences == list(range(1, 100 + 3 * 80 + 1))
    assert len(segments_of(tmp_path / "j")) > 6


@pytest.mark.parametrize("clean", [True, False])
def test_the_end_tells_whether_it_was_clean(tmp_path: Path, clean: bool) -> None:
    writer = open_writer(tmp_path / "j")
    append(writer)
    writer.close(clean=clean)
    end = end_of(tmp_path / "j")
    assert end.clean is clean
    assert (end.segment_path.stat().st_size == end.valid_bytes) is clean


def test_a_full_segment_does_not_look_cleanly_closed(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "j")
    while writer.segment_number == 1 and writer.room >= frame_bytes(8):
        size = min(writer.room, writer.frame_bytes_max)
        writer.append([b"x" * (size - frame_bytes(0))], writer.last_sequence + 1, 1, digest_of(0))
        writer.sync()
    assert writer.room < 8
    assert writer.segment_number == 1
    writer.close(clean=False)
    assert not scan_end(tmp_path / "j").clean


def scan_end(directory: Path) -> JournalEnd:
    reading = scan(Disk(), directory, SYSTEM_ID)
    list(reading)
    assert reading.end is not None
    return reading.end


def test_a_scan_from_a_sequence_starts_with_the_frame_that_holds_it(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "j")
    for _ in range(30):
        append(writer, count=3, size=1000)
    writer.close()
    assert len(segments_of(tmp_path / "j")) > 3
    for start in (1, 2, 4, 44, 45, 46, 88, 90):
        sequences, reading = read_all(tmp_path / "j", start)
        assert sequences[0] == (start - 1) // 3 * 3 + 1
        assert sequences[-1] == 90
        assert reading.end == end_of(tmp_path / "j")
    sequences, reading = read_all(tmp_path / "j", 91)
    assert sequences == []
    assert reading.end is not None
    assert reading.end.last_sequence == 90


def test_an_empty_journal_has_no_end(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "j")
    writer.close()
    sequences, reading = read_all(tmp_path / "j")
    assert sequences == []
    assert reading.end is not None
    assert (reading.end.last_sequence, reading.end.last_digest) == (0, None)


@pytest.mark.parametrize("durability", ["group", "interval", "off"])
def test_followers_see_only_what_is_synced(tmp_path: Path, durability: str) -> None:
    writer = open_writer(tmp_path / "j", durability=durability)  # type: ignore[arg-type]
    cell = follow_durable(Disk(), tmp_path / "j")
    append(writer, count=5, sync=False)
    assert (cell.sequence, cell.epoch, writer.durable_sequence) == (0, 1, 0)
    assert writer.sync() == 5
    assert (cell.sequence, writer.durable_sequence, writer.last_sequence) == (5, 5, 5)
    writer.close(clean=False)
    assert cell.sequence == 5
    cell.close()


def test_group_refuses_a_frame_before_the_sync_of_the_last(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "j")
    append(writer, sync=False)
    with pytest.raises(AssertionError):
        append(writer, sync=False)
    writer.sync()
    append(writer)
    writer.close()


@pytest.mark.parametrize(
    ("records", "first"), [([b"x"], 2), ([b"x"], 0), ([], 1), ([b"x" * (SEGMENT_BYTES // 4)], 1)]
)
def test_mistakes_of_the_caller_are_assertions(tmp_path: Path, records: list[bytes], first: int) -> None:
    writer = open_writer(tmp_path / "j")
    with pytest.raises(AssertionError):
        writer.append(records, first, 1, digest_of(1))
    writer.close()
