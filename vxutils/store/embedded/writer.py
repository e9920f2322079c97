"""The one writer of `history.db`: batches of rows and messages, each with the position it leads to.

    batch --> BEGIN, position must be where the batch begins, rows, messages, new position, COMMIT

A batch that begins anywhere else changes nothing, so whoever sends after a crash can not write a row twice
or skip one. Each commit is synced (`synchronous = FULL`): a position that was read counts.
With batches of thousands of rows that costs nothing that can be measured, and one rule fewer.

The caller holds the only right to write; nothing here retries.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from vxutils.store.embedded.history import check_kind, first_id_at, read_position
from vxutils.store.embedded.schema import (
    APPLICATION_ID,
    HISTORY,
    SCHEMA_VERSION,
    TABLES,
    TOPICS,
    Content,
    HistoryBase,
    HistoryBatch,
    HistoryPosition,
    NumberedMessage,
)

PAGE_BYTES: Final = 8192
CACHE_KIB: Final = 128 * 1024  # the pages of the indexes that are being written
CHECKPOINT_PAGES: Final = 8_000  # of the write-ahead log: hot pages are copied once, not at each commit
LOG_BYTES_MAX: Final = 256 << 20  # what the log keeps of the disk after it was larger
BUSY_TIMEOUT_S: Final = 30.0
PRUNE_ROWS_MAX: Final = 5_000
FILE_MODE: Final = 0o640

_SEQUENCES: Final = {"balance_history": "balance_id", "deal_history": "deal_id"}
_INSERTS: Final = {
    "operlog": "INSERT INTO operlog VALUES (?,?,?,?)",
    "balances": "INSERT INTO balance_history VALUES (NULL,?,?,?,?,?,?,?,?)",
    "orders": "INSERT INTO order_history VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    "deals": "INSERT INTO deal_history VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
}
_INSERT_MESSAGE: Final = "INSERT INTO messages VALUES (?,?,?,?,?)"


class HistoryDamaged(Exception):
    """The file is no sound database any more. The text says what SQLite found."""


class HistoryForeign(Exception):
    """The file belongs to another system, or lacks what it should go on with."""


class OutOfPlace(Exception):
    """A batch does not begin where the history ends. Nothing was changed."""


class HistoryWriter:
    """The open file. For one process and thread; `position` is what is committed and synced, `offsets` those
    of the next messages by topic."""

    def __init__(self, connection: sqlite3.Connection, path: Path, base: HistoryBase) -> None:
        self.path = path
        self.base = base
        self.position = read_position(connection)
        self._connection = connection
        rows = connection.execute("SELECT name, next_offset FROM topics")
        self.offsets: dict[str, int] = dict.fromkeys(TOPICS, 0) | dict(rows.fetchall())

    def append(self, batch: HistoryBatch) -> list[NumberedMessage]:
        """Commits one batch, synced; its messages as they are in the table.

        Raises: OutOfPlace; sqlite3.OperationalError when the disk is full, failed, or somebody holds the
        file: nothing was changed, it may be tried again. HistoryDamaged.
        """
        if batch.after_sequence != self.position.sequence:
            raise OutOfPlace(
                f"a batch after sequence {batch.after_sequence} for a history at {self.position.sequence}"
            )
        offsets = dict(self.offsets)
        messages: list[NumberedMessage] = []
        for topic, sequence, number, payload in batch.messages:
            offset = offsets[topic]
            offsets[topic] = offset + 1
            messages.append((topic, offset, sequence, number, payload))
        connection = self._connection
        self._begin()
        try:
            for name, insert in _INSERTS.items():
                rows = getattr(batch, name)
                if rows:
                    connection.executemany(insert, rows)
            if messages:
                connection.executemany(_INSERT_MESSAGE, messages)
            self._write_position(batch.position, offsets)
            connection.execute("COMMIT")
        except BaseException as error:
            self._abandon(error)
            raise
        self.offsets = offsets
        self.position = batch.position
        return messages

    def copy_consumers(self, consumers: Mapping[str, Mapping[str, int]]) -> None:
        """Makes the table `consumers` say this: name -> topic -> next offset. Raises: as `append`."""
        rows = [
            (name, topic, offset) for name, topics in consumers.items() for topic, offset in topics.items()
        ]
        connection = self._connection
        known = connection.execute("SELECT name, topic, offset FROM consumers").fetchall()
        if sorted(rows) == sorted(known):
            return
        self._begin()
        try:
            connection.execute("DELETE FROM consumers")
            connection.executemany("INSERT INTO consumers VALUES (?,?,?)", rows)
            connection.execute("COMMIT")
        except BaseException as error:
            self._abandon(error)
            raise

    def prune_messages(self, older_than_us: int) -> int:
        """Removes at most PRUNE_ROWS_MAX messages that are older than this and that every consumer has taken.

        Returns how many went. A topic that nobody consumes is pruned by age alone. Raises: as `append`.
        """
        connection = self._connection
        before = self._sequence_at(older_than_us)
        removed = 0
        for topic in TOPICS:
            (taken,) = connection.execute(
                "SELECT min(offset) FROM consumers WHERE topic = ?", (topic,)
            ).fetchone()
            first = connection.execute(
                "SELECT min(offset) FROM messages WHERE topic = ?", (topic,)
            ).fetchone()[0]
            if first is None:
                continue
            end = min(taken if taken is not None else 1 << 62, first + PRUNE_ROWS_MAX - removed)
            row = connection.execute(
                "SELECT min(offset) FROM messages"
                " WHERE topic = ? AND offset >= ? AND offset < ? AND sequence >= ?",
                (topic, first, end, before),
            ).fetchone()
            end = end if row[0] is None else row[0]
            if end <= first:
                continue
            self._begin()
            try:
                removed += connection.execute(
                    "DELETE FROM messages WHERE topic = ? AND offset < ?", (topic, end)
                ).rowcount
                connection.execute("COMMIT")
            except BaseException as error:
                self._abandon(error)
                raise
        return removed

    def close(self) -> None:
        """Closes the file; what is in the write-ahead log is moved into it when nobody else reads."""
        self._connection.close()

    def _sequence_at(self, time_us: int) -> int:
        """The sequence of the first operation that is not older; one past the last if all are older."""
        connection = self._connection
        low = connection.execute("SELECT min(id) FROM operlog").fetchone()[0]
        high = connection.execute("SELECT max(id) FROM operlog").fetchone()[0]
        if low is None:
            return 0
        found = first_id_at(connection, "operlog", "time_us", time_us, low, high)
        if found > high:
            return self.position.sequence + 1
        query = "SELECT sequence FROM operlog WHERE id >= ? ORDER BY id LIMIT 1"
        (sequence,) = connection.execute(query, (found,)).fetchone()
        return int(sequence)

    def _write_position(self, position: HistoryPosition, offsets: dict[str, int]) -> None:
        connection = self._connection
        written = connection.execute(
            "UPDATE position SET sequence = ?, epoch = ?, time_us = ?, digest = ?"
            " WHERE name = ? AND sequence = ?",
            (*msgspec.structs.astuple(position), HISTORY, self.position.sequence),
        )
        if written.rowcount != 1:
            raise OutOfPlace(f"somebody else writes to {self.path}")
        connection.executemany(
            "UPDATE topics SET next_offset = ? WHERE name = ?",
            [(offset, name) for name, offset in offsets.items() if offset != self.offsets[name]],
        )

    def _begin(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise_if_damaged(self.path, error)
            raise

    def _abandon(self, error: BaseException) -> None:
        with suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise_if_damaged(self.path, error)


def raise_if_damaged(path: Path, error: sqlite3.Error) -> None:
    """Raises HistoryDamaged when this error of SQLite says so."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        raise HistoryDamaged(f"{path} is damaged: {error}") from error


def open_history(
    path: Path,
    system_id: bytes,
    base: HistoryBase | None = None,
    check_bytes_max: int = 1 << 62,
    content: Content = "all",
) -> HistoryWriter:
    """Opens the file, or makes it: then it begins at `base`. It is given `content` from now on; a file that
    was once given less is refused, because it has a gap.

    A file of at most `check_bytes_max` bytes is checked through (`quick_check`, some 1 s per GB in memory).

    Raises: HistoryDamaged, HistoryForeign; HistoryUnavailable when it is of a later version or something
    else; sqlite3.OperationalError (disk); OSError.
    """
    is_new = not path.exists() or path.stat().st_size == 0
    path.touch(FILE_MODE)  # SQLite gives the files beside it the same mode
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES_MAX}")
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0 and not _tables(connection):
            _create(connection, system_id, base or HistoryBase(), content)
        elif not is_new:
            _check(connection, path, check_bytes_max)
        check_kind(connection, path)
        about = dict(connection.execute("SELECT name, value FROM about").fetchall())
        if about.get("system_id") != system_id:
            owner = about.get("system_id", b"").hex()
            raise HistoryForeign(
                f"{path} belongs to system {owner}, this data directory is system {system_id.hex()}: move "
                "the file to where it came from"
            )
        _note_content(connection, path, about.get("content", "all"), content)
        begun = msgspec.json.decode(about["base"], type=HistoryBase)
        return HistoryWriter(connection, path, begun)
    except sqlite3.Error as error:
        connection.close()
        raise_if_damaged(path, error)
        if not is_new and getattr(error, "sqlite_errorname", "") == "SQLITE_ERROR":
            # These statements are never wrong themselves: its header, or its list of tables is.
            raise HistoryDamaged(f"{path} is damaged: {error}") from error
        raise
    except BaseException:
        connection.close()
        raise


def _note_content(connection: sqlite3.Connection, path: Path, given: str, content: Content) -> None:
    if given == content:
        return
    if given != "all":
        raise HistoryForeign(
            f"{path} was given {given} only and can not go on with {content}: move it away, it is made again "
            "from the journal"
        )
    connection.execute("INSERT OR REPLACE INTO about VALUES ('content', ?)", (content,))


def _tables(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return count


def _check(connection: sqlite3.Connection, path: Path, check_bytes_max: int) -> None:
    if path.stat().st_size > check_bytes_max:
        return
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise HistoryDamaged(f"{path} is damaged: {found}")


def _create(connection: sqlite3.Connection, system_id: bytes, base: HistoryBase, content: Content) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in TABLES.split(";"):
        if statement.strip():
            connection.execute(statement)
    about = [("system_id", system_id), ("base", msgspec.json.encode(base)), ("content", content)]
    connection.executemany("INSERT INTO about VALUES (?,?)", about)
    start = HistoryPosition(sequence=base.sequence)
    connection.execute("INSERT INTO position VALUES (?,?,?,?,?)", (HISTORY, *msgspec.structs.astuple(start)))
    connection.executemany(
        "INSERT INTO topics VALUES (?,?)", [(topic, base.offsets.get(topic, 0)) for topic in TOPICS]
    )
    for table, name in _SEQUENCES.items():
        connection.execute("INSERT INTO sqlite_sequence VALUES (?,?)", (table, getattr(base, name) - 1))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")
