"""Each row is in its table once, whatever breaks when; a position that somebody moved ends the writer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.servers.fixtures import need
from tests.servers.mariadb import MariaDb
from tests.vxutils.store.histories import SYSTEM_ID
from tests.vxutils.store.mysql.databases import Pair, rows_only, sequences_in
from vxutils.store.embedded.schema import HistoryBase, HistoryBatch
from vxutils.store.embedded.writer import OutOfPlace
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlAway, MysqlFenced, MysqlForeign, MysqlRefused, MysqlSchemaWrong
from vxutils.store.mysql.writer import MysqlHistoryWriter

DEADLINE_S = 60.0


def test_a_writer_goes_on_where_the_last_one_was(pair: Pair) -> None:
    for after in (0, 30, 60):
        writer = pair.open()
        assert writer.position.sequence == after
        assert writer.position.digest == (after.to_bytes(8, "little") if after else bytes(8))
        writer.append(rows_only(after, after + 30))
        writer.close()
    expected = list(range(1, 91))
    assert sequences_in(pair) == (expected, expected)


def test_what_one_database_has_already_is_left_out(pair: Pair) -> None:
    writer = pair.open()
    writer.append(rows_only(0, 10))
    pair.run("history", "RENAME TABLE order_detail_11 TO aside")
    with pytest.raises(MysqlSchemaWrong, match="order_detail_11"):
        writer.append(rows_only(10, 20))
    assert writer.position.sequence == 10
    writer.close()
    pair.run("history", "RENAME TABLE aside TO order_detail_11")
    again = pair.open()
    assert again.position.sequence == 10
    again.append(rows_only(10, 25))  # the log has the first ten of these
    again.close()
    expected = list(range(1, 26))
    assert sequences_in(pair) == (expected, expected)


def test_a_batch_that_begins_elsewhere_changes_nothing(pair: Pair) -> None:
    writer = pair.open(base=HistoryBase(sequence=5))
    assert writer.base.sequence == 5
    for after in (0, 4, 6):
        with pytest.raises(OutOfPlace):
            writer.append(rows_only(after, after + 3))
    writer.append(rows_only(5, 6))
    writer.close()
    assert sequences_in(pair) == ([6], [6])
    assert pair.open().base.sequence == 5


def test_a_newer_epoch_fences_the_older_writer(pair: Pair) -> None:
    old = pair.open(epoch=3)
    old.append(rows_only(0, 5))
    new = pair.open(epoch=4)
    with pytest.raises(MysqlFenced, match="epoch 4, this one has 3"):
        old.append(rows_only(5, 8))
    with pytest.raises(MysqlFenced, match="epoch 4, this one has 2"):
        pair.open(epoch=2)
    new.append(rows_only(5, 8))
    new.append(rows_only(8, 9))
    old.close()
    new.close()
    assert sequences_in(pair)[1] == list(range(1, 10))


def test_two_writers_of_one_epoch_do_not_mix(pair: Pair) -> None:
    one, other = pair.open(epoch=1), pair.open(epoch=1)
    one.append(rows_only(0, 5))
    with pytest.raises(OutOfPlace, match="somebody else has moved it from sequence 0 to 5"):
        other.append(rows_only(0, 4))
    one.close()
    other.close()
    assert sequences_in(pair)[0] == [1, 2, 3, 4, 5]


def test_databases_of_somebody_else_are_refused(pair: Pair) -> None:
    pair.run("history", "INSERT INTO balance_history_42 VALUES (NULL,1,42,'BTC','trade',1,1,'{}')")
    with pytest.raises(MysqlForeign, match="another system wrote them"):
        pair.open()
    pair.run("history", "DELETE FROM balance_history_42")
    pair.open().close()
    with pytest.raises(MysqlForeign, match=f"belongs to system {SYSTEM_ID.hex()}"):
        pair.open(bytes(16))
    with pytest.raises(MysqlForeign, match="those of UTC, the settings say Asia/Tokyo"):
        pair.open(zone_name="Asia/Tokyo")


def test_missing_tables_are_named(pair: Pair) -> None:
    pair.run("history", "RENAME TABLE deal_history_3 TO aside")
    try:
        with pytest.raises(MysqlSchemaWrong, match=r"deal_history_3: no such table; `vx db init`"):
            pair.open()
    finally:
        pair.run("history", "RENAME TABLE aside TO deal_history_3")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MariaDb]:
    need("MariaDB")
    with MariaDb(tmp_path) as started:
        yield started


def append_in_the_end(writer: MysqlHistoryWriter, batch: HistoryBatch) -> None:
    """Tries until it is in."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            writer.append(batch)
            return
        except MysqlAway:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_killed_and_suspended_servers_lose_and_double_nothing(server: MariaDb) -> None:
    pair = Pair(server, timeout_s=1.0)
    writer = pair.open()
    failures = after = 0

    def suspend() -> None:
        # Longer than our deadline: a commit may happen after we gave up waiting for its answer.
        server.suspend()
        time.sleep(1.5)
        server.go_on()

    def kill() -> None:
        time.sleep(0.15)
        server.kill()

    for disturb in (suspend, kill, kill):
        disturber = threading.Thread(target=disturb)
        disturber.start()
        while disturber.is_alive():
            try:
                writer.append(rows_only(after, after + 40))
                after += 40
            except MysqlAway:
                failures += 1
        disturber.join()
        if disturb is kill:
            server.start()
        append_in_the_end(writer, rows_only(after, after + 40))
        after += 40
    writer.close()
    assert failures >= 2
    expected = list(range(1, after + 1))
    assert sequences_in(pair) == (expected, expected)
    server.stop()
    with pytest.raises(MysqlAway):
        pair.open()


def test_wrong_credentials_are_a_kind_of_their_own(pair: Pair) -> None:
    with pytest.raises(MysqlRefused, match="Access denied"):
        Database(msgspec.structs.replace(pair.log, user="nobody", password="no")).rows("SELECT 1")
