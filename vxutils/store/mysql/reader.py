"""The five queries of readhistory on the history database, of whoever wrote it: us or the C system.

    reader = MysqlHistoryReader(settings, query_timeout_s=10)      # one per thread
    reader.user_deals(7, "BTCUSD", offset=0, limit=50)

The statements find what the C system's find. A page deep down is reached over an index where the filter
allows it. Texts compare as the columns do: without regard to case in the C system's tables. Columns that a
table does not have (`sequence` everywhere, market and side of a deal by order) come as 0 or "".

Not here: the rules for parameters and the form of results, which are those of whoever asks.

Source: protocol.md 4.5, 7.2.
"""

from __future__ import annotations

from typing import Final

import msgspec

from vxutils.store.embedded.schema import BalanceRow, DealRow, HistoryPosition, OrderRow
from vxutils.store.mysql.connection import Database, Row
from vxutils.store.mysql.position import read_position
from vxutils.store.mysql.settings import MysqlSettings
from vxutils.store.mysql.tables import SHARDS

GRACE_S: Final = 5.0
"""How much longer than the query itself its answer may take, before the connection is given up."""

_ORDER: Final = (
    "id, create_time, finish_time, user_id, market, source, t, side, price, amount, taker_fee, maker_fee,"
    " deal_stock, deal_money, deal_fee"
)
_DEAL: Final = "id, time, user_id, deal_id, order_id, deal_order_id"
_AMOUNTS: Final = "price, amount, deal, fee, deal_fee"


class MysqlHistoryReader:
    """One connection, opened by the first call. For one thread.

    Every call raises a MysqlError; MysqlTooSlow when the server gave a query up after `query_timeout_s`.
    """

    def __init__(self, settings: MysqlSettings, query_timeout_s: float) -> None:
        self._database = Database(
            msgspec.structs.replace(settings, timeout_s=query_timeout_s + GRACE_S),
            [_time_limit(query_timeout_s)],
        )

    def close(self) -> None:
        self._database.close()

    def position(self) -> HistoryPosition:
        """How far the history has come; at the beginning, if its writer does not say, as the C system."""
        stored = read_position(self._database, "history")
        return HistoryPosition() if stored is None else stored.position

    def balance_history(
        self, user_id: int, asset: str, business: str, start_s: int, end_s: int, offset: int, limit: int
    ) -> list[BalanceRow]:
        """Newest first. Empty asset or business: any; 0 as start or end: no bound. `end_s` is excluded."""
        filters = _Filters(["user_id = %s"], [user_id])
        filters.add("asset = %s", asset)
        filters.add("business = %s", business)
        filters.add("time >= %s", start_s)
        filters.add("time < %s", end_s)
        columns = "id, time, user_id, asset, business, `change`, balance, detail"
        table = f"balance_history_{user_id % SHARDS}"
        return [
            BalanceRow(row[0], 0, _microseconds(row[1]), *row[2:])
            for row in self._page(table, columns, filters, offset, limit)
        ]

    def finished_orders(
        self, user_id: int, market: str, start_s: int, end_s: int, side: int, offset: int, limit: int
    ) -> list[OrderRow]:
        """Newest first, by the time of creation. Side 0: both; 0 as start or end: no bound."""
        filters = _Filters(["user_id = %s", "market = %s"], [user_id, market])
        filters.add("side = %s", side)
        filters.add("create_time >= %s", start_s)
        filters.add("create_time < %s", end_s)
        table = f"order_history_{user_id % SHARDS}"
        return [_order(row) for row in self._page(table, _ORDER, filters, offset, limit)]

    def order_deals(self, order_id: int, offset: int, limit: int) -> list[DealRow]:
        """The deals of one order, newest first; market and side are not known."""
        filters = _Filters(["order_id = %s"], [order_id])
        columns = f"{_DEAL}, 0, role, '', {_AMOUNTS}"
        return [
            _deal(row)
            for row in self._page(f"deal_history_{order_id % SHARDS}", columns, filters, offset, limit)
        ]

    def finished_order(self, order_id: int) -> OrderRow | None:
        """One finished order; None if there is no such row."""
        rows = self._database.rows(
            f"SELECT {_ORDER} FROM order_detail_{order_id % SHARDS} WHERE id = %s",  # noqa: S608
            (order_id,),
        )
        return _order(rows[0]) if rows else None

    def user_deals(self, user_id: int, market: str, offset: int, limit: int) -> list[DealRow]:
        """The deals of one user in one market, newest first."""
        filters = _Filters(["user_id = %s", "market = %s"], [user_id, market])
        columns = f"{_DEAL}, side, role, market, {_AMOUNTS}"
        return [
            _deal(row)
            for row in self._page(f"user_deal_history_{user_id % SHARDS}", columns, filters, offset, limit)
        ]

    def _page(self, table: str, columns: str, filters: _Filters, offset: int, limit: int) -> list[Row]:
        # The ids first: an index has them, so that what is skipped is not read.
        return self._database.rows(
            f"SELECT {columns} FROM (SELECT id AS found FROM {table}"  # noqa: S608
            f" WHERE {' AND '.join(filters.where)} ORDER BY id DESC LIMIT %s OFFSET %s) AS page"
            f" JOIN {table} ON id = found ORDER BY id DESC",
            (*filters.values, limit, offset),
        )


class _Filters:
    """The conditions of one query and their values."""

    def __init__(self, where: list[str], values: list[object]) -> None:
        self.where = where
        self.values = values

    def add(self, condition: str, value: object) -> None:
        """One more, unless the value says that there is none: 0 or empty text."""
        if value:
            self.where.append(condition)
            self.values.append(value)


def _order(row: Row) -> OrderRow:
    return OrderRow(row[0], 0, _microseconds(row[1]), _microseconds(row[2]), *row[3:])


def _deal(row: Row) -> DealRow:
    return DealRow(row[0], 0, _microseconds(row[1]), *row[2:])


def _microseconds(time_s: float) -> int:
    return round(time_s * 1_000_000)


def _time_limit(timeout_s: float) -> str:
    """Sets the longest time of a query, which each of the two servers calls differently.

    What stands after `/*M!` is a comment to MySQL, what stands after `/*!50708` one to MariaDB.
    """
    milliseconds = max(round(timeout_s * 1000), 1)
    return (
        f"SET @vx_query_ms = {milliseconds} /*M!, SESSION max_statement_time = {milliseconds / 1000:.3f} */"
        f" /*!50708, SESSION max_execution_time = {milliseconds} */"
    )
