"""The real engine with its history in a real MariaDB: the C system's rows, once each, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conformance.replay import VECTORS, records
from tests.conformance.test_scenario_02_rows_and_messages import (
    OPERATIONS,
    SCALES,
    Sharded,
    mask_and_round,
    masked,
    recorded_tables,
)
from tests.processes.histories_in_mysql import Exchange, exchange, mysql_config
from tests.servers.mariadb import MariaDbAddress
from tests.support.processes import EngineProcess
from tests.vxutils.store.mysql.databases import Pair, fresh
from vxutils.exits import ExitCode
from vxutils.store.embedded.schema import HISTORY_FILE, TOPICS
from vxutils.store.mysql.connection import Database


@pytest.fixture(scope="module")
def made_pair(mariadb: MariaDbAddress) -> Pair:
    return Pair(mariadb)


@pytest.fixture
def pair(made_pair: Pair) -> Iterator[Pair]:
    yield from fresh(made_pair)


def play_scenario(engine: EngineProcess, after: int = 0, count: int = 1 << 30) -> None:
    """Requests of scenario 02 that change something, in order."""
    wanted = [record for record in records("02_limit_basic") if record.command in OPERATIONS]
    with engine.client("tcp") as client:
        for record in wanted[after : after + count]:
            assert record.params is not None
            reply = client.call(record.command, record.params)
            assert (reply["error"] is None) == (json.loads(record.raw or "")["error"] is None), record.name


def tables_in(pair: Pair) -> Sharded:
    """What is in the history, as `recorded_tables` gives it."""
    found: Sharded = {}
    database = Database(pair.history)
    try:
        for name in recorded_tables():
            family = name.rpartition("_")[0]
            columns = [row[0] for row in database.rows(f"SHOW COLUMNS FROM `{name}`")]
            rows = []
            for values in database.rows(f"SELECT * FROM `{name}` ORDER BY id"):
                row = dict(zip(columns, values, strict=True))
                if not family.startswith("order"):
                    del row["id"]
                mask_and_round(row, SCALES[family])
                rows.append(row)
            found[name] = rows
    finally:
        database.close()
    return found


def operations_in(pair: Pair) -> list[tuple[int, str]]:
    return [(row[0], row[2]) for rows in pair.days().values() for row in rows]


def recorded_operations() -> list[tuple[int, str]]:
    recorded = json.loads((VECTORS / "02_mysql.json").read_text())
    (log,) = (table for name, table in recorded.items() if name.startswith("trade_log.operlog_"))
    return [(number, detail) for number, _, detail in log["rows"]]


def rows_in_all(pair: Pair) -> int:
    return sum(len(rows) for shards in pair.families().values() for rows in shards.values())


def messages_in(made: Exchange) -> dict[str, list[str]]:
    with closing(sqlite3.connect(made.engine.data_dir / HISTORY_FILE)) as connection:
        rows = connection.execute("SELECT topic, payload FROM messages ORDER BY topic, offset").fetchall()
        for table in ("operlog", "balance_history", "order_history", "deal_history"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    return {topic: [masked(payload) for name, payload in rows if name == topic] for topic in TOPICS}


def check_all(pair: Pair, made: Exchange) -> None:
    """Tables and messages are those that were recorded, nothing else is there."""
    assert operations_in(pair) == recorded_operations()
    expected = recorded_tables()
    assert tables_in(pair) == expected
    assert rows_in_all(pair) == sum(map(len, expected.values()))
    assert pair.rows("log", "SELECT * FROM vx_dead_letter") == []
    recorded = json.loads((VECTORS / "02_kafka.json").read_text())
    assert messages_in(made) == {
        topic: [masked(message["value"]) for message in recorded[topic]] for topic in TOPICS
    }


def test_scenario_02_in_tables_of_the_c_system(tmp_path: Path, pair: Pair) -> None:
    with exchange(tmp_path, mysql_config(pair)) as made:
        play_scenario(made.engine)
        made.history.wait_until_committed()
        made.messages.wait_until_committed()
        made.stop()
        check_all(pair, made)


def test_killed_recorders_go_on_where_the_stores_are(tmp_path: Path, pair: Pair) -> None:
    with exchange(tmp_path, mysql_config(pair)) as made:
        for part, recorder in enumerate((made.history, made.messages, None, None)):
            play_scenario(made.engine, part * 20, 20)
            if recorder is not None:
                recorder.end()
                recorder.start()
            elif pid := made.history.writer_pid:
                os.kill(pid, signal.SIGKILL)
        made.history.wait_until_committed()
        made.messages.wait_until_committed()
        made.stop()
        check_all(pair, made)


def test_a_second_engine_on_the_same_databases_is_refused(tmp_path: Path, pair: Pair) -> None:
    (tmp_path / "other").mkdir()
    with exchange(tmp_path, mysql_config(pair)) as made:
        play_scenario(made.engine, 0, 20)
        made.history.wait_until_committed()
        other = EngineProcess(tmp_path / "other", mysql_config(pair), embedded=False)
        other.launch()
        assert other.wait() == ExitCode.CONFIG
        assert "belongs to system" in other.output
        other.end()


def test_an_empty_directory_beside_databases_of_the_c_system_is_refused(tmp_path: Path, pair: Pair) -> None:
    pair.run("history", "INSERT INTO balance_history_7 VALUES (NULL, 1, 7, 'BTC', 'deposit', 1, 1, '{}')")
    engine = EngineProcess(tmp_path, mysql_config(pair), embedded=False)
    engine.launch()
    assert engine.wait() == ExitCode.CONFIG
    assert "a new exchange can not begin beside it" in engine.output
    engine.end()
