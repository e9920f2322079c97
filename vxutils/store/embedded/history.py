"""`history.db` opened for reading: the five queries of readhistory, and the messages of a topic.

    reader = HistoryReader(data_directory / "history.db")      # one per thread
    reader.user_deals(7, "BTCUSD", offset=0, limit=50)

Each call is one short read transaction or less, so it never holds up the writer. Pages deep down are
reached over an index alone: skipping costs some 50 ns per row skipped, and a time range becomes a range of
ids by bisection, because ids grow with time.

A file that was set aside and made again is noticed by its inode: the next call opens the new one.
Not here: the rules for parameters and the form of results, which are those of whoever asks.
"""

from __future__ import annotations

import heapq
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from vxutils.store.embedded.schema import (
    APPLICATION_ID,
    HISTORY,
    SCHEMA_VERSION,
    TOPICS,
    BalanceRow,
    DealRow,
    HistoryBase,
    HistoryPosition,
    Message,
    OrderRow,
)

BUSY_TIMEOUT_S: Final = 5.0
UNION_PARTS_MAX: Final = 400  # SQLite takes 500
INTEGER_MAX: Final = 2**63 - 1  # of SQLite
TRADE: Final = "trade"
_NOT_TRADE: Final = f"business <> '{TRADE}'"  # as the index of the others says it

_Row = TypeVar("_Row")


class HistoryUnavailable(Exception):
    """There is no history to read: no file yet, or one that can not be read. The text says which."""


class HistoryReader:
    """One read-only connection, opened by the first call. For one thread; `close` it in that thread.

    Every call raises HistoryUnavailable when the file is missing, damaged, or of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode = 0
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- the five queries; Source: protocol.md 7.2 ----------------------------------------------

    def balance_history(
        self,
        user_id: int,
        asset: str,
        business: str,
        start_us: int,
        end_us: int,
        offset: int,
        limit: int,
    ) -> list[BalanceRow]:
        """Newest first. Empty asset or business: any; 0 as start or end: no bound. `end_us` is excluded."""
        with self._reading() as connection:
            first, last = _id_range(connection, "balance_history", "time_us", start_us, end_us)
            assets = [asset] if asset else _assets_of(connection, user_id)
            if not assets or first >= last:
                return []
            queries = [_balance_ids(user_id, name, business, first, last) for name in assets]
            if len(queries) == 1:
                return _page(connection, "balance_history", *queries[0], offset, limit, BalanceRow)
            found = _merged_ids(connection, queries, offset, limit)
            marks = ",".join("?" * len(found))
            rows = f"SELECT * FROM balance_history WHERE id IN ({marks}) ORDER BY id DESC"  # noqa: S608
            return [BalanceRow(*row) for row in connection.execute(rows, found)]

    def finished_orders(
        self, user_id: int, market: str, start_us: int, end_us: int, side: int, offset: int, limit: int
    ) -> list[OrderRow]:
        """Newest first, by the time of creation. Side 0: both; 0 as start or end: no bound."""
        with self._reading() as connection:
            first, last = _id_range(connection, "order_history", "create_us", start_us, end_us)
            by_side = " AND side = ?" if side else ""
            ids = (
                f"SELECT id FROM order_history WHERE user_id = ? AND market = ?{by_side}"  # noqa: S608
                " AND id >= ? AND id < ?"
            )
            values: list[object] = [user_id, market, *([side] if side else []), first, last]
            return _page(connection, "order_history", ids, values, offset, limit, OrderRow)

    def order_deals(self, order_id: int, offset: int, limit: int) -> list[DealRow]:
        """The deals of one order, newest first."""
        with self._reading() as connection:
            ids = "SELECT id FROM deal_history WHERE order_id = ?"
            return _page(connection, "deal_history", ids, [order_id], offset, limit, DealRow)

    def finished_order(self, order_id: int) -> OrderRow | None:
        """One finished order; None if there is no such row."""
        with self._reading() as connection:
            row = connection.execute("SELECT * FROM order_history WHERE id = ?", (order_id,)).fetchone()
            return OrderRow(*row) if row is not None else None

    def user_deals(self, user_id: int, market: str, offset: int, limit: int) -> list[DealRow]:
        """The deals of one user in one market, newest first."""
        with self._reading() as connection:
            ids = "SELECT id FROM deal_history WHERE user_id = ? AND market = ?"
            return _page(connection, "deal_history", ids, [user_id, market], offset, limit, DealRow)

    # -- messages and positions -----------------------------------------------------------------

    def messages(self, topic: str, from_offset: int, limit: int) -> list[Message]:
        """At most `limit` messages of a topic from `from_offset` on, in order; offsets begin at 0.

        The first one has a higher offset than asked for when older ones were pruned.
        """
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT offset, sequence, idx, payload FROM messages WHERE topic = ? AND offset >= ?"
                " ORDER BY offset LIMIT ?",
                (topic, from_offset, limit),
            )
            return [Message(*row) for row in rows]

    def next_offset(self, topic: str) -> int:
        """The offset that the next message of this topic will get."""
        with self._reading() as connection:
            row = connection.execute("SELECT next_offset FROM topics WHERE name = ?", (topic,)).fetchone()
            return int(row[0]) if row is not None else 0

    def system_id(self) -> bytes:
        """The system that the history belongs to."""
        with self._reading() as connection:
            row = connection.execute("SELECT value FROM about WHERE name = 'system_id'").fetchone()
            return bytes(row[0]) if row is not None else b""

    def position(self) -> HistoryPosition:
        """How far the history has come."""
        with self._reading() as connection:
            return read_position(connection)

    def base_at(self, sequence: int) -> HistoryBase:
        """What a history has to begin with that is to go on as this one does after `sequence`."""
        with self._reading() as connection:
            offsets = {}
            for topic in TOPICS:
                row = (
                    connection.execute(
                        "SELECT offset + 1 FROM messages WHERE topic = ? AND sequence <= ?"
                        " ORDER BY offset DESC LIMIT 1",
                        (topic, sequence),
                    ).fetchone()
                    or connection.execute(
                        "SELECT coalesce(min(m.offset), t.next_offset) FROM topics t"
                        " LEFT JOIN messages m ON m.topic = t.name WHERE t.name = ?",
                        (topic,),
                    ).fetchone()
                )
                offsets[topic] = int(row[0])
            return HistoryBase(
                sequence=sequence,
                balance_id=_id_after(connection, "balance_history", sequence),
                deal_id=_id_after(connection, "deal_history", sequence),
                offsets=offsets,
            )

    # -- the connection -------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection inside a read transaction: all that one call reads is of one moment."""
        try:
            connection = self._current()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise HistoryUnavailable(f"{self.path} can not be read: {error}") from error

    def _current(self) -> sqlite3.Connection:
        try:
            inode = self.path.stat().st_ino
        except FileNotFoundError:
            self.close()
            raise HistoryUnavailable(f"{self.path} is not there yet: the recorder makes it") from None
        if self._connection is None or inode != self._inode:
            self.close()
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=ro",
                uri=True,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
            )
            try:
                check_kind(connection, self.path)
            except BaseException:
                connection.close()
                raise
            self._connection, self._inode = connection, inode
        return self._connection


def check_kind(connection: sqlite3.Connection, path: Path) -> None:
    """Raises: HistoryUnavailable unless this is a history of a version that we know; sqlite3.Error."""
    kind = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise HistoryUnavailable(
            f"{path} has schema {version}, this version knows up to {SCHEMA_VERSION}: start the newer "
            "version of VX Exchange that wrote it"
        )
    if (kind, version) != (APPLICATION_ID, SCHEMA_VERSION):
        raise HistoryUnavailable(f"{path} holds no history")


def read_position(connection: sqlite3.Connection) -> HistoryPosition:
    """The row of `position`. Raises: sqlite3.Error."""
    row = connection.execute(
        "SELECT sequence, epoch, time_us, digest FROM position WHERE name = ?", (HISTORY,)
    ).fetchone()
    return HistoryPosition(*row) if row is not None else HistoryPosition()


def _page(
    connection: sqlite3.Connection,
    table: str,
    ids: str,
    values: list[object],
    offset: int,
    limit: int,
    make: Callable[..., _Row],
) -> list[_Row]:
    """The rows whose ids the query `ids` (over an index alone) gives, newest first."""
    query = (
        f"SELECT * FROM {table} WHERE id IN (SELECT id FROM ({ids}) ORDER BY id DESC LIMIT ? OFFSET ?)"  # noqa: S608
        " ORDER BY id DESC"
    )
    with closing(connection.execute(query, [*values, limit, offset])) as rows:
        return [make(*row) for row in rows]


def _balance_ids(user_id: int, asset: str, business: str, first: int, last: int) -> tuple[str, list[object]]:
    """The query for the ids of a user's rows in one asset, and its values."""
    ids = "SELECT id FROM balance_history WHERE user_id = ? AND asset = ?"
    values: list[object] = [user_id, asset]
    if business == TRADE:
        # The index by business has the others only, few beside these.
        ids += f" AND id NOT IN ({ids} AND {_NOT_TRADE})"
        values += values
    elif business:
        ids += f" AND business = ? AND {_NOT_TRADE}"
        values.append(business)
    return f"{ids} AND id >= ? AND id < ?", [*values, first, last]


def _merged_ids(
    connection: sqlite3.Connection, queries: list[tuple[str, list[object]]], offset: int, limit: int
) -> list[int]:
    """One page of the ids that all these queries give, newest first; each id is of one query only.

    Each query is asked for as many as could be on the page, UNION_PARTS_MAX of them at a time.
    """
    end = min(offset + limit, INTEGER_MAX)
    newest: list[list[int]] = []
    for begin in range(0, len(queries), UNION_PARTS_MAX):
        some = queries[begin : begin + UNION_PARTS_MAX]
        parts = " UNION ALL ".join(
            f"SELECT id FROM ({ids} ORDER BY id DESC LIMIT ?)"  # noqa: S608
            for ids, _ in some
        )
        values = [value for _, given in some for value in (*given, end)]
        skipped = offset if len(some) == len(queries) else 0
        rows = connection.execute(
            f"{parts} ORDER BY id DESC LIMIT ? OFFSET ?", [*values, end - skipped, skipped]
        )
        newest.append([found for (found,) in rows])
    if len(newest) == 1:
        return newest[0]
    return list(itertools.islice(heapq.merge(*newest, reverse=True), offset, end))


def _assets_of(connection: sqlite3.Connection, user_id: int) -> list[str]:
    """The assets in which a user has rows. One index look-up for each."""
    assets: list[str] = []
    last = ""
    while True:
        (found,) = connection.execute(
            "SELECT min(asset) FROM balance_history WHERE user_id = ? AND asset > ?", (user_id, last)
        ).fetchone()
        if found is None:
            return assets
        assets.append(found)
        last = found


def _id_range(
    connection: sqlite3.Connection, table: str, time_column: str, start_us: int, end_us: int
) -> tuple[int, int]:
    """(first id, id after the last) of the rows from `start_us` until before `end_us`; 0 is no bound."""
    # Two questions: SQLite answers one of them from the end of the tree, both at once by a scan.
    lowest = connection.execute(f"SELECT min(id) FROM {table}").fetchone()[0]  # noqa: S608
    highest = connection.execute(f"SELECT max(id) FROM {table}").fetchone()[0]  # noqa: S608
    if highest is None:
        return 0, 0
    first = first_id_at(connection, table, time_column, start_us, lowest, highest) if start_us else lowest
    last = first_id_at(connection, table, time_column, end_us, first, highest) if end_us else highest + 1
    return first, last


def _id_after(connection: sqlite3.Connection, table: str, sequence: int) -> int:
    """The id of the first row after `sequence`, or the one that such a row would get."""
    query = "SELECT seq FROM sqlite_sequence WHERE name = ?"
    last = int(connection.execute(query, (table,)).fetchone()[0])
    lowest = connection.execute(f"SELECT min(id) FROM {table}").fetchone()[0]  # noqa: S608
    return (
        last + 1 if lowest is None else first_id_at(connection, table, "sequence", sequence + 1, lowest, last)
    )


def first_id_at(
    connection: sqlite3.Connection, table: str, column: str, value: int, low: int, high: int
) -> int:
    """The lowest id in low..high from which on `column`, which grows with the id, is `value` or more.

    high + 1 if it is less in all. Ids may be missing. O(log(high - low)) look-ups.
    """
    query = f"SELECT id, {column} FROM {table} WHERE id >= ? ORDER BY id LIMIT 1"  # noqa: S608
    high += 1
    while low < high:
        middle = (low + high) // 2
        row: Any = connection.execute(query, (middle,)).fetchone()
        if row is None or row[1] >= value:
            high = middle
        else:
            low = row[0] + 1
    return low
