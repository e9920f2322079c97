"""Making and reading small journals for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

from matchengine.journal.durable import create_journal
from matchengine.journal.format import SEGMENT_BYTES_MIN
from matchengine.journal.reader import JournalEnd, JournalScan, scan
from matchengine.journal.segments import SegmentFile, list_segments, repair_tail
from matchengine.journal.writer import Durability, JournalWriter
from vxutils.disk import Disk
from vxutils.packing import pack, unpack_all

SYSTEM_ID = bytes(range(16))
RULES_HASH = b"r" * 32
SEGMENT_BYTES = SEGMENT_BYTES_MIN


def digest_of(sequence: int) -> bytes:
    return sequence.to_bytes(8, "little")


def record_of(sequence: int, size: int = 100) -> bytes:
    return pack([sequence, b"\xa5" * size])


def open_writer(
    directory: Path,
    disk: Disk | None = None,
    end: JournalEnd | None = None,
    epoch: int = 1,
    durability: Durability = "group",
) -> JournalWriter:
    """A writer after `end`; without it, of a new journal."""
    disk = disk or Disk()
    if end is None and not (directory / "DURABLE").exists():
        create_journal(Disk(), directory, SYSTEM_ID)
    return JournalWriter(
        disk,
        directory,
        system_id=SYSTEM_ID,
        epoch=epoch,
        rules_hash=RULES_HASH,
        first_sequence=end.last_sequence + 1 if end else 1,
        previous=(end.segment_number, end.segment_hash) if end else None,
        segment_size=SEGMENT_BYTES,
        durability=durability,
        clock=lambda: 1_700_000_000_000_000,
    )


def append(writer: JournalWriter, count: int = 1, size: int = 100, sync: bool = True) -> None:
    """One frame with `count` records, synced."""
    first = writer.last_sequence + 1
    records = [record_of(sequence, size) for sequence in range(first, first + count)]
    writer.append(records, first, 1_000_000 + first, digest_of(first + count - 1))
    if sync:
        writer.sync()


def make_journal(directory: Path, frames: int, size: int = 100) -> None:
    """A journal of `frames` frames with one record each, ended by a kill."""
    writer = open_writer(directory)
    for _ in range(frames):
        append(writer, size=size)
    writer.close(clean=False)


def read_all(directory: Path, from_sequence: int = 1) -> tuple[list[int], JournalScan]:
    """The sequences that the records carry, in order, and the finished scan."""
    reading = scan(Disk(), directory, SYSTEM_ID, from_sequence)
    sequences: list[int] = []
    for frame in reading:
        records = list(unpack_all(frame.payload))
        assert len(records) == frame.count
        for number, record in enumerate(records, frame.first_sequence):
            assert isinstance(record, list)
            assert record[0] == number
            sequences.append(number)
    return sequences, reading


def end_of(directory: Path) -> JournalEnd:
    _, reading = read_all(directory)
    assert reading.end is not None
    return reading.end


def recover(directory: Path, epoch: int) -> tuple[list[int], JournalWriter]:
    """What a start does: read, repair the tail unless the end is clean, and go on in a new segment."""
    sequences, reading = read_all(directory)
    end = reading.end
    if end is not None and not end.clean:
        repair_tail(Disk(), directory, end.segment_path, end.valid_bytes)
    return sequences, open_writer(directory, end=end, epoch=epoch)


def segments_of(directory: Path) -> list[SegmentFile]:
    return list_segments(Disk(), directory)


def flip(path: Path, offset: int, mask: int = 0x10) -> None:
    """Changes bits of one byte of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))
