"""Deals by their numbers, out of the history: what a topic does not hold any more.

    history.db | MySQL --Page, Page, ..--> texts of deals, by number, each deal once

A page spans at most PAGE_IDS numbers and skips those that were never given, so it is bounded whatever is
asked for. Numbers grow with the rows, so each is found by bisection: there is no index of them.

Whether the history has come far enough is asked before the pages are: what is there then does not change any
more. For use beside the loop, in one thread; nothing here waits for rows that are not there yet.

Source: protocol.md 4.5 (each deal is there twice, the taker's row has role 2), 5.1.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from marketprice.messages import deal_text
from marketprice.texts import real
from vxutils.store.embedded.history import HistoryUnavailable, check_kind, read_position

PAGE_IDS: Final = 10_000
TAKER: Final = 2
LOOK_S: Final = 5.0
"""How long a look into the file waits for its writer."""


class HistoryAway(Exception):
    """It can not be read now. The text says where and why."""


class Page(msgspec.Struct, frozen=True):
    """Deals as (number, text of the message) in order, and from which number on the next page goes on."""

    deals: list[tuple[int, str]]
    next_id: int


class DealHistory(Protocol):
    """Where deals can be had by number. Each call raises HistoryAway."""

    def has_come_to(self, sequence: int, deal_id: int) -> bool:
        """Whether all deals before this one are there. `sequence`: of its record, 0 if nobody says."""

    def page(self, first: int, before: int) -> Page:
        """The next deals from number `first` on, before number `before`."""

    def close(self) -> None:
        """Ends the use."""


class EmbeddedDeals:
    """The deals of `history.db`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def has_come_to(self, sequence: int, deal_id: int) -> bool:
        with self._reading() as connection:
            if sequence:
                return read_position(connection).sequence >= sequence
            row = connection.execute("SELECT deal_id FROM deal_history ORDER BY id DESC LIMIT 1").fetchone()
            return row is not None and int(row[0]) >= deal_id

    def page(self, first: int, before: int) -> Page:
        with self._reading() as connection:

            def at(row_id: int) -> tuple[int, int] | None:
                found: tuple[int, int] | None = connection.execute(
                    "SELECT id, deal_id FROM deal_history WHERE id >= ? ORDER BY id LIMIT 1", (row_id,)
                ).fetchone()
                return found

            ends = connection.execute(
                "SELECT (SELECT min(id) FROM deal_history), (SELECT max(id) FROM deal_history)"
            ).fetchone()
            if ends[0] is None:
                return Page([], before)
            row_id = first_row(at, ends[0], ends[1], first)
            found = at(row_id)
            if found is None or found[1] >= before:
                return Page([], before)
            end = min(found[1] + PAGE_IDS, before)
            rows = connection.execute(
                "SELECT deal_id, time_us, market, price, amount, side FROM deal_history"
                " WHERE id >= ? AND id < ? AND role = ? ORDER BY id",
                (row_id, first_row(at, row_id, ends[1], end), TAKER),
            )
            return Page([(row[0], _text(row)) for row in rows], end)

    def close(self) -> None:
        """Nothing is held open between calls."""

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=LOOK_S)) as connection:
                check_kind(connection, self._path)
                yield connection
        except (sqlite3.Error, HistoryUnavailable) as error:
            raise HistoryAway(f"{self._path} can not be read: {error}") from error


def first_row(at: Callable[[int], tuple[int, int] | None], lowest: int, highest: int, deal_id: int) -> int:
    """From which row on the deals are numbered `deal_id` or more; highest + 1 when none is.

    `at`: row and deal of the first row that has at least this id. Cost: one question for each halving.
    """
    low, high = lowest, highest + 1
    while low < high:
        middle = (low + high) // 2
        row = at(middle)
        if row is None or row[1] >= deal_id:
            high = middle
        else:
            low = row[0] + 1
    return low


def _text(row: tuple[Any, ...]) -> str:
    deal_id, time_us, market, price, amount, side = row
    return deal_text(real(time_us / 1_000_000), market, price, amount, side, deal_id)
