"""Messages behind a position: each once, in order; a gap or another history ends the feed in words."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from marketprice.feed import DealsFeed, HistoryChanged, position_of, publish
from marketprice.persistence import Position
from tests.marketprice.history import Trade, open_writer, write
from vxnet.clock import SystemClock
from vxutils.disk import Disk
from vxutils.store.embedded.consumers import read_consumers
from vxutils.store.embedded.schema import HISTORY_FILE

MADE = [Trade(10**15 + number, "M", "1", "1", 1, number) for number in range(1, 11)]


def test_each_message_once_in_order(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path)) as writer, closing(DealsFeed(tmp_path, SystemClock())) as feed:
        position, taken = Position(), []
        for part in (MADE[:4], MADE[4:5], MADE[5:]):
            write(writer, part)
            while messages := feed.read(position, 3):
                taken += messages
                position = position_of(messages[-1])
    assert [message.payload for message in taken] == [trade.payload for trade in MADE]
    assert [message.offset for message in taken] == list(range(10))


def test_a_history_that_is_not_there_yet_has_nothing_new(tmp_path: Path) -> None:
    with closing(DealsFeed(tmp_path, SystemClock())) as feed:
        assert feed.read(Position(), 10) == []
        assert HISTORY_FILE in str(feed.trouble)
        (tmp_path / HISTORY_FILE).write_bytes(b"")
        assert feed.read(Position(), 10) == []
        with closing(open_writer(tmp_path)) as writer:
            assert feed.read(Position(), 10) == []
            assert str(feed.trouble) == "None"
            write(writer, MADE[:1])
        assert len(feed.read(Position(), 10)) == 1


def make_again(directory: Path, made: list[Trade]) -> None:
    for name in (HISTORY_FILE, f"{HISTORY_FILE}-wal", f"{HISTORY_FILE}-shm"):
        (directory / name).unlink(missing_ok=True)
    with closing(open_writer(directory)) as writer:
        write(writer, made)


def test_a_history_made_again_is_followed_when_it_has_come_as_far(tmp_path: Path) -> None:
    make_again(tmp_path, MADE[:5])
    with closing(DealsFeed(tmp_path, SystemClock())) as feed:
        position = position_of(feed.read(Position(), 10)[-1])
        for count in (2, 5):
            make_again(tmp_path, MADE[:count])
            assert feed.read(position, 10) == []
        make_again(tmp_path, MADE[:7])
        assert [message.offset for message in feed.read(position, 10)] == [5, 6]


def test_messages_that_are_gone_end_the_feed(tmp_path: Path) -> None:
    make_again(tmp_path, MADE)
    with closing(DealsFeed(tmp_path, SystemClock())) as feed:
        position = position_of(feed.read(Position(), 5)[-1])
        with closing(sqlite3.connect(tmp_path / HISTORY_FILE)) as other:
            other.execute("DELETE FROM messages WHERE offset < 5")
            other.commit()
        assert len(feed.read(position, 10)) == 5  # just what is needed is still there
        with closing(sqlite3.connect(tmp_path / HISTORY_FILE)) as other:
            other.execute("DELETE FROM messages WHERE offset < 6")
            other.commit()
        with pytest.raises(HistoryChanged, match=r"messages 5 to 5 .* are no longer there"):
            feed.read(position, 10)


def test_a_history_that_begins_later_ends_the_feed(tmp_path: Path) -> None:
    make_again(tmp_path, MADE)
    with closing(sqlite3.connect(tmp_path / HISTORY_FILE)) as other:
        other.execute("DELETE FROM messages WHERE offset = 0")
        other.commit()
    with closing(DealsFeed(tmp_path, SystemClock())) as feed, pytest.raises(HistoryChanged):
        feed.read(Position(), 10)


@pytest.mark.parametrize("changed", [{"price": "2"}, {"id": 50}])
def test_another_history_ends_the_feed(tmp_path: Path, changed: dict[str, object]) -> None:
    make_again(tmp_path, MADE[:5])
    with closing(DealsFeed(tmp_path, SystemClock())) as feed:
        position = position_of(feed.read(Position(), 10)[-1])
        other = msgspec.structs.replace(MADE[4], **changed)
        make_again(tmp_path, [*MADE[:4], other])
        with pytest.raises(HistoryChanged, match=r"message 4 .* is not the one"):
            feed.read(position, 10)


def test_the_position_is_published_as_the_next_message_needed(tmp_path: Path) -> None:
    publish(Disk(), tmp_path, Position())
    assert read_consumers(Disk(), tmp_path) == {"marketprice": {"deals": 0}}
    publish(Disk(), tmp_path, Position(41))
    assert read_consumers(Disk(), tmp_path) == {"marketprice": {"deals": 42}}
