"""The position in the topic `deals`: where the feed goes on, how it is known again, what is kept for it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from marketprice.feed import open_feed, position_of, publish
from marketprice.persistence import Position
from tests.marketprice.history import Trade, open_writer, write
from vxnet.clock import SystemClock
from vxutils.disk import Disk
from vxutils.store.embedded.consumers import read_consumers
from vxutils.store.embedded.feed import AnotherHistory

MADE = [Trade(10**15 + number, "M", "1", "1", 1, number) for number in range(1, 11)]


def test_goes_on_behind_a_position(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path)) as writer:
        write(writer, MADE)
    with closing(open_feed(tmp_path, Position(), SystemClock())) as feed:
        position = position_of(feed.poll(4)[-1])
    with closing(open_feed(tmp_path, position, SystemClock())) as feed:
        assert [message.payload for message in feed.poll(100)] == [trade.payload for trade in MADE[4:]]


def test_another_message_at_the_position_ends_the_feed(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path)) as writer:
        write(writer, MADE)
    with closing(open_feed(tmp_path, Position(), SystemClock())) as feed:
        position = position_of(feed.poll(4)[-1])
    other = msgspec.structs.replace(position, digest=b"x" * len(position.digest))
    with closing(open_feed(tmp_path, other, SystemClock())) as feed, pytest.raises(AnotherHistory):
        feed.poll(0)
    unknown = msgspec.structs.replace(position, digest=b"")
    with closing(open_feed(tmp_path, unknown, SystemClock())) as feed:
        assert feed.poll(1)[0].offset == 4


def test_the_position_is_published_as_the_next_message_needed(tmp_path: Path) -> None:
    publish(Disk(), tmp_path, Position())
    assert read_consumers(Disk(), tmp_path) == {"marketprice": {"deals": 0}}
    publish(Disk(), tmp_path, Position(41))
    assert read_consumers(Disk(), tmp_path) == {"marketprice": {"deals": 42}}
