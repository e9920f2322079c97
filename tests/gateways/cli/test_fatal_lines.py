"""The reason of a death is found at the end of the log, in either format, and only of the latest start."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from gateways.cli.fatal_lines import READ_BYTES_MAX, SENTENCES_MAX, fatal_sentences, log_size
from vxutils.log_line import LineFormat


def line(text: str, level: int, as_json: bool = False, with_pid: bool = True) -> bytes:
    record = logging.LogRecord("vx.test", level, __file__, 1, text, (), None, "some_function")
    return LineFormat(with_pid=with_pid, as_json=as_json).line(record)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("with_pid", [False, True])
def test_fatal_messages_are_found(tmp_path: Path, as_json: bool, with_pid: bool) -> None:
    path = tmp_path / "a.log"
    lines = [("before", 50), ("first: (x) [y]", 50), ("only a warning [fatal]", 30), ("two\n  lines", 50)]
    written = [line(text, level, as_json, with_pid) for text, level in lines]
    path.write_bytes(b"".join(written))
    assert fatal_sentences(path, len(written[0])) == ["first: (x) [y]", "two\n  lines"]


def test_a_rolled_log_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(line("why", logging.CRITICAL))
    assert fatal_sentences(path, 10_000) == ["why"]


def test_a_huge_log_costs_no_more_than_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(
        line("long ago", logging.CRITICAL) + b"x\n" * READ_BYTES_MAX + line("now", logging.CRITICAL)
    )
    assert fatal_sentences(path, 0) == ["now"]


def test_a_flood_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(
        b"".join(line(str(number), logging.CRITICAL) for number in range(100)) + b"\xff{\n{]\n[torn"
    )
    assert fatal_sentences(path, 0) == [str(number) for number in range(100 - SENTENCES_MAX, 100)]


def test_no_log_is_no_reason(tmp_path: Path) -> None:
    assert fatal_sentences(tmp_path / "none.log", 0) == []
    assert log_size(tmp_path / "none.log") == 0
