"""History out of the recorder's SQLite file: `HistoryReader` as a `HistoryStore`, with a limit of time.

    DIR/history.db (written by the recorder alone) <-- one read-only connection per thread

How the file is opened, noticed when it is replaced, and searched is the business of the reader. Here seconds
become microseconds, numbers are brought into the range that SQLite takes, and failures get their kind.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from gateways.readhistory.store import (
    AsOf,
    BalanceHistory,
    FinishedOrder,
    FinishedOrders,
    OrderDeals,
    Page,
    QueryTooLong,
    StoreFailed,
    StoreNotThere,
    UserDeals,
)
from vxutils.store.embedded.history import HistoryReader, HistoryUnavailable
from vxutils.store.embedded.schema import BalanceRow, DealRow, OrderRow

OFFSET_MAX: Final = 2**62
"""More than there can be rows; the sum of offset and limit still fits."""

_TIME_US_MAX: Final = 2**63 - 1
_STEPS_BETWEEN_CHECKS: Final = 20_000  # of SQLite's machine: about a millisecond
_INTERRUPTED: Final = "interrupted"

_Row = TypeVar("_Row")


class EmbeddedHistory:
    """A `HistoryStore` on the file at `path`, for one thread. Opens it at the first query.

    `query_timeout_s`: how long one query may take.
    """

    def __init__(
        self, path: Path, query_timeout_s: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._reader = _TimedReader(path, query_timeout_s, monotonic)

    def close(self) -> None:
        self._reader.close()

    def position(self) -> AsOf:
        with self._asking() as reader:
            position = reader.position()
            return AsOf(position.sequence, position.time_us)

    def balance_history(self, query: BalanceHistory) -> Page[BalanceRow]:
        def read(reader: HistoryReader, offset: int) -> list[BalanceRow]:
            start_us, end_us = _microseconds(query.start_s), _microseconds(query.end_s)
            return reader.balance_history(
                query.user_id, query.asset, query.business, start_us, end_us, offset, query.limit
            )

        return self._page(query.offset, read)

    def finished_orders(self, query: FinishedOrders) -> Page[OrderRow]:
        def read(reader: HistoryReader, offset: int) -> list[OrderRow]:
            start_us, end_us = _microseconds(query.start_s), _microseconds(query.end_s)
            return reader.finished_orders(
                query.user_id, query.market, start_us, end_us, query.side, offset, query.limit
            )

        return self._page(query.offset, read)

    def order_deals(self, query: OrderDeals) -> Page[DealRow]:
        return self._page(
            query.offset, lambda reader, offset: reader.order_deals(query.order_id, offset, query.limit)
        )

    def finished_order(self, query: FinishedOrder) -> OrderRow | None:
        with self._asking() as reader:
            return reader.finished_order(query.order_id)

    def user_deals(self, query: UserDeals) -> Page[DealRow]:
        return self._page(
            query.offset,
            lambda reader, offset: reader.user_deals(query.user_id, query.market, offset, query.limit),
        )

    def _page(self, offset: int, read: Callable[[HistoryReader, int], list[_Row]]) -> Page[_Row]:
        as_of = self.position()  # before the rows: what it promises is in them
        if offset < 0:
            return Page([], as_of)
        with self._asking() as reader:
            return Page(read(reader, min(offset, OFFSET_MAX)), as_of)

    @contextmanager
    def _asking(self) -> Iterator[HistoryReader]:
        self._reader.start_timing()
        try:
            yield self._reader
        except HistoryUnavailable as error:
            cause = error.__cause__
            if isinstance(cause, sqlite3.OperationalError) and str(cause) == _INTERRUPTED:
                raise QueryTooLong(f"given up after {self._reader.timeout_s:g} s") from error
            if cause is None:  # nothing is wrong with the file, but it is not one that we can read
                raise StoreNotThere(str(error)) from error
            raise StoreFailed(str(error)) from error


class _TimedReader(HistoryReader):
    """Interrupts a query that takes longer than `timeout_s`."""

    def __init__(self, path: Path, timeout_s: float, monotonic: Callable[[], float]) -> None:
        super().__init__(path)
        self.timeout_s = timeout_s
        self._monotonic = monotonic
        self._deadline_s = 0.0

    def start_timing(self) -> None:
        self._deadline_s = self._monotonic() + self.timeout_s

    def _current(self) -> sqlite3.Connection:
        connection = super()._current()
        connection.set_progress_handler(self._is_late, _STEPS_BETWEEN_CHECKS)
        return connection

    def _is_late(self) -> bool:
        return self._monotonic() > self._deadline_s


def _microseconds(time_s: int) -> int:
    return min(time_s * 1_000_000, _TIME_US_MAX)
