"""Readhistory on MySQL answers the recorded queries from the recorded tables: byte for byte.

The tables of scenario 02 are put into a real server by SQL, as the C system left them, without any table of
ours. Times are recorded with the queries, so nothing is masked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.conformance.replay import VECTORS, Replay
from tests.conformance.test_readhistory_recorded_answers import queries
from tests.gateways.readhistory.running import Service
from tests.gateways.readhistory.samples import TOML, c_config
from tests.servers.mariadb import MariaDbAddress
from tests.vxutils.store.mysql.databases import settings_of
from vxutils.rpc.blocking import BlockingClient
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.schema import WIDE_DIGITS, WIDE_SCALE, create
from vxutils.store.mysql.settings import MysqlSettings
from vxutils.store.mysql.tables import OWN_TABLES

BALANCE_HISTORY = 103


@pytest.fixture(scope="module")
def history(mariadb: MariaDbAddress) -> Iterator[MysqlSettings]:
    """The recorded history tables in a database of the C system."""
    settings = settings_of(mariadb, mariadb.new_database("recorded"))
    create(settings, "history")
    with mariadb.connect(settings.name) as connection, connection.cursor() as cursor:
        for name in OWN_TABLES:
            cursor.execute(f"DROP TABLE `{name}`")
        for path, table in json.loads((VECTORS / "02_mysql.json").read_text()).items():
            place, _, name = path.partition(".")
            if place == "trade_history" and table["rows"]:
                marks = ",".join(["%s"] * len(table["columns"]))
                cursor.executemany(f"INSERT INTO `{name}` VALUES ({marks})", table["rows"])
    yield settings


def section(settings: MysqlSettings) -> dict[str, Any]:
    return {
        "host": settings.host,
        "port": settings.port,
        "user": settings.user,
        "pass": settings.password,
        "name": settings.name,
        "charset": "utf8",
    }


def assert_all_answers(service: Service) -> None:
    with service, Replay(service.address()) as replay:
        for record in queries():
            outcome = replay.send(record)
            assert [packet.body.decode() for packet in outcome.replies] == [record.raw], record.name


def test_bytes_are_equal_with_the_c_configuration(history: MysqlSettings, tmp_path: Path) -> None:
    assert_all_answers(Service("readhistory", tmp_path, c_config(db_history=section(history))))


def toml(settings: MysqlSettings) -> str:
    return (
        f'wire_style = "viabtc"\nquery_timeout_s = 2.0\n{TOML}\n[history]\nstore = "mysql"\n'
        f'[mysql.history]\nhost = "{settings.host}"\nport = {settings.port}\nuser = "{settings.user}"\n'
        f'password = "{settings.password}"\nname = "{settings.name}"\n'
    )


def test_a_database_that_goes_and_comes(
    history: MysqlSettings, mariadb: MariaDbAddress, tmp_path: Path
) -> None:
    service = Service("readhistory", tmp_path, toml(history))
    params = [1, "", "", 0, 0, 0, 2]

    def ask(client: BlockingClient) -> dict[str, Any]:
        return client.call(BALANCE_HISTORY, params)

    with service, service.client() as client:
        assert len(ask(client)["result"]["records"]) == 2
        with mariadb.connect(history.name) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE db = %s AND id <> CONNECTION_ID()",
                (history.name,),
            )
            for (number,) in cursor.fetchall():
                try:
                    cursor.execute(f"KILL {number}")
                except pymysql.err.MySQLError:
                    pass
            assert len(ask(client)["result"]["records"]) == 2, "a connection that died is no failure"
            cursor.execute("RENAME TABLE balance_history_1 TO aside")
            try:
                assert ask(client)["error"]["code"] == 2
            finally:
                cursor.execute("RENAME TABLE aside TO balance_history_1")
            assert ask(client)["error"] is None
            cursor.execute("LOCK TABLES balance_history_1 WRITE")
            assert ask(client)["error"]["code"] == 2, "a query that takes too long is given up"
            cursor.execute("UNLOCK TABLES")
            assert ask(client)["error"] is None


def test_bytes_are_equal_after_the_columns_were_widened(history: MysqlSettings, tmp_path: Path) -> None:
    database = Database(history)
    wide = f"DECIMAL({WIDE_DIGITS},{WIDE_SCALE}) NOT NULL"
    for name in [name for (name,) in database.rows("SHOW TABLES")]:
        if database.rows(f"SELECT 1 FROM `{name}` LIMIT 1"):
            columns = [row[0] for row in database.rows(f"DESCRIBE `{name}`") if row[1].startswith("decimal")]
            database.run(f"ALTER TABLE `{name}` " + ", ".join(f"MODIFY `{one}` {wide}" for one in columns))
    database.close()
    assert_all_answers(Service("readhistory", tmp_path, c_config(db_history=section(history))))
