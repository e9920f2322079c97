"""A batch is committed whole, where it belongs, once; ids and offsets never tell of what failed."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vxutils.store.histories import SYSTEM_ID, batch_of, make_history
from vxutils.store.embedded.history import HistoryReader
from vxutils.store.embedded.schema import HistoryBase, HistoryBatch, HistoryPosition
from vxutils.store.embedded.writer import HistoryForeign, OutOfPlace, open_history

TABLES = ("operlog", "balance_history", "order_history", "deal_history", "messages", "topics", "position")


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with sqlite3.connect(path) as connection:
        return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}


def test_how_batches_are_cut_makes_no_difference(tmp_path: Path) -> None:
    one, many = tmp_path / "one", tmp_path / "many"
    writer = make_history(one)
    writer.append(batch_of(0, 40))
    writer.close()
    writer = make_history(many)
    for after in range(40):
        writer.append(batch_of(after, after + 1))
    writer.close()
    assert content(one) == content(many)
    assert len(content(one)["messages"]) == 60


@pytest.mark.parametrize("after", [0, 9, 11, 40])
def test_a_batch_that_begins_elsewhere_changes_nothing(tmp_path: Path, after: int) -> None:
    path = tmp_path / "history.db"
    writer = make_history(path, 10)
    before = content(path)
    with pytest.raises(OutOfPlace):
        writer.append(batch_of(after, after + 5))
    assert content(path) == before
    writer.append(batch_of(10, 12))
    writer.close()
    assert [row[1] for row in content(path)["messages"] if row[0] == "deals"] == list(range(12))


def test_a_failing_batch_leaves_nothing(tmp_path: Path) -> None:
    """Its last row can not be inserted: ids, offsets and position are as before."""
    path = tmp_path / "history.db"
    writer = make_history(path, 10)
    before = content(path)
    bad = batch_of(10, 15)
    bad.messages.append(("deals", 15, 2, None))  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        writer.append(bad)
    assert content(path) == before
    assert writer.position.sequence == 10
    writer.append(batch_of(10, 15))
    writer.close()
    whole = tmp_path / "whole.db"
    make_history(whole, 15).close()
    assert content(path) == content(whole)


def test_a_killed_writer_leaves_whole_batches(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    script = (
        "import os, sys; from pathlib import Path; from tests.vxutils.store.histories import *\n"
        "writer = make_history(Path(sys.argv[1]), 100)\n"
        "writer._begin(); writer._connection.execute('DELETE FROM messages'); os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script, str(path)], cwd=root, check=False)
    assert done.returncode == -9
    writer = make_history(path, 120)
    writer.close()
    whole = tmp_path / "whole.db"
    make_history(whole, 120).close()
    assert content(path) == content(whole)


def test_a_position_alone_moves_on(tmp_path: Path) -> None:
    """Not every record leaves rows."""
    path = tmp_path / "history.db"
    writer = make_history(path, 3)
    writer.append(HistoryBatch(3, HistoryPosition(7, 2, 5, b"12345678")))
    writer.close()
    assert HistoryReader(path).position() == HistoryPosition(7, 2, 5, b"12345678")


def test_another_systems_history_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    make_history(path, 3).close()
    with pytest.raises(HistoryForeign, match="belongs to system"):
        open_history(path, bytes(16))
    assert open_history(path, SYSTEM_ID).position.sequence == 3


def test_a_history_may_begin_later(tmp_path: Path) -> None:
    """Made again from a base, ids and offsets are those that the first one had."""
    first, again = tmp_path / "first.db", tmp_path / "again.db"
    make_history(first, 60).close()
    for sequence in (1, 20, 59):
        base = HistoryReader(first).base_at(sequence)
        again.unlink(missing_ok=True)
        make_history(again, 60, base).close()
        found, expected = content(again), content(first)
        for table, rows in expected.items():
            if table not in ("topics", "position"):
                number = 2 if table == "messages" else 1
                rows = [row for row in rows if row[number] > sequence]  # type: ignore[operator]
            assert found[table] == rows, (sequence, table)
    assert HistoryReader(first).base_at(0) == HistoryBase(offsets={"orders": 0, "deals": 0, "balances": 0})


def test_files_are_not_for_everybody(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        make_history(tmp_path / "history.db", 1)
    finally:
        os.umask(previous)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o640}, modes
