"""A second of trades through the whole back-end: every row is found, and one that is missing is noticed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bench import sustained
from bench.backend import LagSample


def test_every_row_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.sustained.SAMPLE_S", 0.1)
    monkeypatch.setattr("bench.sustained.WARM_UP_S", 0.2)
    result = sustained.measure_in(tmp_path, 100, 0.5)
    assert result["is_good"], result
    assert result["engine"]["deals last ID"] > 50
    assert {"engine", "recorder", "writer", "marketprice", "readhistory"} <= result["memory_bytes"].keys()
    assert "every row is there" in "\n".join(sustained.lines(result))

    path = tmp_path / "data" / "history.db"
    for table in ("operlog", "deal_history", "order_history", "messages"):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            (row,) = connection.execute(f"SELECT * FROM {table} LIMIT 1 OFFSET 3").fetchall()
            names = [column[1] for column in connection.execute(f"PRAGMA table_info({table})")]
            where = " AND ".join(f"{name} = ?" for name in names)
            connection.execute(f"DELETE FROM {table} WHERE {where}", row)
            assert sustained.wrong_rows(path, result["engine"]), table
            marks = ",".join("?" * len(row))
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", row)
        assert not sustained.wrong_rows(path, result["engine"]), table


@pytest.mark.parametrize(
    ("lag_at", "keeps_up"),
    [
        (lambda at_s: 500, True),
        (lambda at_s: 20_000 - 500 * at_s, True),
        (lambda at_s: 2_000 * (at_s % 5), True),  # comes and goes
        (lambda at_s: 10 * at_s, True),  # 0.1 % of what is written
        (lambda at_s: 500 * at_s, False),
        (lambda at_s: max(0, 1_000 * (at_s - 20)), False),  # from the middle on
    ],
)
def test_a_lag_that_grows_is_told_from_one_that_does_not(
    lag_at: Callable[[float], float], keeps_up: bool
) -> None:
    samples = [LagSample(at_s, round(lag_at(at_s)), 0.0) for at_s in range(40)]
    assert sustained.lag_facts(samples, 10_000)["keeps_up"] is keeps_up
