"""Candles made again from the history equal those made from the messages; the feed goes on behind them."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from marketprice.core.calendar import Calendar
from marketprice.core.kline import Retention
from marketprice.feed import open_feed
from marketprice.persistence import FILE_NAME, Position, Store
from marketprice.rebuild import NoHistory, rebuild
from tests.marketprice.history import Trade, contents, markets_of, open_writer, write
from vxnet.clock import ManualClock
from vxutils.store.embedded.schema import HISTORY_FILE

KEEP_ALL = Retention(10**9, 10**8, 10**7)
NOW = ManualClock(wall_us=2_000_000_000 * 10**6)


def random_history(directory: Path, count: int = 300) -> list[Trade]:
    dice = random.Random(5)
    at, made = 1_790_000_000 * 10**6, []
    for number in range(1, count + 1):
        at += dice.randrange(10**9)
        price, amount = f"{dice.randrange(1, 99)}.{dice.randrange(100):02}", f"{dice.randrange(1, 9)}.000"
        made.append(Trade(at, dice.choice(["A", "B", "C"]), price, amount, dice.choice([1, 2]), number))
    with closing(open_writer(directory)) as writer:
        write(writer, made)
    return made


def execute(directory: Path, statement: str) -> None:
    with closing(sqlite3.connect(directory / HISTORY_FILE)) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_equal(tmp_path: Path, zone: str) -> None:
    made = random_history(tmp_path)
    calendar = Calendar(ZoneInfo(zone))
    position = rebuild(tmp_path, calendar, zone, KEEP_ALL, NOW)
    with closing(Store(tmp_path / FILE_NAME, zone)) as store:
        found, stored = store.load(calendar, {})
    assert (position.offset, stored) == (299, position)
    assert contents(found) == contents(markets_of(made, ZoneInfo(zone)))
    with closing(open_feed(tmp_path, position, NOW)) as feed:
        assert feed.poll(10) == []  # and the message there is the same


def test_pruned_messages_do_not_matter(tmp_path: Path) -> None:
    made = random_history(tmp_path)
    for statement in ("DELETE FROM messages WHERE offset < 290", "DELETE FROM messages"):
        execute(tmp_path, statement)
        position = rebuild(tmp_path, Calendar(UTC), "UTC", KEEP_ALL, NOW)
        assert position.offset == 299
        with closing(Store(tmp_path / FILE_NAME, "UTC")) as store:
            assert contents(store.load(Calendar(UTC), {})[0]) == contents(markets_of(made))


def test_a_history_that_begins_later_counts_messages_from_there(tmp_path: Path) -> None:
    random_history(tmp_path, 20)
    execute(tmp_path, "DELETE FROM deal_history WHERE id <= 20")
    position = rebuild(tmp_path, Calendar(UTC), "UTC", KEEP_ALL, NOW)
    with closing(Store(tmp_path / FILE_NAME, "UTC")) as store:
        found, _ = store.load(Calendar(UTC), {})
    offsets = [deal.offset for market in found.by_name.values() for deal in market.recent.newest_first]
    assert (position.offset, sorted(offsets)) == (19, list(range(10, 20)))


def test_what_is_too_old_is_left_out(tmp_path: Path) -> None:
    made = random_history(tmp_path)
    now = made[-1].time_us // 10**6
    short = Retention(sec_max=3_600, min_max=600, hour_max=24)
    rebuild(tmp_path, Calendar(UTC), "UTC", short, ManualClock(wall_us=now * 10**6))
    with closing(Store(tmp_path / FILE_NAME, "UTC")) as store:
        found, _ = store.load(Calendar(UTC), short.limits(now))
    expected = markets_of(made)
    expected.drop_before(short.limits(now))
    assert contents(found) == contents(expected)


def test_without_a_history_the_old_file_stays(tmp_path: Path) -> None:
    with closing(Store(tmp_path / FILE_NAME, "UTC")) as store:
        store.save(markets_of([Trade(10**15, "M", "1", "1", 1, 1)]), Position(0))
    with pytest.raises(NoHistory, match="does not exist"):
        rebuild(tmp_path, Calendar(UTC), "UTC", KEEP_ALL, NOW)
    (tmp_path / HISTORY_FILE).write_bytes(b"")
    with pytest.raises(NoHistory, match="holds no history"):
        rebuild(tmp_path, Calendar(UTC), "UTC", KEEP_ALL, NOW)
    with closing(Store(tmp_path / FILE_NAME, "UTC")) as store:
        assert store.load(Calendar(UTC), {})[1] == Position(0)


def test_an_empty_history_makes_an_empty_file(tmp_path: Path) -> None:
    open_writer(tmp_path).close()
    assert rebuild(tmp_path, Calendar(UTC), "UTC", KEEP_ALL, NOW) == Position(-1)
