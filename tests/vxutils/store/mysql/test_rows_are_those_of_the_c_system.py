"""Scenario 02 leaves in MySQL what the C system left there: the same rows in the same order, by table.

Masked are automatic ids and the clock. Rounding is the server's own, as it was for the C system.
"""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal
from typing import Any

from tests.conformance.replay import VECTORS, records
from tests.matchengine.recorder.deriving import Derivation
from tests.support.configs import recorded_rules
from tests.support.inprocess import rules_of
from tests.vxutils.store.mysql.databases import Pair
from vxutils.store.embedded.schema import HistoryBatch, HistoryPosition
from vxutils.store.mysql.tables import FAMILIES

OPERATIONS = (102, 201, 202, 204)
TIME = 1_795_340_599_846_440


def scenario() -> HistoryBatch:
    rules = recorded_rules()
    derivation = Derivation(rules_of(rules["assets"], rules["markets"]))
    time_us = TIME
    for record in records("02_limit_basic"):
        if record.command in OPERATIONS:
            assert record.params is not None
            time_us += 1
            derivation.request(record.command, record.params, time_us)
    tables = derivation.tables
    return HistoryBatch(
        0,
        HistoryPosition(len(derivation.records), 1, time_us),
        list(tables.operations),
        list(tables.balances),
        list(tables.orders),
        list(tables.deals),
    )


def recorded(database: str) -> dict[str, list[list[Any]]]:
    tables = json.loads((VECTORS / "02_mysql.json").read_text())
    return {
        path.partition(".")[2]: table["rows"]
        for path, table in tables.items()
        if path.startswith(f"{database}.")
    }


def comparable(family: str, row: list[Any] | tuple[Any, ...], has_id: bool = True) -> tuple[object, ...]:
    """The row without automatic id and clock; decimals with their number of decimals."""
    columns = FAMILIES[family].columns
    if columns[0].more.endswith("AUTO_INCREMENT"):
        columns = columns[1:]
        row = row[1:] if has_id else row
    assert len(row) == len(columns)
    values: list[object] = []
    for column, value in zip(columns, row, strict=True):
        if column.type == "DOUBLE":
            value = "time"
        elif column.type.startswith("DECIMAL"):
            value = Decimal(value).as_tuple()
        values.append(value)
    return tuple(values)


def test_history_rows_are_equal_and_in_order(pair: Pair) -> None:
    writer = pair.open()
    writer.append(scenario())
    writer.close()
    assert writer.take_dead_letters() == []
    expected: defaultdict[str, dict[int, list[tuple[object, ...]]]] = defaultdict(dict)
    for name, rows in recorded("trade_history").items():
        family, _, shard = name.rpartition("_")
        if rows:
            expected[family][int(shard)] = [comparable(family, row) for row in rows]
    found = {
        family: {
            shard: [comparable(family, row, has_id=False) for row in rows] for shard, rows in shards.items()
        }
        for family, shards in pair.families().items()
    }
    assert found == expected
    assert len(found) == len(FAMILIES)


def test_the_operation_log_is_equal(pair: Pair) -> None:
    writer = pair.open()
    batch = scenario()
    writer.append(batch)
    writer.close()
    ((name, rows),) = pair.days().items()
    assert name == "operlog_20261122"
    logs = [rows for table, rows in recorded("trade_log").items() if table.startswith("operlog_")]
    assert [(row[0], row[2]) for row in rows] == [(number, detail) for number, _, detail in logs[0]]
    assert [round(row[1] * 1_000_000) for row in rows] == [row[2] for row in batch.operlog]
