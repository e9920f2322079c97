"""What readhistory asks of a store of history, and what it gets: the five queries and their rows.

A `HistoryStore` belongs to one thread. Rows carry what was recorded: times in whole microseconds, decimals as
raw text of any length. Which server or file answers is the business of the adapters (`embedded`).

Source: protocol.md 4.5, 7.2.
"""

from __future__ import annotations

from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from vxutils.store.embedded.schema import BalanceRow, DealRow, OrderRow


class StoreNotThere(Exception):
    """There is no history to read yet (or no longer); it may come. The text says why."""


class QueryTooLong(Exception):
    """The query was given up after its time was over."""


class StoreFailed(Exception):
    """The store can not be read; the text says why."""


class BalanceHistory(msgspec.Struct, frozen=True):
    """103. Empty `asset`, `business`: any. `start_s`, `end_s`: whole seconds, the end excluded, 0 = open."""

    user_id: int
    asset: str
    business: str
    start_s: int
    end_s: int
    offset: int
    limit: int


class FinishedOrders(msgspec.Struct, frozen=True):
    """208. `side` 0: both. The times are those of creation, as in `BalanceHistory`."""

    user_id: int
    market: str
    side: int
    start_s: int
    end_s: int
    offset: int
    limit: int


class OrderDeals(msgspec.Struct, frozen=True):
    """209."""

    order_id: int
    offset: int
    limit: int


class FinishedOrder(msgspec.Struct, frozen=True):
    """210."""

    order_id: int


class UserDeals(msgspec.Struct, frozen=True):
    """306."""

    user_id: int
    market: str
    offset: int
    limit: int


class AsOf(NamedTuple):
    """How far the store has come: the last journal sequence in it, and its time in microseconds."""

    sequence: int
    time_us: int


NOTHING: Final = AsOf(0, 0)

Row = TypeVar("Row")


class Page(NamedTuple, Generic[Row]):
    """Rows, newest first. All rows up to `as_of` were looked at, and perhaps some newer ones."""

    rows: list[Row]
    as_of: AsOf


class HistoryStore(Protocol):
    """The queries. All raise StoreNotThere, QueryTooLong, StoreFailed. A negative offset shows nothing."""

    def balance_history(self, query: BalanceHistory) -> Page[BalanceRow]: ...

    def finished_orders(self, query: FinishedOrders) -> Page[OrderRow]: ...

    def order_deals(self, query: OrderDeals) -> Page[DealRow]: ...

    def finished_order(self, query: FinishedOrder) -> OrderRow | None: ...

    def user_deals(self, query: UserDeals) -> Page[DealRow]: ...

    def position(self) -> AsOf: ...

    def close(self) -> None: ...
