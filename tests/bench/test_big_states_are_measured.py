"""A small population through the real engine: what the bench of states and starts says about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import restart, state
from bench.population import Population, grow
from bench.process import ServiceError


def test_starts_of_a_growing_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(restart.measure(tmp_path, (0, 300)))
    assert [row["orders"] for row in rows] == [0, 300]
    assert rows[1]["records"] >= 300 + 2 * rows[1]["users"] + rows[0]["records"]
    assert rows[0]["slice_bytes"] < rows[1]["slice_bytes"]
    assert all(row["is_good"] for row in rows)
    assert len({len(line) for line in (restart.HEADING, *map(restart.line, rows))}) == 1
    assert "300 of 300 orders rest" in capsys.readouterr().out
    assert not list(tmp_path.iterdir()), "what was measured is removed"


def test_a_slice_beside_a_running_engine(tmp_path: Path) -> None:
    with restart.engine_for(tmp_path) as engine:
        population = Population(users=10)
        grow(population, 50, (engine.host, engine.port), lambda text: None)
        small = state.make_slice(engine)
        grow(population, 250, (engine.host, engine.port), lambda text: None)
        large = state.make_slice(engine)
    assert 0 < small.slice_bytes < large.slice_bytes
    assert large.peak_bytes > 10_000_000


def test_what_the_engine_refuses_ends_the_growing(tmp_path: Path) -> None:
    with restart.engine_for(tmp_path) as engine, pytest.raises(ServiceError, match=r"refused: .*balance not"):
        nobody = Population(users=10, credited=10)
        grow(nobody, 5, (engine.host, engine.port), lambda text: None)
        raise AssertionError("orders without money rest")
