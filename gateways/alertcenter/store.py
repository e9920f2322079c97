"""`alerts.db`: the alerts, and how far each outlet has told. SQLite, written by the alert centre alone.

    alert(id, first_us, last_us, count, host, text)     one row per kind of line and minute, see `minute`
    outlet(name, told_us)                               what is newer has yet to be told

Writing a row again replaces it, so a batch that failed is simply written again. Old rows go by age and
number.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from gateways.alertcenter.minute import Row

ALERTS_FILE: Final = "alerts.db"
SCHEMA_VERSION: Final = 1
BUSY_TIMEOUT_S: Final = 5.0

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS alert (id INTEGER PRIMARY KEY, first_us INTEGER NOT NULL, "
    "last_us INTEGER NOT NULL, count INTEGER NOT NULL, host TEXT NOT NULL, text TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS alert_last ON alert (last_us)",
    "CREATE TABLE IF NOT EXISTS outlet (name TEXT PRIMARY KEY, told_us INTEGER NOT NULL)",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
_COLUMNS: Final = "id, first_us, last_us, count, host, text"


class AlertsUnreadable(Exception):
    """The file can not be used; the text says why."""


class AlertStore:
    """The open file. For one thread."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it. Raises: sqlite3.Error; AlertsUnreadable for a later version."""
        self._connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise AlertsUnreadable(f"{path} was written by a newer version")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            if self._connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("the quick check failed")
            for statement in _TABLES:
                self._connection.execute(statement)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def next_id(self) -> int:
        """Above all ids that are there."""
        found = self._connection.execute("SELECT max(id) FROM alert").fetchone()[0]
        return 1 if found is None else int(found) + 1

    def told(self) -> dict[str, int]:
        """How far each outlet has told, in microseconds."""
        return dict(self._connection.execute("SELECT name, told_us FROM outlet").fetchall())

    def save(self, rows: Sequence[Row], told: Mapping[str, int]) -> None:
        """Writes all of it or nothing. Raises: sqlite3.Error."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(
                "INSERT OR REPLACE INTO alert VALUES (?,?,?,?,?,?)",
                [(row.id, row.first_us, row.last_us, row.count, row.host, row.text) for row in rows],
            )
            self._connection.executemany("INSERT OR REPLACE INTO outlet VALUES (?,?)", list(told.items()))
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def prune(self, before_us: int, rows_max: int) -> int:
        """Removes rows older than `before_us` and all but the newest `rows_max`; how many."""
        removed = self._connection.execute("DELETE FROM alert WHERE last_us < ?", [before_us]).rowcount
        removed += self._connection.execute(
            "DELETE FROM alert WHERE id <= (SELECT id FROM alert ORDER BY id DESC LIMIT 1 OFFSET ?)",
            [rows_max],
        ).rowcount
        return removed

    def since(self, time_us: int, rows_max: int) -> list[Row]:
        """The newest `rows_max` rows with lines after `time_us`, oldest first."""
        return list(_newest(self._connection, time_us, rows_max))


def read_alerts(path: Path, since_us: int, rows_max: int) -> list[Row]:
    """As `AlertStore.since`, read-only, beside a running alert centre. Raises: AlertsUnreadable."""
    if not path.exists():
        return []
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
            return list(_newest(connection, since_us, rows_max))
    except sqlite3.Error as error:
        raise AlertsUnreadable(f"{path} can not be read: {error}") from error


def open_or_set_aside(path: Path, time_us: int) -> tuple[AlertStore, str | None]:
    """The store; a damaged file is renamed and a new one made: alerts must go on. What happened, in words.

    Raises: AlertsUnreadable; sqlite3.Error when not even a new file can be made.
    """
    try:
        return AlertStore(path), None
    except sqlite3.OperationalError:
        raise  # no permission, no space: another file would not do better
    except sqlite3.DatabaseError as error:
        aside = path.with_name(f"{path.name}.bad-{time_us // 1_000_000}")
        for ending in ("", "-wal", "-shm"):
            part = path.with_name(path.name + ending)
            if part.exists():
                part.rename(aside.with_name(aside.name + ending))
        return AlertStore(path), f"{path} is damaged ({error}): set aside as {aside}, a new one was begun"


def _newest(connection: sqlite3.Connection, time_us: int, rows_max: int) -> Iterator[Row]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM alert WHERE last_us > ? ORDER BY last_us DESC, id DESC LIMIT ?",  # noqa: S608
        [time_us, rows_max],
    ).fetchall()
    return (Row(*row) for row in reversed(rows))
