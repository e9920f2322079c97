"""When batches go: soon when there are few rows, with pauses when there are many, longer ones for MySQL."""

from __future__ import annotations

import pytest

from matchengine.recorder.pace import (
    COMMIT_PAUSE_MAX_S,
    IDLE_FIRST_S,
    IDLE_MAX_S,
    MYSQL_LOOK_S,
    MYSQL_PAUSE_MAX_S,
    MYSQL_PAUSE_MIN_S,
    Pace,
)
from matchengine.recorder.sinks import Store


@pytest.mark.parametrize(
    ("store", "rows", "commit_s", "pause_s"),
    [
        ("embedded", 2, 0.005, 0.0001),
        ("embedded", 200, 0.005, 0.01),
        ("embedded", 30_000, 0.3, COMMIT_PAUSE_MAX_S),
        ("kafka", 200, 0.03, 0.06),
        ("mysql", 2, 0.03, MYSQL_PAUSE_MIN_S),
        ("mysql", 30_000, 0.3, 0.6),
        ("mysql", 60_000, 5.0, MYSQL_PAUSE_MAX_S),
    ],
)
def test_a_pause_follows_from_the_commit_before(
    store: Store, rows: int, commit_s: float, pause_s: float
) -> None:
    pace = Pace(store)
    pace.sent(rows, 100.0)
    pace.committed(100.0 + commit_s)
    assert pace.until_due(100.0) == pytest.approx(pause_s)
    assert pace.until_due(100.0 + pause_s) <= 1e-9


@pytest.mark.parametrize(("store", "longest_s"), [("kafka", IDLE_MAX_S), ("mysql", MYSQL_LOOK_S)])
def test_looks_become_rarer_until_something_comes(store: Store, longest_s: float) -> None:
    pace = Pace(store)
    pauses = [pace.idle(0.0) for _ in range(30)]
    assert pauses[0] == IDLE_FIRST_S and pauses == sorted(pauses) and pauses[-1] == longest_s
    assert pace.idle(longest_s / 4) == longest_s / 4, "a batch is due before that"
    pace.hurry()
    assert pace.idle(0.0) == IDLE_FIRST_S
