"""Missing, damaged, replaced, of a later version: each is told apart."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.vxutils.store.histories import SYSTEM_ID, batch_of, make_history
from vxutils.store.embedded.history import HistoryReader, HistoryUnavailable
from vxutils.store.embedded.writer import HistoryDamaged, open_history


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_a_reader_waits_for_the_file_and_takes_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    reader = HistoryReader(path)
    with pytest.raises(HistoryUnavailable, match="not there yet"):
        reader.position()
    make_history(path, 5).close()
    assert reader.position().sequence == 5
    path.rename(tmp_path / "aside")
    make_history(path, 3).close()
    assert reader.position().sequence == 3
    assert len(reader.messages("deals", 0, 9)) == 3


def test_a_reader_sees_whole_batches_while_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    writer = make_history(path, 10)
    reader = HistoryReader(path)
    for after in range(10, 30):
        assert reader.position().sequence == after == reader.next_offset("deals")
        writer.append(batch_of(after, after + 1))


@pytest.mark.parametrize("offset", [0, 30, 8192 * 3, 8192 * 7 + 3])
def test_damage_is_found_at_the_start(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "history.db"
    make_history(path, 500).close()
    assert path.stat().st_size > 8192 * 8
    overwrite(path, offset, b"\xa5" * 600)
    with pytest.raises(HistoryDamaged, match="damaged"):
        open_history(path, SYSTEM_ID)


def test_a_file_that_is_cut_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    make_history(path, 500).close()
    with path.open("r+b") as file:
        file.truncate(8192 * 6)
    with pytest.raises(HistoryDamaged):
        open_history(path, SYSTEM_ID)


def test_an_empty_file_is_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.touch()
    assert open_history(path, SYSTEM_ID).position.sequence == 0


def test_what_is_no_history_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (a)")
    with pytest.raises(HistoryUnavailable, match="holds no history"):
        open_history(path, SYSTEM_ID)
    with pytest.raises(HistoryUnavailable, match="holds no history"):
        HistoryReader(path).position()


def test_a_later_version_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    make_history(path, 1).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 2")
    for attempt in (lambda: open_history(path, SYSTEM_ID), lambda: HistoryReader(path).position()):
        with pytest.raises(HistoryUnavailable, match="schema 2, this version knows up to 1"):
            attempt()
