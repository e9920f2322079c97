"""docs/differences.md and the table of the tests name the same differences; each is used."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conformance import differences_http, differences_services, differences_websocket
from tests.conformance.differences import CLASSES, DIFFERENCES, UNRECORDED
from tests.conformance.replay import VECTORS, records

PAGE = Path(__file__).parents[2] / "docs" / "differences.md"
ROW = re.compile(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def rows() -> list[tuple[str, str, str, str]]:
    return [row for row in ROW.findall(PAGE.read_text()) if row[0] != "difference"]


def test_page_and_table_name_the_same_differences() -> None:
    named = [row[0] for row in rows()]
    assert len(named) == len(set(named)), "each once"
    tables = [CLASSES, differences_http.CLASSES, differences_services.CLASSES]
    tables += [differences_websocket.CLASSES]
    assert sorted(named) == sorted(name for table in tables for name in table)


def test_recorded_differences_show_every_class_that_is_not_unrecorded() -> None:
    assert {difference.kind for difference in DIFFERENCES.values()} == CLASSES - UNRECORDED


def test_every_difference_belongs_to_a_recorded_request() -> None:
    files = {file for file, _ in DIFFERENCES}
    assert all((VECTORS / f"{file}.jsonl").exists() for file in files)
    recorded = {(record.file, record.line) for file in files for record in records(file)}
    assert DIFFERENCES.keys() <= recorded
