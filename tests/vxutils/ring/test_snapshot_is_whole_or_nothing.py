"""A reader gets the newest snapshot as it was published, or nothing."""

from __future__ import annotations

import json

import pytest

from tests.support.processes import wait_until
from tests.vxutils.ring import peer
from vxnet.clock import ManualClock
from vxutils.ring.segment import HEADER_BYTES
from vxutils.ring.snapshot import TRIES_MAX, Snapshot, SnapshotReader, SnapshotWriter


def test_the_newest_is_read_as_it_was_published(name: str) -> None:
    writer, reader = SnapshotWriter(name, 100, 3), SnapshotReader(name)
    assert reader.read() is None, "nothing is published yet"
    assert reader.sequence == 0
    for number, size in enumerate((0, 1, 7, 8, 9, 99, 100), 1):
        mark = reader.mark
        assert writer.publish(b"x" * size, number, 10 * number)
        assert reader.changed(mark)
        assert reader.read() == reader.read() == Snapshot(number, 10 * number, b"x" * size)
        assert not reader.changed(reader.mark)
        assert reader.sequence == number
    writer.close()
    reader.close()


def test_a_payload_too_large_hides_the_older_one(name: str) -> None:
    writer, reader = SnapshotWriter(name, 100, 2), SnapshotReader(name)
    writer.publish(b"small", 1, 1)
    assert not writer.publish(b"x" * 101, 2, 2)
    assert reader.read() is None, "1 is not the newest any more"
    assert (reader.sequence, reader.torn, writer.too_large) == (2, 0, 1)
    writer.publish(b"small again", 3, 3)
    assert reader.read() == Snapshot(3, 3, b"small again")
    writer.close()
    reader.close()


@pytest.mark.parametrize("cell", range(6))
def test_a_slot_at_which_the_writer_works_is_not_believed(name: str, cell: int) -> None:
    """Each of begin, sequence, time, length, crc and end, and the payload."""
    writer, reader = SnapshotWriter(name, 100, 2), SnapshotReader(name)
    writer.publish(b"payload", 1, 1)
    cells = writer._segment.cells
    at = HEADER_BYTES // 8 + cell
    whole = cells[at]
    cells[at] = whole + 1
    assert reader.read() is None
    assert reader.torn == TRIES_MAX
    cells[at] = whole
    assert reader.read() == Snapshot(1, 1, b"payload")
    writer._segment.view[HEADER_BYTES + 48] ^= 1
    assert reader.read() is None
    writer.close()
    reader.close()


def test_no_read_is_ever_wrong_under_a_writer_at_full_speed(name: str) -> None:
    writer = peer.start("snapshots", name, 6000, 2)
    try:
        readers = [peer.start("read", name, 50_000) for _ in range(2)]
        for reader in readers:
            seen = json.loads(reader.communicate(timeout=60)[0])
            assert reader.returncode == 0
            assert seen["found"] == 50_000
            assert seen["changes"] > 100, "the writer went on meanwhile"
    finally:
        writer.kill()
        writer.communicate()


def test_a_dead_writer_is_not_believed(name: str) -> None:
    clock = ManualClock(0, 50_000_000)
    writer = SnapshotWriter(name, 100, now=clock.monotonic_us)
    reader = SnapshotReader(name, dead_after_us=3_000_000, now=clock.monotonic_us)
    writer.publish(b"a", 1, 1)
    clock.advance(3_000_000)
    assert reader.read() is not None
    clock.advance(1)
    assert reader.read() is None
    assert reader.is_attached
    assert not reader.is_alive
    writer.beat(clock.monotonic_us())
    assert reader.read() is not None
    assert reader.is_alive
    writer.close()
    reader.close()


def test_a_killed_writer_is_noticed_and_its_successor_found(name: str) -> None:
    reader = SnapshotReader(name, dead_after_us=500_000)
    writer = peer.start("snapshots", name, 1000, 8)
    try:
        wait_until(lambda: reader.read() is not None, "the first snapshot")
        first = reader.generation
        writer.kill()
        writer.communicate()
        assert reader.is_attached
        wait_until(lambda: reader.read() is None, "the death")
        writer = peer.start("snapshots", name, 500, 4)
        wait_until(lambda: reader.read() is not None, "the second generation")
        assert reader.generation != first
        assert reader.reattached == 1
    finally:
        writer.kill()
        writer.communicate()
        reader.close()
