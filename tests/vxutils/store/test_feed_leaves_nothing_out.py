"""A feed gives each message once, in order, from ring or table; what it can not give ends it in words."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from matchengine.recorder.rings import RETRY_US, MessageRings
from tests.vxutils.store.histories import SYSTEM_ID, batch_of, make_history
from vxnet.clock import ManualClock
from vxutils.ring.ends import LOOK_EVERY_US, monotonic_us
from vxutils.ring.segment import SHM_DIRECTORY
from vxutils.store.embedded.feed import (
    CHECK_US,
    TABLE_PAUSE_US,
    AnotherHistory,
    MessageFeed,
    MessagesGone,
)
from vxutils.store.embedded.ring_messages import message_ring_name
from vxutils.store.embedded.schema import HISTORY_FILE, TOPICS
from vxutils.store.embedded.writer import HistoryWriter

TOPIC = "deals"  # one message per record: offset = sequence - 1
SIZE_BYTES = 1 << 16
ENTRY_BYTES = 24 + 16  # of a message with a payload of up to four digits
FITS = SIZE_BYTES // ENTRY_BYTES


class Recorded:
    """A history and its rings, written as the writer process does."""

    def __init__(self, data: Path, with_rings: bool = True) -> None:
        self.data = data
        self.writer: HistoryWriter = make_history(data / HISTORY_FILE)
        self.rings = self.make_rings() if with_rings else None

    def make_rings(self) -> MessageRings:
        return MessageRings(SYSTEM_ID, self.data, SIZE_BYTES, self.writer.offsets, monotonic_us())

    def record(self, count: int) -> None:
        after = self.writer.position.sequence
        messages = self.writer.append(batch_of(after, after + count))
        if self.rings is not None:
            self.rings.publish(messages, self.writer.offsets, monotonic_us())

    def close(self) -> None:
        if self.rings is not None:
            self.rings.close()
        self.writer.close()


class Reader:
    """A feed whose clock moves on with each look, and what it has given."""

    def __init__(self, data: Path, start: int | str = 0, topic: str = TOPIC) -> None:
        self.clock = ManualClock()
        self.feed = MessageFeed(topic, data, start, clock=self.clock)  # type: ignore[arg-type]
        self.offsets: list[int] = []
        self.texts: list[str] = []

    def take(self, limit: int = 1_000_000, pause_us: int = TABLE_PAUSE_US) -> int:
        self.clock.advance(pause_us)
        found = self.feed.poll(limit)
        self.offsets += [message.offset for message in found]
        self.texts += [message.payload for message in found]
        return len(found)


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    with closing(Recorded(tmp_path)) as made:
        yield made


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path)
    with closing(made.feed):
        yield made


def test_first_the_table_then_the_ring(recorded: Recorded, reader: Reader) -> None:
    recorded.record(10)
    assert reader.take() == 10
    assert reader.feed.source == "ring"
    for count in (1, 5, 50):
        recorded.record(count)
        assert reader.take(pause_us=0) == count
    recorded.record(7)
    while reader.take(3, pause_us=0):
        pass
    assert reader.feed.taken == {"table": 10, "ring": 63}
    assert reader.offsets == list(range(73))
    assert reader.texts == [str(number) for number in range(1, 74)]


def test_fields_are_those_of_the_table(recorded: Recorded) -> None:
    with closing(MessageFeed("orders", recorded.data, 0, clock=(clock := ManualClock()))) as feed:
        recorded.record(5)
        first = feed.poll(10)
        recorded.record(6)
        clock.advance(1)
        second = feed.poll(10)
        assert feed.taken == {"table": 3, "ring": 3}
    with closing(MessageFeed("orders", recorded.data, 0)) as other:
        assert other.poll(10) == first + second


def test_without_rings_the_table_is_asked_at_intervals(tmp_path: Path, reader: Reader) -> None:
    with closing(Recorded(tmp_path, with_rings=False)) as recorded:
        recorded.record(4)
        assert (reader.take(), reader.feed.source) == (4, "table")
        recorded.record(4)
        assert reader.take(pause_us=TABLE_PAUSE_US // 2) == 0
        assert [reader.take(3), reader.take(3, pause_us=0)] == [3, 1]


def test_lapped(recorded: Recorded, reader: Reader) -> None:
    reader.take()
    for _ in range(4):
        recorded.record(FITS // 2)
        reader.take()
    assert reader.feed.taken["ring"] > FITS
    for part in (2 * FITS, 300, 5 * FITS, 1):
        recorded.record(part)
        while reader.take(500):
            pass
    assert reader.offsets == list(range(9 * FITS + 301 + FITS // 2 * 4 - 2 * FITS))
    assert reader.feed.taken["table"] >= 5 * FITS
    assert reader.feed.source == "ring"


def test_the_table_may_be_ahead_of_the_ring(recorded: Recorded, reader: Reader) -> None:
    """A busy writer has committed what it has not put onto the ring yet, and the ring was long silent."""
    recorded.record(5)
    reader.take()
    assert reader.feed.source == "ring" and recorded.rings is not None
    for count in (1, 20):
        after = recorded.writer.position.sequence
        messages = recorded.writer.append(batch_of(after, after + count))
        assert reader.take(pause_us=CHECK_US) == count
        recorded.rings.publish(messages, recorded.writer.offsets, monotonic_us())
        assert reader.take(pause_us=0) == 0
        recorded.record(3)
        assert reader.take(pause_us=0) == 3
    assert reader.offsets == list(range(32))
    assert reader.feed.taken == {"table": 26, "ring": 6}


def test_the_ring_goes_and_comes(recorded: Recorded, reader: Reader) -> None:
    """Another writer, one without rings, one with rings again; each records something before we look."""
    recorded.record(3)
    reader.take()
    for has_rings in (True, False, True):
        if recorded.rings is not None:
            recorded.rings.close()
        recorded.rings = recorded.make_rings() if has_rings else None
        for _ in range(3):
            recorded.record(4)
            wait_for_look()
            reader.take()
        assert reader.feed.source == ("ring" if has_rings else "table")
    assert reader.offsets == list(range(3 + 3 * 3 * 4))


def wait_for_look() -> None:
    """Until a reader looks for the name of its ring again."""
    end_us = monotonic_us() + LOOK_EVERY_US
    while monotonic_us() < end_us:
        pass


def test_names_removed_from_outside(recorded: Recorded, reader: Reader) -> None:
    recorded.record(3)
    reader.take()
    for topic in TOPICS:
        (SHM_DIRECTORY / message_ring_name(SYSTEM_ID, recorded.data, topic)[1:]).unlink()
    recorded.record(3)  # which makes them anew
    wait_for_look()
    reader.take()
    recorded.record(3)
    reader.take()
    reader.take()
    assert reader.feed.source == "ring"
    assert reader.offsets == list(range(9))


def test_a_ring_on_which_nothing_comes_is_not_believed_for_ever(recorded: Recorded, reader: Reader) -> None:
    recorded.record(3)
    reader.take()
    rings, recorded.rings = recorded.rings, None
    assert rings is not None
    recorded.record(3)
    assert reader.take() == 0
    assert reader.take(pause_us=CHECK_US) == 3
    rings.close()


def test_from_the_end(recorded: Recorded) -> None:
    recorded.record(5)
    late = Reader(recorded.data, "end")
    with closing(late.feed):
        assert late.feed.next_offset is None
        assert late.take() == 0
        recorded.record(2)
        assert late.take() == 2
        assert late.offsets == [5, 6]


def test_a_history_that_is_not_there_yet_has_nothing_new(tmp_path: Path, reader: Reader) -> None:
    assert (reader.take(), reader.feed.source) == (0, "none")
    assert HISTORY_FILE in str(reader.feed.trouble)
    (tmp_path / HISTORY_FILE).write_bytes(b"")
    assert reader.take() == 0
    with closing(Recorded(tmp_path)) as recorded:
        assert (reader.take(), str(reader.feed.trouble)) == (0, "None")
        recorded.record(1)
        assert reader.take() == 1


def make_again(data: Path, count: int, payload: str = "") -> None:
    for name in (HISTORY_FILE, f"{HISTORY_FILE}-wal", f"{HISTORY_FILE}-shm"):
        (data / name).unlink(missing_ok=True)
    with closing(make_history(data / HISTORY_FILE)) as writer:
        batch = batch_of(0, count)
        if payload:
            batch.messages[-1 if count % 2 == 0 else -2] = (TOPIC, count, 0, payload)
        writer.append(batch)


def test_a_history_made_again_is_followed_when_it_has_come_as_far(tmp_path: Path, reader: Reader) -> None:
    make_again(tmp_path, 5)
    reader.take()
    for count in (2, 5):
        make_again(tmp_path, count)
        assert reader.take() == 0
    make_again(tmp_path, 7)
    reader.take()
    assert reader.offsets == list(range(7))


def test_another_history_ends_the_feed(tmp_path: Path, reader: Reader) -> None:
    make_again(tmp_path, 5)
    reader.take()
    make_again(tmp_path, 5, "other")
    with pytest.raises(AnotherHistory, match=r"message 4 .* is not the one"):
        reader.take()


def test_another_history_behind_another_ring_ends_the_feed(tmp_path: Path, reader: Reader) -> None:
    with closing(Recorded(tmp_path)) as recorded:
        recorded.record(6)
        reader.take()
        assert reader.feed.source == "ring"
    make_again(tmp_path, 6, "other")
    with closing(make_history(tmp_path / HISTORY_FILE)) as writer:
        rings = MessageRings(SYSTEM_ID, tmp_path, SIZE_BYTES, writer.offsets, monotonic_us())
        with closing(rings):
            rings.publish(writer.append(batch_of(6, 9)), writer.offsets, monotonic_us())
            with pytest.raises(AnotherHistory):
                reader.take()
                reader.take()


def test_messages_that_are_gone_end_the_feed(tmp_path: Path, reader: Reader) -> None:
    make_again(tmp_path, 10)
    assert reader.take(5) == 5
    for first, is_gone in ((5, False), (6, True)):
        with closing(sqlite3.connect(tmp_path / HISTORY_FILE)) as other:
            other.execute("DELETE FROM messages WHERE topic = ? AND offset < ?", (TOPIC, first))
            other.commit()
        if not is_gone:
            assert reader.take(0) == 0  # just what is needed is still there
            continue
        with pytest.raises(MessagesGone, match=r"messages 5 to 5 .* are no longer there") as gone:
            reader.take()
        assert gone.value.first == 6


def test_a_ring_that_can_not_be_made_is_done_without(tmp_path: Path, reader: Reader) -> None:
    with closing(Recorded(tmp_path, with_rings=False)) as recorded:
        name = message_ring_name(SYSTEM_ID, tmp_path, TOPIC)
        obstacle = SHM_DIRECTORY / name[1:]
        obstacle.mkdir()
        try:
            now_us = monotonic_us()
            rings = MessageRings(SYSTEM_ID, tmp_path, SIZE_BYTES, recorded.writer.offsets, now_us)
            assert TOPIC in rings.trouble
            recorded.rings = rings
            recorded.record(3)
            assert (reader.take(), reader.feed.source) == (3, "table")
        finally:
            obstacle.rmdir()
        rings.beat(recorded.writer.offsets, now_us + RETRY_US)
        assert rings.trouble == ""
        recorded.record(3)
        wait_for_look()
        reader.take()
        recorded.record(1)
        reader.take()
        assert (reader.offsets, reader.feed.source) == (list(range(7)), "ring")


def test_a_message_larger_than_the_ring_comes_from_the_table(recorded: Recorded, reader: Reader) -> None:
    recorded.record(2)
    reader.take()
    batch = batch_of(2, 6)
    batch.messages[2] = (TOPIC, 4, 0, "x" * SIZE_BYTES)
    rings = recorded.rings
    assert rings is not None
    rings.publish(recorded.writer.append(batch), recorded.writer.offsets, monotonic_us())
    recorded.record(3)
    for _ in range(3):
        wait_for_look()
        reader.take()
    recorded.record(3)
    reader.take()
    assert (reader.offsets, reader.feed.source) == (list(range(12)), "ring")
    assert sum(len(text) > 4 for text in reader.texts) == 1


def test_two_exchanges_do_not_meet(tmp_path: Path) -> None:
    one, other = tmp_path / uuid.uuid4().hex, tmp_path / uuid.uuid4().hex
    for data in (one, other):
        data.mkdir()
    with closing(Recorded(one)) as first, closing(Recorded(other)) as second:
        first.record(5)
        second.record(2)
        for data, count in ((one, 5), (other, 2)):
            reader = Reader(data)
            with closing(reader.feed):
                assert reader.take() == count
                assert reader.feed.source == "ring"
                assert reader.take() == 0
