"""A database as the C system leaves it: the recorded rows of scenario 02, put into a real server."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.replay import VECTORS, records
from tests.conformance.test_scenario_02_rows_and_messages import OPERATIONS
from tests.support.configs import recorded_rules
from tests.support.inprocess import InProcessEngine, rules_of
from tests.vxutils.store.mysql.databases import Pair

Table = dict[str, Any]

DAYS = ("20261121", "20261122")
SLICE_S = 1795340601
LAST_OPERATION = 50


def recorded() -> dict[str, Table]:
    """The tables of the log database, by name."""
    found: dict[str, Table] = json.loads((VECTORS / "02_mysql.json").read_text())
    return {
        name.removeprefix("trade_log."): table
        for name, table in found.items()
        if name.startswith("trade_log.")
    }


def operations() -> list[list[Any]]:
    """id, time, detail."""
    rows: list[list[Any]] = recorded()["operlog_20261122"]["rows"]
    assert len(rows) == LAST_OPERATION
    return rows


def insert(pair: Pair, table: str, rows: list[list[Any]], like: str = "") -> None:
    """Rows into a table of the log database, which is made like the example of its family."""
    with pair.server.connect(pair.log.name) as connection, connection.cursor() as cursor:
        if like:
            cursor.execute(f"CREATE TABLE IF NOT EXISTS `{table}` LIKE `{like}`")
        if rows:
            marks = ",".join(["%s"] * len(rows[0]))
            cursor.executemany(f"INSERT INTO `{table}` VALUES ({marks})", rows)


def put_operations(pair: Pair, split: int = 30) -> None:
    """The log, `split` operations of it before midnight."""
    rows = operations()
    for day, part in zip(DAYS, (rows[:split], rows[split:]), strict=True):
        insert(pair, f"operlog_{day}", part, "operlog_example")


def put_slice(pair: Pair, time_s: int = SLICE_S) -> None:
    """The recorded slice, under another time if wanted."""
    tables = recorded()
    for family in ("slice_order", "slice_balance"):
        insert(pair, f"{family}_{time_s}", tables[f"{family}_{SLICE_S}"]["rows"], f"{family}_example")
    (row,) = tables["slice_history"]["rows"]
    insert(pair, "slice_history", [[None, time_s, *row[2:]]])


def exchange_after_scenario() -> InProcessEngine:
    """Our own engine after the same requests."""
    rules = recorded_rules()
    made = InProcessEngine(rules["assets"], rules["markets"])
    time_us = 1_795_340_599_846_440
    for record in records("02_limit_basic"):
        if record.command in OPERATIONS:
            assert record.params is not None
            time_us += 1
            made.call(record.command, record.params, time_us)
    return made


RULES = rules_of(recorded_rules()["assets"], recorded_rules()["markets"])
