"""Reads a slice back from the database as a start of the C system does, and compares it with the state.

    slice_history, newest row -> slice_order_T, slice_balance_T -> after it in the operation log: nothing

Every order, balance and counter must be there, once, with the value that the C system reads from the column.
What differs is a sentence; how many are told is bounded. Only reads. Source: protocol.md 4.3, 4.4.
"""

from __future__ import annotations

from typing import Final

import msgspec

from matchengine.c_database.losses import (
    AVAILABLE,
    FROZEN,
    Number,
    SliceColumns,
    as_c_reads,
    cut_as_c,
    is_same,
    order_numbers,
)
from matchengine.c_database.reading import (
    SliceOrder,
    SliceUnusable,
    read_balances,
    read_operations,
    read_orders,
    read_slices,
)
from matchengine.core.engine import Engine
from matchengine.core.market import Market
from matchengine.core.order import Order
from vxutils.store.mysql.connection import Database

TOLD_MAX: Final = 20


class Compared(msgspec.Struct):
    """How much was compared, and what differs."""

    orders: int = 0
    balances: int = 0
    differences: list[str] = []

    def differs(self, text: str) -> None:
        if len(self.differences) < TOLD_MAX:
            self.differences.append(text)


def compare_tables(log: Database, engine: Engine, columns: SliceColumns, time_s: int) -> Compared:
    """Compares the tables of a slice with the state. O(state). Raises: MysqlError."""
    found = Compared()
    try:
        _compare_orders(log, engine, columns, time_s, found)
        _compare_balances(log, engine, columns, time_s, found)
    except SliceUnusable as error:
        found.differs(str(error))
    return found


def compare_rest(log: Database, engine: Engine, operation_id: int, time_s: int) -> list[str]:
    """Whether a C loader takes this slice, with these counters, and finds nothing after it.

    Raises: MysqlError.
    """
    wanted = (time_s, operation_id, engine.last_order_id, engine.last_deal_id)
    slices = read_slices(log)
    found = [] if not slices else [tuple(slices[0][1:])]
    problems: list[str] = []
    if found != [wanted]:
        problems.append(f"the newest row of slice_history is {found}, it should be {wanted}")
    operation = next(read_operations(log, operation_id), None)
    if operation is not None:
        problems.append(f"{operation.table} holds operation {operation.id}, the last one is {operation_id}")
    return problems


def _compare_orders(
    log: Database, engine: Engine, columns: SliceColumns, time_s: int, found: Compared
) -> None:
    wanted = {
        order.id: (order, market) for market in engine.markets.values() for order in market.orders.values()
    }
    for row in read_orders(log, time_s):
        found.orders += 1
        known = wanted.pop(row.id, None)
        if known is None:
            found.differs(f"order {row.id} is in the slice and not in the state, or is there twice")
            continue
        order, market = known
        for text in _order_differences(row, order, market, columns):
            found.differs(f"order {order.id} in {market.name}: {text}")
    for number in list(wanted)[:TOLD_MAX]:
        found.differs(f"order {number} is missing in the slice")


def _order_differences(row: SliceOrder, order: Order, market: Market, columns: SliceColumns) -> list[str]:
    told = [
        f"{name} is {is_}, not {should}"
        for name, is_, should in (
            ("t", row.kind, order.kind),
            ("side", row.side, order.side),
            ("user_id", row.user, order.user),
            ("market", row.market, market.name),
            ("create_time", round(row.created_s * 1_000_000), order.created_us),
            ("update_time", round(row.updated_s * 1_000_000), order.updated_us),
        )
        if is_ != should
    ]
    for name, (value, scale, prec) in order_numbers(order, market).items():
        text: str = getattr(row, name)
        arrived = _read(text, prec)
        if arrived is None or not is_same(arrived, as_c_reads(value, scale, columns.decimals[name], prec)):
            told.append(f"{name} is {text}")
    return told


def _compare_balances(
    log: Database, engine: Engine, columns: SliceColumns, time_s: int, found: Compared
) -> None:
    wanted = {
        (ledger.name, kind, user): (amount, ledger.prec_save)
        for ledger in engine.assets.values()
        for kind, amounts in ((AVAILABLE, ledger.available), (FROZEN, ledger.frozen))
        for user, amount in amounts.items()
    }
    column = columns.decimals["balance"]
    for row in read_balances(log, time_s):
        found.balances += 1
        number = wanted.pop((row.asset, row.kind, row.user), None)
        what = f"balance of user {row.user}, {row.asset}, kind {row.kind}"
        if number is None:
            found.differs(f"{what}: in the slice and not in the state, or there twice")
            continue
        arrived = _read(row.balance, number[1])
        if arrived is None or not is_same(arrived, as_c_reads(*number, column, number[1])):
            found.differs(f"{what}: is {row.balance}")
    for asset, kind, user in list(wanted)[:TOLD_MAX]:
        found.differs(f"balance of user {user}, {asset}, kind {kind}: missing in the slice")


def _read(text: str, prec: int) -> Number | None:
    """The text of a column as the C system parses it; None for what is no number."""
    digits, _, decimals = text.partition(".")
    if not (digits + decimals).isdigit():
        return None
    return cut_as_c(int(digits + decimals), len(decimals), prec)
