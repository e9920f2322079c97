"""A reader gets every message once and in order, or is told where the ring begins now."""

from __future__ import annotations

import time

import pytest

from tests.support.processes import wait_until
from tests.vxutils.ring import peer
from vxutils.ring.message import RECORD_HEAD_BYTES, Lapped, MessageReader, MessageTooLarge, MessageWriter


def append(writer: MessageWriter, first: int, count: int) -> None:
    for number in range(first, first + count):
        writer.append(number, peer.message(number))
    writer.publish()


def test_messages_are_seen_when_they_are_published(name: str) -> None:
    writer, reader = MessageWriter(name, 4096), MessageReader(name, 0)
    assert reader.end is None
    assert reader.read(10) == []
    writer.append(0, b"a")
    writer.append(1, b"")
    assert reader.read(10) == [], "not published yet"
    writer.publish()
    assert reader.read(1) == [(0, b"a")]
    assert (reader.next_number, reader.end) == (1, 2)
    assert reader.read(10) == [(1, b"")]
    assert reader.read(10) == []
    reader.next_number = 0
    assert len(reader.read(10)) == 2
    writer.close()
    assert reader.read(10) == []
    assert not reader.is_attached
    reader.close()


@pytest.mark.parametrize("size_bytes", [104, 512, 1000, 4096])
def test_every_size_goes_around_the_end(name: str, size_bytes: int) -> None:
    writer, reader = MessageWriter(name, size_bytes), MessageReader(name, 0)
    longest = size_bytes // 8 * 8 - RECORD_HEAD_BYTES
    for number in range(size_bytes):
        payload = bytes((number + i) % 251 for i in range(number * 13 % (longest + 1)))
        writer.append(number, payload)
        writer.publish()
        assert reader.read(10) == [(number, payload)]
    writer.close()
    reader.close()


def test_a_message_larger_than_the_ring_is_refused_by_name(name: str) -> None:
    writer, reader = MessageWriter(name, 512), MessageReader(name, 5)
    writer.append(5, b"x" * (512 - RECORD_HEAD_BYTES))
    with pytest.raises(MessageTooLarge, match="message 6 of 489 bytes needs 520, the ring has 512"):
        writer.append(6, b"x" * 489)
    writer.append(6, b"smaller")
    writer.publish()
    with pytest.raises(Lapped) as lapped:
        reader.read(1)
    assert lapped.value.first_available == 6
    writer.close()
    reader.close()


def test_lapping_is_told_exactly(name: str) -> None:
    """The oldest message that is whole is readable, the one before it is not."""
    writer = MessageWriter(name, 1000)
    for number in range(400):
        append(writer, number, 1)
        reader = MessageReader(name, 0)
        try:
            reader.read(0)
            first = 0
        except Lapped as lapped:
            first = reader.next_number = lapped.first_available
        assert reader.read(1000) == [(n, peer.message(n)) for n in range(first, number + 1)]
        used = sum(RECORD_HEAD_BYTES + -(-len(peer.message(n)) // 8) * 8 for n in range(first, number + 1))
        assert used <= 1000
        if first:
            before = RECORD_HEAD_BYTES + -(-len(peer.message(first - 1)) // 8) * 8
            assert used + before > 1000, "nothing goes before it must"
        reader.close()
    writer.close()


def test_a_batch_larger_than_the_ring_leaves_its_end(name: str) -> None:
    writer, reader = MessageWriter(name, 1000, 0), MessageReader(name, 0)
    append(writer, 0, 500)
    with pytest.raises(Lapped) as lapped:
        reader.read(10)
    with pytest.raises(Lapped):
        reader.read(10)
    first = reader.next_number = lapped.value.first_available
    assert reader.read(1000) == [(n, peer.message(n)) for n in range(first, 500)]
    writer.close()
    reader.close()


@pytest.mark.parametrize(
    ("begins_at", "wanted", "is_lapped"), [(7, 6, True), (7, 7, False), (7, 8, False), (None, 6, False)]
)
def test_an_empty_ring_says_where_it_begins(
    name: str, begins_at: int | None, wanted: int, is_lapped: bool
) -> None:
    writer, reader = MessageWriter(name, 1000, begins_at), MessageReader(name, wanted)
    if is_lapped:
        with pytest.raises(Lapped, match="message 6 is not in the ring, which begins at 7"):
            reader.read(10)
    else:
        assert reader.read(10) == []
        append(writer, max(wanted, 7) if begins_at is None else begins_at, 4)
        if begins_at is not None:
            assert [number for number, _ in reader.read(10)] == list(range(wanted, begins_at + 4))
        else:
            with pytest.raises(Lapped):
                reader.read(10)
    writer.close()
    reader.close()


def test_a_reader_ahead_of_the_ring_waits_for_it(name: str) -> None:
    writer, reader = MessageWriter(name, 1000, 0), MessageReader(name, 5)
    for number in range(5):
        append(writer, number, 1)
        assert reader.read(10) == []
    append(writer, 5, 2)
    assert [number for number, _ in reader.read(10)] == [5, 6]
    writer.close()
    reader.close()


def test_nothing_is_wrong_or_missing_beside_a_fast_writer(name: str) -> None:
    writer = peer.start("messages", name, 4096, 1)
    reader = MessageReader(name, 1)
    found = laps = 0
    try:
        wait_until(lambda: reader.end is not None, "the ring")
        deadline = time.monotonic() + 30
        while (found < 20_000 or laps < 10) and time.monotonic() < deadline:
            wanted = reader.next_number
            try:
                messages = reader.read(50)
            except Lapped as lapped:
                assert lapped.wanted == wanted < lapped.first_available
                reader.next_number = lapped.first_available
                laps += 1
                continue
            assert messages == [(n, peer.message(n)) for n in range(wanted, wanted + len(messages))]
            found += len(messages)
        assert found >= 20_000
        assert laps >= 10
    finally:
        writer.kill()
        writer.communicate()
    # What a dead writer published, and had not begun to overwrite, is still good.
    end = reader.end
    assert end is not None
    reader.next_number = 1
    with pytest.raises(Lapped) as lapped_now:
        reader.read(1)
    first = reader.next_number = lapped_now.value.first_available
    messages = []
    while reader.next_number < end:
        messages += reader.read(1000)
    assert messages == [(n, peer.message(n)) for n in range(first, end)]
    reader.close()


def test_a_restarted_writer_goes_on_where_it_says(name: str) -> None:
    reader = MessageReader(name, 0)
    writer = MessageWriter(name, 4096, 0)
    append(writer, 0, 10)
    assert len(reader.read(100)) == 10
    writer.close(unlink=False)  # as a killed one

    writer = MessageWriter(name, 4096, 10)
    assert reader.read(100) == []
    append(writer, 10, 5)
    assert [number for number, _ in reader.read(100)] == [10, 11, 12, 13, 14]
    assert reader.reattached == 1
    writer.close(unlink=False)

    writer = MessageWriter(name, 4096, 17)  # 15 and 16 are only in the store
    with pytest.raises(Lapped) as lapped:
        reader.read(100)
    assert lapped.value.first_available == 17
    reader.next_number = 17
    append(writer, 17, 1)
    assert [number for number, _ in reader.read(100)] == [17]
    writer.close()
    reader.close()
