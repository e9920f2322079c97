"""What was durable and is not there, or is not what was written, is named; a moment's absence is not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from matchengine.journal import format as layout
from matchengine.journal.follower import PATIENCE_S, JournalAhead, JournalFollower
from tests.matchengine.journal.journals import append, flip, open_writer, segments_of
from tests.matchengine.recorder_process.following import Following
from vxutils.disk import Disk

MORE = PATIENCE_S + 1.0


def journal_of(directory: Path, frames: int) -> list[Path]:
    writer = open_writer(directory)
    for _ in range(frames):
        append(writer, size=1000)
    writer.close(clean=False)
    return [segment.path for segment in segments_of(directory)]


@pytest.mark.parametrize("segment", [0, 1, -1])
def test_a_flipped_bit(tmp_path: Path, segment: int) -> None:
    paths = journal_of(tmp_path, 80)
    offset = layout.SEGMENT_HEADER_BYTES + 2 * layout.frame_bytes(1100)
    flip(paths[segment], offset)
    with Following(tmp_path) as following:
        following.poll()
        given = len(following.sequences)
        following.clock.seconds += MORE
        with pytest.raises(layout.JournalDamaged) as raised:
            following.poll()
        assert raised.value.file == str(paths[segment])
        assert layout.SEGMENT_HEADER_BYTES < raised.value.offset <= offset
        assert len(following.sequences) == given < 80


def test_the_end_is_missing(tmp_path: Path) -> None:
    """An older copy of the last segment."""
    paths = journal_of(tmp_path, 80)
    data = paths[-1].read_bytes()
    used = data.rstrip(b"\0")
    paths[-1].write_bytes(data[: len(used) - 3000 & ~7].ljust(len(data), b"\0"))
    with Following(tmp_path) as following:
        following.poll()
        following.clock.seconds += MORE
        with pytest.raises((JournalAhead, layout.JournalDamaged), match=r"was durable"):
            following.poll()


def test_a_missing_segment_may_come_late(tmp_path: Path) -> None:
    paths = journal_of(tmp_path, 80)
    aside = tmp_path / "aside"
    for path in paths[1:]:
        path.rename(aside.with_name(f"aside-{path.name}"))
    with Following(tmp_path) as following:
        following.poll()
        assert following.sequences
        following.wait_in_vain(PATIENCE_S - 1.0)
        for path in paths[1:]:
            aside.with_name(f"aside-{path.name}").rename(path)
        following.poll()
        assert following.sequences == list(range(1, 81))


def test_a_missing_segment_is_named(tmp_path: Path) -> None:
    paths = journal_of(tmp_path, 80)
    for path in paths[1:]:
        path.unlink()
    with Following(tmp_path) as following:
        following.poll()
        following.clock.seconds += MORE
        with pytest.raises(JournalAhead, match="put the journal back from a backup"):
            following.poll()


def test_the_beginning_is_missing(tmp_path: Path) -> None:
    paths = journal_of(tmp_path, 80)
    paths[0].unlink()
    with Following(tmp_path) as following, pytest.raises(layout.JournalMissing, match="sequence 1 is in no"):
        following.poll()


def test_a_segment_of_another_past(tmp_path: Path) -> None:
    """Valid in itself, but not the one that the next segment vouches for."""
    paths = journal_of(tmp_path / "one", 80)
    writer = open_writer(tmp_path / "two")
    while len(segments_of(tmp_path / "two")) < 2:
        append(writer, size=1000)
    writer.close()
    other = segments_of(tmp_path / "two")[0].path
    data = bytearray(other.read_bytes())
    # The same frames with another time of creation: header and seed differ, so all frames are sealed again.
    header = layout.decode_segment_header(bytes(data), "x")
    assert header.number == 1
    paths[0].write_bytes(_resealed(bytes(data), created_us=5))
    with Following(tmp_path / "one") as following, pytest.raises(layout.JournalDamaged, match="hash"):
        following.poll()


def _resealed(data: bytes, created_us: int) -> bytes:
    header = layout.decode_segment_header(data, "x")
    old_seed = layout.segment_seed(data)
    block = layout.encode_segment_header(msgspec.structs.replace(header, created_us=created_us))
    seed = layout.segment_seed(block)
    out = bytearray(block)
    view = memoryview(data)
    offset = layout.SEGMENT_HEADER_BYTES
    while offset + layout.FRAME_HEADER_BYTES <= len(data):
        magic, length, crc, epoch, first, _, unsynced, time_us, digest = layout.FRAME_HEADER.unpack_from(
            data, offset
        )
        if magic != layout.FRAME_MAGIC:
            break
        end = offset + layout.frame_bytes(length)
        assert layout.frame_is_whole(view, offset, end, crc, old_seed)
        payload = data[offset + layout.FRAME_HEADER_BYTES :][:length]
        out += layout.encode_frame(seed, epoch, first, [payload], unsynced, time_us, digest)
        offset = end
    return bytes(out).ljust(len(data), b"\0")


def test_another_system(tmp_path: Path) -> None:
    journal_of(tmp_path, 3)
    with pytest.raises(layout.JournalForeign, match="belongs to system"):
        JournalFollower(Disk(), tmp_path, tmp_path / "archive", bytes(16))
