"""alerts.db: rows replaced, bounded, read beside the writer; a damaged file does not stop alerts."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateways.alertcenter.minute import Row
from gateways.alertcenter.store import (
    ALERTS_FILE,
    AlertStore,
    AlertsUnreadable,
    open_or_set_aside,
    read_alerts,
)


def row(number: int, last_us: int, count: int = 1) -> Row:
    return Row(number, last_us, last_us, count, "box", f"text {number}")


def test_rows_are_replaced_and_found(tmp_path: Path) -> None:
    path = tmp_path / ALERTS_FILE
    assert read_alerts(path, 0, 10) == []
    store = AlertStore(path)
    assert store.next_id() == 1
    store.save([row(1, 10), row(2, 20)], {"smtp": 15})
    store.save([row(2, 30, count=4), row(3, 25)], {"smtp": 16, "command": 1})
    assert [(one.id, one.count) for one in store.since(10, 10)] == [(3, 1), (2, 4)]
    assert [one.id for one in store.since(0, 2)] == [3, 2]
    assert store.told() == {"smtp": 16, "command": 1}
    assert store.next_id() == 4
    assert [one.id for one in read_alerts(path, 0, 10)] == [1, 3, 2]
    store.close()


def test_old_rows_go_by_age_and_number(tmp_path: Path) -> None:
    store = AlertStore(tmp_path / ALERTS_FILE)
    store.save([row(number, number) for number in range(1, 101)], {})
    assert store.prune(11, 1000) == 10
    assert store.prune(0, 50) == 40
    assert [one.id for one in store.since(0, 1000)] == list(range(51, 101))
    store.close()


def test_a_failed_batch_changes_nothing(tmp_path: Path) -> None:
    store = AlertStore(tmp_path / ALERTS_FILE)
    bad = Row(2, 1, 1, 1, "box", None)  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        store.save([row(1, 1), bad], {"smtp": 1})
    assert (store.since(0, 10), store.told()) == ([], {})
    store.save([row(1, 1)], {})
    store.close()


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / ALERTS_FILE
    path.write_bytes(b"anything but a database" * 100)
    with pytest.raises(AlertsUnreadable):
        read_alerts(path, 0, 10)
    store, notice = open_or_set_aside(path, 5_000_000)
    assert notice is not None and f"{ALERTS_FILE}.bad-5" in notice
    assert (tmp_path / f"{ALERTS_FILE}.bad-5").read_bytes().startswith(b"anything")
    store.save([row(1, 1)], {})
    store.close()
    again, notice = open_or_set_aside(path, 6_000_000)
    assert notice is None and again.next_id() == 2
    again.close()


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ALERTS_FILE
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(AlertsUnreadable, match="newer version"):
        open_or_set_aside(path, 0)
