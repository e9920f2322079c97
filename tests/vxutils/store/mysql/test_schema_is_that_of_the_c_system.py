"""The tables made are those of the C system; what differs is told in words; widening only adds digits."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.conformance.replay import VECTORS
from tests.servers.mariadb import MariaDbAddress
from tests.vxutils.store.mysql.databases import Pair, settings_of
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.schema import check, create, found_columns, is_wide_enough, migrate
from vxutils.store.mysql.tables import Kind

PLACES: dict[str, Kind] = {"trade_log": "log", "trade_history": "history"}


@pytest.fixture
def log(mariadb: MariaDbAddress) -> Iterator[Database]:
    settings = settings_of(mariadb, mariadb.new_database("schema"))
    create(settings, "log")
    database = Database(settings)
    yield database
    database.close()


def differences(database: Database, kind: Kind) -> list[str]:
    return [str(one).partition(".")[2] for one in check(database, kind)]


def test_columns_are_those_that_were_recorded(pair: Pair) -> None:
    recorded = json.loads((VECTORS / "02_mysql.json").read_text())
    checked = 0
    databases = {place: Database(pair.of(kind)) for place, kind in PLACES.items()}
    found = {place: found_columns(database) for place, database in databases.items()}
    for path, table in recorded.items():
        place, _, name = path.partition(".")
        if place == "trade_log" and name != "slice_history":
            name = name.rpartition("_")[0] + "_example"
        assert sorted(found[place][name]) == sorted(table["columns"]), name
        checked += 1
    for database in databases.values():
        database.close()
    assert checked > 20


def test_a_new_database_has_no_differences(pair: Pair) -> None:
    for kind in PLACES.values():
        database = Database(pair.of(kind))
        assert check(database, kind) == []
        database.close()
    (made,) = pair.rows("history", "SHOW CREATE TABLE order_detail_99")
    for part in ("ENGINE=InnoDB", "CHARSET=utf8", "`deal_fee` decimal(30,16) NOT NULL", "idx_user_market"):
        assert part in made[1]


def test_making_again_changes_nothing_and_makes_what_is_missing(log: Database) -> None:
    log.run("INSERT INTO slice_history VALUES (NULL, 1, 2, 3, 4)")
    log.run("DROP TABLE slice_order_example")
    said: list[str] = []
    create(log.settings, "log", said.append)
    assert said == [f"{log.settings.name}: 1 tables made, 6 were there"]
    assert log.rows("SELECT time FROM slice_history") == [(1,)]
    assert check(log, "log") == []


def test_a_missing_database_is_made(mariadb: MariaDbAddress) -> None:
    name = mariadb.new_database("missing")
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE `{name}`")
    said: list[str] = []
    create(settings_of(mariadb, name), "log", said.append)
    assert said[0] == f"made the database {name}"


def test_differences_are_told_by_name_column_and_type(log: Database) -> None:
    log.run("ALTER TABLE operlog_example CHANGE detail details TEXT")
    log.run("ALTER TABLE slice_balance_example MODIFY balance DECIMAL(30,18) NOT NULL")
    log.run("ALTER TABLE slice_order_example ENGINE=MyISAM, MODIFY market VARCHAR(31) CHARACTER SET latin1")
    log.run("DROP TABLE slice_history")
    assert differences(log, "log") == [
        "operlog_example.detail: no such column, wanted text",
        "slice_history: no such table",
        "slice_balance_example.balance: is decimal(30,18), wanted decimal(30,16) or wider",
        "slice_order_example: engine MyISAM, but only InnoDB commits all or nothing",
        "slice_order_example.market: character set latin1, wanted utf8",
    ]
    assert all(one.is_fatal for one in check(log, "log"))


@pytest.mark.parametrize(
    ("found", "wanted", "is_wide"),
    [
        ("decimal(30,8)", "DECIMAL(30,8)", True),
        ("decimal(65,30)", "DECIMAL(30,16)", True),
        ("decimal(31,10)", "DECIMAL(30,8)", False),
        ("decimal(30,8) unsigned", "DECIMAL(30,8)", False),
        ("double", "DECIMAL(30,8)", False),
        ("varchar(29)", "VARCHAR(30)", False),
        ("text", "VARCHAR(30)", True),
        ("mediumtext", "TEXT", True),
        ("varchar(9999)", "TEXT", False),
        ("int(10) unsigned", "INT UNSIGNED", True),
        ("int unsigned", "INT UNSIGNED", True),
        ("int(11)", "INT UNSIGNED", False),
        ("bigint(20) unsigned", "INT UNSIGNED", True),
        ("float", "DOUBLE", False),
    ],
)
def test_which_types_are_wide_enough(found: str, wanted: str, is_wide: bool) -> None:
    assert is_wide_enough(found, wanted) is is_wide


def test_widening_keeps_every_value_and_is_done_once(log: Database) -> None:
    log.run("INSERT INTO slice_balance_example VALUES (NULL, 7, 'BTC', 1, 12345678901234.1234567890123456)")
    assert migrate(log, "log") == 2
    assert migrate(log, "log") == 0
    assert check(log, "log") == []
    assert log.rows("SELECT balance FROM slice_balance_example") == [
        ("12345678901234.123456789012345600000000000000",)
    ]
    (described,) = log.rows("SHOW COLUMNS FROM slice_order_example LIKE 'deal_fee'")
    assert described[1:3] == ("decimal(65,30)", "NO")
