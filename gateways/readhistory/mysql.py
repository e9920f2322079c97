"""History out of MySQL: `MysqlHistoryReader` as a `HistoryStore`.

    history database (written by the recorder, or by the C system) <-- one connection per thread

Here numbers are brought into the range that the server takes, and failures get their kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateways.readhistory.store import (
    AsOf,
    BalanceHistory,
    FinishedOrder,
    FinishedOrders,
    OrderDeals,
    Page,
    QueryTooLong,
    StoreFailed,
    UserDeals,
)
from vxutils.store.embedded.schema import BalanceRow, DealRow, OrderRow
from vxutils.store.mysql.errors import MysqlError, MysqlTooSlow
from vxutils.store.mysql.reader import MysqlHistoryReader
from vxutils.store.mysql.settings import MysqlSettings

OFFSET_MAX: Final = 2**62
"""More than there can be rows."""


class MysqlHistory:
    """A `HistoryStore` on one database, for one thread. Connects at the first query.

    `query_timeout_s`: how long one query may take.
    """

    def __init__(self, settings: MysqlSettings, query_timeout_s: float) -> None:
        self._reader = MysqlHistoryReader(settings, query_timeout_s)
        self._timeout_s = query_timeout_s

    def close(self) -> None:
        self._reader.close()

    def position(self) -> AsOf:
        with self._asking():
            position = self._reader.position()
            return AsOf(position.sequence, position.time_us)

    def balance_history(self, query: BalanceHistory) -> Page[BalanceRow]:
        as_of = self.position()  # before the rows: what it promises is in them
        with self._asking():
            return Page(
                self._reader.balance_history(
                    query.user_id,
                    query.asset,
                    query.business,
                    query.start_s,
                    query.end_s,
                    *_place(query.offset, query.limit),
                ),
                as_of,
            )

    def finished_orders(self, query: FinishedOrders) -> Page[OrderRow]:
        as_of = self.position()
        with self._asking():
            return Page(
                self._reader.finished_orders(
                    query.user_id,
                    query.market,
                    query.start_s,
                    query.end_s,
                    query.side,
                    *_place(query.offset, query.limit),
                ),
                as_of,
            )

    def order_deals(self, query: OrderDeals) -> Page[DealRow]:
        as_of = self.position()
        with self._asking():
            return Page(self._reader.order_deals(query.order_id, *_place(query.offset, query.limit)), as_of)

    def finished_order(self, query: FinishedOrder) -> OrderRow | None:
        with self._asking():
            return self._reader.finished_order(query.order_id)

    def user_deals(self, query: UserDeals) -> Page[DealRow]:
        as_of = self.position()
        with self._asking():
            return Page(
                self._reader.user_deals(query.user_id, query.market, *_place(query.offset, query.limit)),
                as_of,
            )

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except MysqlTooSlow as error:
            raise QueryTooLong(f"given up after {self._timeout_s:g} s") from error
        except MysqlError as error:
            raise StoreFailed(str(error)) from error


def _place(offset: int, limit: int) -> tuple[int, int]:
    """Offset and limit of a page; a negative offset shows nothing."""
    return (0, 0) if offset < 0 else (min(offset, OFFSET_MAX), limit)
