"""The commit measurement writes, measures and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.commit import main, measure


def test_each_variant_has_figures_or_a_reason(tmp_path: Path) -> None:
    results = measure(tmp_path, rounds=5)
    assert [result["variant"] for result in results] == [
        "growing file, fdatasync",
        "preallocated and zeroed, fdatasync",
        "preallocated and zeroed, O_DIRECT|O_DSYNC",
    ]
    for result in results[:2]:
        assert result["rounds"] == 5
        assert 0 < float(result["p50_us"]) <= float(result["p99_us"])
    assert "p50_us" in results[2] or "unsupported" in results[2]
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_prints_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--rounds", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([json.loads(line) for line in lines]) == 3
