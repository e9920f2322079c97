"""Deals by their numbers, out of the history in MySQL, whoever wrote it.

    user_deal_history_0 .. _99 --rows of takers, by bisection--> one page, sorted by number

Each table is written in the order of the deals; the C system writes the last rows of a table from several
threads, so ORDER_ROWS more are looked at on either side.

The columns have their own number of decimals: a price gets those that its market had last, others none at
the end.

Source: protocol.md 4.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from marketprice.deal_history import PAGE_IDS, TAKER, HistoryAway, Page, first_row
from marketprice.messages import deal_text
from marketprice.texts import real
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlError
from vxutils.store.mysql.position import read_position
from vxutils.store.mysql.settings import MysqlSettings
from vxutils.store.mysql.tables import SHARDS

ORDER_ROWS: Final = 1_000


class MysqlDeals:
    """The deals of one history database. `decimals`: how many a price of that market has."""

    def __init__(self, settings: MysqlSettings, decimals: Callable[[str], int]) -> None:
        self._database = Database(settings)
        self._decimals = decimals

    def __str__(self) -> str:
        return str(self._database)

    def has_come_to(self, sequence: int, deal_id: int) -> bool:
        with self._asking():
            if sequence:
                stored = read_position(self._database, "history")
                return stored is not None and stored.position.sequence >= sequence
            newest = (
                self._database.rows(f"SELECT deal_id FROM {table} ORDER BY id DESC LIMIT 1")  # noqa: S608
                for table in _tables()
            )
            return any(rows and rows[0][0] >= deal_id for rows in newest)

    def page(self, first: int, before: int) -> Page:
        with self._asking():
            begins = {table: begin for table in _tables() if (begin := self._begin(table, first)) is not None}
            lowest = min((deal_id for _, _, deal_id in begins.values()), default=before)
            if lowest >= before:
                return Page([], before)
            end = min(lowest + PAGE_IDS, before)
            deals: dict[int, str] = {}
            for table, (row_id, highest, deal_id) in begins.items():
                if deal_id < end:
                    deals |= self._read(table, row_id, highest, first, end)
            return Page(sorted(deals.items()), end)

    def close(self) -> None:
        self._database.close()

    def _begin(self, table: str, deal_id: int) -> tuple[int, int, int] | None:
        """Of the first row with this deal or a later one: its id, that of the last row, its deal."""
        ((lowest, highest),) = self._database.rows(f"SELECT MIN(id), MAX(id) FROM {table}")  # noqa: S608
        if highest is None:
            return None
        row_id = max(first_row(lambda at: self._at(table, at), lowest, highest, deal_id) - ORDER_ROWS, lowest)
        rows = self._database.rows(
            f"SELECT MIN(deal_id) FROM {table} WHERE id BETWEEN %s AND %s AND deal_id >= %s",  # noqa: S608
            (row_id, row_id + 2 * ORDER_ROWS, deal_id),
        )
        return None if rows[0][0] is None else (row_id, highest, rows[0][0])

    def _read(self, table: str, row_id: int, highest: int, first: int, end: int) -> dict[int, str]:
        last = first_row(lambda at: self._at(table, at), row_id, highest, end) + ORDER_ROWS
        rows = self._database.rows(
            f"SELECT deal_id, time, market, price, amount, side FROM {table}"  # noqa: S608
            " WHERE id BETWEEN %s AND %s AND role = %s AND deal_id >= %s AND deal_id < %s",
            (row_id, last, TAKER, first, end),
        )
        found: dict[int, str] = {}
        for deal_id, time, market, price, amount, side in rows:
            shown = _shown(price, self._decimals(market))
            found[deal_id] = deal_text(real(time), market, shown, _shown(amount, 0), side, deal_id)
        return found

    def _at(self, table: str, row_id: int) -> tuple[int, int] | None:
        rows = self._database.rows(
            f"SELECT id, deal_id FROM {table} WHERE id >= %s ORDER BY id LIMIT 1",  # noqa: S608
            (row_id,),
        )
        return (rows[0][0], rows[0][1]) if rows else None

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except MysqlError as error:
            raise HistoryAway(str(error)) from error


def _tables() -> list[str]:
    return [f"user_deal_history_{shard}" for shard in range(SHARDS)]


def _shown(text: str, decimals: int) -> str:
    """A number of a column without the zeros at its end, but with at least so many decimals."""
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0").ljust(decimals, "0")
    return f"{whole}.{fraction}" if fraction else whole
