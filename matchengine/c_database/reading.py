"""What the C system's log database holds: slices, and the operation log after them. Reads only.

    slice_history -> slice_order_<T>, slice_balance_<T>
    operlog_YYYYMMDD, in the order of the days -> operations in the order of their ids

Values are as the server gives them, decimals as text with all digits. Judged is nothing but what can not be
read at all. Source: protocol.md 4.1 to 4.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlSchemaWrong

PAGE_ROWS: Final = 5_000
NEWEST_DEAL_ROWS: Final = 100
"""Rows of a shard among which its newest deal is looked for: batches may be written in another order."""

HISTORY_SHARDS: Final = 100
_DAY = re.compile(r"operlog_(\d{8})")
_NO_SUCH_TABLE: Final = 1146

ORDER_COLUMNS: Final = (
    "id",
    "t",
    "side",
    "create_time",
    "update_time",
    "user_id",
    "market",
    "price",
    "amount",
    "taker_fee",
    "maker_fee",
    "left",
    "deal_stock",
    "deal_money",
    "deal_fee",
)


class CDatabaseError(Exception):
    """The database can not be taken over. The text is a sentence for the operator."""


class SliceUnusable(Exception):
    """One slice is not whole, or does not fit the settings. The text says why."""


class CSlice(NamedTuple):
    """A row of `slice_history`; `time_s` names its tables."""

    id: int
    time_s: int
    operation_id: int
    order_id: int
    deal_id: int


class SliceOrder(NamedTuple):
    """A row of a slice's orders; times in seconds."""

    id: int
    kind: int
    side: int
    created_s: float
    updated_s: float
    user: int
    market: str
    price: str
    amount: str
    taker_fee: str
    maker_fee: str
    left: str
    deal_stock: str
    deal_money: str
    deal_fee: str


class SliceBalance(NamedTuple):
    """A row of a slice's balances: `kind` 1 is available, 2 frozen."""

    id: int
    user: int
    asset: str
    kind: int
    balance: str


class LoggedOperation(NamedTuple):
    """A row of the operation log."""

    table: str
    id: int
    time_s: float
    detail: str | None


def read_slices(log: Database) -> list[CSlice]:
    """All that are registered, the newest first. Raises: MysqlError."""
    rows = log.rows(
        "SELECT id, time, end_oper_id, end_order_id, end_deals_id FROM slice_history ORDER BY id DESC"
    )
    return [CSlice(*row) for row in rows]


def read_orders(log: Database, time_s: int) -> Iterator[SliceOrder]:
    """The orders of a slice, ids ascending. Raises: SliceUnusable, MysqlError."""
    columns = ", ".join(f"`{name}`" for name in ORDER_COLUMNS)
    for row in _pages(log, f"slice_order_{time_s}", columns):
        yield SliceOrder(*row)


def read_balances(log: Database, time_s: int) -> Iterator[SliceBalance]:
    """The balances of a slice. Raises: SliceUnusable, MysqlError."""
    for row in _pages(log, f"slice_balance_{time_s}", "id, user_id, asset, t, balance"):
        yield SliceBalance(*row)


def read_operations(log: Database, after_id: int, since_day: str = "") -> Iterator[LoggedOperation]:
    """The operations with higher ids, from the tables of `since_day` (YYYYMMDD) and later days.

    The C system looks at the days since the slice; ids tell the same without a clock. Raises: MysqlError.
    """
    names = [str(name) for (name,) in log.rows("SHOW TABLES LIKE 'operlog\\_%'")]
    for name in sorted(names):
        found = _DAY.fullmatch(name)
        if found is None or found.group(1) < since_day:
            continue
        last = after_id
        while True:
            rows = log.rows(
                f"SELECT id, time, detail FROM `{name}` WHERE id > %s ORDER BY id LIMIT {PAGE_ROWS}",  # noqa: S608
                (last,),
            )
            for number, time_s, detail in rows:
                yield LoggedOperation(name, number, time_s, detail)
            if len(rows) < PAGE_ROWS:
                break
            last = rows[-1][0]


def newest_operation(log: Database) -> int:
    """The last id in the operation log, or that of the newest slice if the log ends before it. Raises:
    MysqlError."""
    slices = read_slices(log)
    last = slices[0].operation_id if slices else 0
    names = [str(name) for (name,) in log.rows("SHOW TABLES LIKE 'operlog\\_%'")]
    for name in sorted((name for name in names if _DAY.fullmatch(name)), reverse=True):
        ((found,),) = log.rows(f"SELECT MAX(id) FROM `{name}`")  # noqa: S608
        if found is not None:
            return max(last, int(found))
    return last


def newest_deal(history: Database) -> int:
    """The highest deal id among the newest rows of all shards, 0 if there is none. Raises: MysqlError."""
    parts = [
        f"(SELECT deal_id FROM deal_history_{shard} ORDER BY id DESC LIMIT {NEWEST_DEAL_ROWS})"  # noqa: S608
        for shard in range(HISTORY_SHARDS)
    ]
    ((found,),) = history.rows(f"SELECT MAX(deal_id) FROM ({' UNION ALL '.join(parts)}) newest")  # noqa: S608
    return int(found or 0)


def _pages(log: Database, table: str, columns: str) -> Iterator[tuple[Any, ...]]:
    last = -1
    while True:
        try:
            rows = log.rows(
                f"SELECT {columns} FROM `{table}` WHERE id > %s ORDER BY id LIMIT {PAGE_ROWS}",  # noqa: S608
                (last,),
            )
        except MysqlSchemaWrong as error:
            if error.code == _NO_SUCH_TABLE:
                raise SliceUnusable(f"the table {table} is missing") from error
            raise
        yield from rows
        if len(rows) < PAGE_ROWS:
            return
        last = rows[-1][0]
