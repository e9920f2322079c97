"""A slice that was handed over is compared value by value: whatever is not as it should be, is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from matchengine.c_database.losses import SliceColumns, losses, read_slice_columns
from matchengine.c_database.slice_check import Compared, compare_rest, compare_tables
from matchengine.core.engine import Engine
from matchengine.recorder.c_slices import put_tables, register
from tests.matchengine.c_database.left_by_c import (
    DAYS,
    LAST_OPERATION,
    exchange_after_scenario,
    insert,
    put_operations,
)
from tests.vxutils.store.mysql.databases import Pair
from vxutils.store.mysql.connection import Database

TIME_S = 1_795_350_000
ORDERS, BALANCES = f"slice_order_{TIME_S}", f"slice_balance_{TIME_S}"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return exchange_after_scenario().engine


@pytest.fixture
def log(pair: Pair) -> Iterator[Database]:
    database = Database(pair.log)
    yield database
    database.close()


def compared(log: Database, engine: Engine) -> Compared:
    columns: SliceColumns = read_slice_columns(log)
    return compare_tables(log, engine, columns, TIME_S)


def test_what_was_written_is_there_as_its_columns_hold_it(log: Database, engine: Engine) -> None:
    """Digits are lost in columns of the C system: as many as were foreseen, and no more."""
    assert list(losses(engine, read_slice_columns(log)))
    put_tables(log, engine, TIME_S)
    found = compared(log, engine)
    assert found.differences == []
    assert found.orders == sum(len(market.orders) for market in engine.markets.values())
    assert found.balances == sum(
        len(amounts) for ledger in engine.assets.values() for amounts in (ledger.available, ledger.frozen)
    )


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (f"DELETE FROM {ORDERS} WHERE id = 22", "order 22 is missing in the slice"),
        (f"UPDATE {ORDERS} SET `left` = `left` + 0.0001 WHERE id = 22", "order 22 in BTCCNY: left is"),
        (f"UPDATE {ORDERS} SET deal_fee = 0 WHERE id = 24", "order 24 in LTCBTC: deal_fee is 0.0"),
        (f"UPDATE {ORDERS} SET side = 1 WHERE id = 18", "order 18 in BTCBCH: side is 1, not 2"),
        (f"UPDATE {ORDERS} SET user_id = 7 WHERE id = 18", "order 18 in BTCBCH: user_id is 7, not 6"),
        (f"UPDATE {ORDERS} SET create_time = create_time + 1e-5 WHERE id = 18", "create_time is"),
        (f"UPDATE {ORDERS} SET id = 28 WHERE id = 27", "order 28 is in the slice and not in the state"),
        (
            f"UPDATE {BALANCES} SET balance = balance + 1e-12 WHERE user_id = 1 AND asset = 'BTC' AND t = 1",
            "balance of user 1, BTC, kind 1: is",
        ),
        (f"DELETE FROM {BALANCES} WHERE t = 2", "BTC, kind 2: missing in the slice"),
        (
            f"INSERT INTO {BALANCES} SELECT NULL, user_id, asset, t, balance FROM {BALANCES} LIMIT 1",
            "in the slice and not in the state, or there twice",
        ),
        (f"DROP TABLE {BALANCES}", f"the table {BALANCES} is missing"),
    ],
)
def test_whatever_differs_is_told(pair: Pair, log: Database, engine: Engine, damage: str, told: str) -> None:
    put_tables(log, engine, TIME_S)
    pair.run("log", damage)
    assert told in "\n".join(compared(log, engine).differences)


def test_nothing_may_follow_the_slice(pair: Pair, log: Database, engine: Engine) -> None:
    put_operations(pair)
    assert "the newest row of slice_history is []" in compare_rest(log, engine, LAST_OPERATION, TIME_S)[0]
    register(log, engine, TIME_S, LAST_OPERATION)
    assert compare_rest(log, engine, LAST_OPERATION, TIME_S) == []
    assert compare_rest(log, engine, LAST_OPERATION - 1, TIME_S)
    insert(pair, f"operlog_{DAYS[0]}", [[LAST_OPERATION + 1, 1.0, "{}"]])
    assert compare_rest(log, engine, LAST_OPERATION, TIME_S) == [
        f"operlog_{DAYS[0]} holds operation 51, the last one is 50"
    ]
    register(log, engine, TIME_S + 1, LAST_OPERATION + 1)
    assert "the newest row" in compare_rest(log, engine, LAST_OPERATION, TIME_S)[0]
