"""A consistent copy of an SQLite file while others write to it.

    source --one read transaction, page by page--> target, a single file without a log beside it

The copy is what was committed when it began. In write-ahead mode the writer is not held up: its log only can
not be emptied until the copy is made. Which files are worth copying is the caller's.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from vxutils.store.embedded.history import HistoryUnavailable, check_kind, read_position
from vxutils.store.embedded.schema import HistoryPosition

PAGES_PER_STEP: Final = 512
BUSY_TIMEOUT_S: Final = 30.0
MODE_MAX: Final = 0o640  # a file that is more secret than that stays so


class CopyFailed(Exception):
    """There is no sound copy. The text names the file and what SQLite said."""


def copy_database(source: Path, target: Path, step: Callable[[], None]) -> None:
    """Copies `source` to the new file `target`, synced and checked through (`quick_check`).

    `step` is called after every few megabytes, to rest or to show progress. Raises: CopyFailed; then
    `target` is of no use.
    """
    try:
        target.touch(source.stat().st_mode & MODE_MAX, exist_ok=False)
        with (
            closing(sqlite3.connect(_uri(source, "mode=ro"), uri=True, timeout=BUSY_TIMEOUT_S)) as reading,
            closing(sqlite3.connect(target)) as writing,
        ):
            reading.isolation_level = None
            # A copy would begin again at each commit of the writer, if the transaction ended between steps.
            reading.execute("BEGIN")
            reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
            reading.backup(writing, pages=PAGES_PER_STEP, progress=lambda *_: step(), sleep=0.0)
            reading.execute("ROLLBACK")
            verdict = writing.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise CopyFailed(f"{source} is damaged: {verdict}")
        descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except (sqlite3.Error, OSError) as error:
        raise CopyFailed(f"{source} can not be copied to {target}: {error}") from error


def copied_position(path: Path) -> HistoryPosition:
    """How far the history in a file that nobody writes has come; leaves no file beside it.

    Raises: CopyFailed, also when it is no history.
    """
    try:
        with closing(sqlite3.connect(_uri(path, "immutable=1"), uri=True)) as connection:
            check_kind(connection, path)
            return read_position(connection)
    except (sqlite3.Error, OSError, HistoryUnavailable) as error:
        raise CopyFailed(f"{path} can not be read: {error}") from error


def reach(path: Path) -> tuple[HistoryPosition, tuple[int, int, int]]:
    """How far a history that was left behind has come, and its highest (order id, deal id, operation id).

    Orders that were never matched or finished are not in it. Raises: CopyFailed.
    """
    queries = (
        "SELECT max((SELECT coalesce(max(id), 0) FROM order_history),"
        " (SELECT coalesce(max(order_id), 0) FROM deal_history))",
        "SELECT coalesce((SELECT deal_id FROM deal_history ORDER BY id DESC LIMIT 1), 0)",
        "SELECT coalesce(max(id), 0) FROM operlog",
    )
    try:
        # With the log beside it, which may hold the latest rows.
        with closing(sqlite3.connect(_uri(path, "mode=ro"), uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
            check_kind(connection, path)
            order_id, deal_id, operation_id = (connection.execute(query).fetchone()[0] for query in queries)
            return read_position(connection), (order_id, deal_id, operation_id)
    except (sqlite3.Error, OSError, HistoryUnavailable) as error:
        raise CopyFailed(f"{path} can not be read: {error}") from error


def _uri(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?{mode}"
