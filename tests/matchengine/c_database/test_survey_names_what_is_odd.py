"""Things that are not wrong enough to stop, and that an operator should know of: zone, columns, drift."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest

from matchengine.c_database.building import build, catch_up
from matchengine.c_database.reading import newest_deal, newest_operation
from matchengine.c_database.subjects import Rounding
from matchengine.c_database.survey import column_problems, rounding_of, rows_in_the_way, zone_problems
from tests.matchengine.c_database.left_by_c import (
    DAYS,
    LAST_OPERATION,
    RULES,
    SLICE_S,
    insert,
    operations,
    put_operations,
    put_slice,
)
from tests.vxutils.store.mysql.databases import Pair
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.schema import found_columns

NOW_US = (SLICE_S + 60) * 1_000_000


@pytest.fixture
def log(pair: Pair) -> Iterator[Database]:
    database = Database(pair.log)
    yield database
    database.close()


def test_days_of_another_zone(pair: Pair, log: Database) -> None:
    """All recorded operations are of the morning of the 22nd in UTC."""
    insert(pair, f"operlog_{DAYS[1]}", operations(), "operlog_example")
    assert zone_problems(log, ZoneInfo("UTC"), "UTC") == []
    (problem,) = zone_problems(log, ZoneInfo("Pacific/Pago_Pago"), "Pacific/Pago_Pago")
    assert problem.text.startswith("operlog_20261122 has an operation of 2026-11-21 22:")
    assert not problem.is_fatal


def test_the_minutes_after_midnight_are_no_other_zone(pair: Pair, log: Database) -> None:
    midnight = 1_795_305_600  # of the 22nd, UTC
    detail = operations()[0][2]
    rows = [[1, midnight - 0.2, detail], [2, midnight + 86_399.9, detail]]
    insert(pair, f"operlog_{DAYS[1]}", rows, "operlog_example")
    assert zone_problems(log, ZoneInfo("UTC"), "UTC") == []


def test_columns_that_cut(pair: Pair, log: Database) -> None:
    texts = [problem.text for problem in column_problems(log, RULES)]
    assert any(
        text.startswith("slice_balance.balance holds 16 decimals") and "BCH (20)" in text for text in texts
    )
    assert any(text.startswith("slice_order.deal_fee holds 12 decimals") for text in texts)
    put_slice(pair)
    assert rounding_of(found_columns(log), SLICE_S) == Rounding(balance=16, deal_money=16, deal_fee=12)
    assert rounding_of(found_columns(log), 0) == Rounding()


def test_an_update_that_the_c_system_replays_with_more_decimals(pair: Pair, log: Database) -> None:
    put_operations(pair)
    put_slice(pair)
    told: list[str] = []
    loaded = build(log, RULES, NOW_US, told.append)
    assert told == []
    ledger = next(one for one in loaded.engine.assets.values() if one.prec_show < one.prec_save)
    cut, more = f"0.{'1' * ledger.prec_show}", f"0.{'1' * ledger.prec_save}"
    for number, text in ((51, cut), (52, more)):
        detail = (
            f'{{"method": "update_balance", "params": [1, "{ledger.name}", "x", {number}, "{text}", {{}}]}}'
        )
        insert(pair, f"operlog_{DAYS[1]}", [[number, SLICE_S + 3, detail]])
    seen: list[int] = []
    assert catch_up(log, loaded, told.append, lambda: seen.append(loaded.operation_id)) == 2
    assert seen == [51, 52]
    assert len(told) == 1
    assert told[0].startswith(f"operation 52 changed user 1's {ledger.name} by {more}, cut")
    assert catch_up(log, loaded, told.append, seen.clear) == 0


@pytest.mark.parametrize("detail", ["NULL", "'x'", """'{"method": "update_balance", "params": [1, []]}'"""])
def test_a_row_before_the_slice_is_not_in_the_way(pair: Pair, log: Database, detail: str) -> None:
    put_operations(pair)
    put_slice(pair)
    pair.run("log", f"UPDATE operlog_{DAYS[1]} SET detail = {detail} WHERE id = 40")
    told: list[str] = []
    assert build(log, RULES, NOW_US, told.append).operation_id == LAST_OPERATION
    assert len(told) == 1
    assert told[0].startswith("operation 40, before the slice: if it was an update, it may come twice")


def test_the_newest(pair: Pair, log: Database) -> None:
    history = Database(pair.history)
    assert (newest_operation(log), newest_deal(history)) == (0, 0)
    put_slice(pair)
    assert newest_operation(log) == LAST_OPERATION, "the log before a slice may have been removed"
    put_operations(pair)
    insert(pair, "operlog_20261123", [], "operlog_example")
    assert newest_operation(log) == LAST_OPERATION
    row = "(NULL, 1.5, 1, %s, 1, 2, 1, 1, 1, 1, 0, 0)"
    pair.run("history", f"INSERT INTO deal_history_7 VALUES {row % 9}, {row % 12}, {row % 11}")
    assert newest_deal(history) == 12
    history.close()


def test_rows_in_the_way_are_not_without_end(pair: Pair, log: Database) -> None:
    rows = [[number, 1.5, None] for number in range(1, 500)]
    insert(pair, f"operlog_{DAYS[1]}", rows, "operlog_example")
    assert sum(1 for _ in rows_in_the_way(log)) == 200
