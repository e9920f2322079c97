"""The line of protocol.md 10.2, byte for byte, and that no message can forge one."""

from __future__ import annotations

import json
import logging
import re
import sys
import time

import pytest

from vxutils.log_line import NOTICE, TRACE, USER1, USER2, VIP, LineFormat, describe

LEVEL_NAMES = [
    (VIP, "vip"),
    (logging.CRITICAL, "fatal"),
    (logging.ERROR, "error"),
    (logging.WARNING, "warn"),
    (logging.INFO, "info"),
    (NOTICE, "notice"),
    (logging.DEBUG, "debug"),
    (TRACE, "trace"),
    (USER1, "user1"),
    (USER2, "user2"),
    (logging.WARNING + 5, "warn"),
    (1, "user2"),
]

FORGERIES = [
    ("a\nb", "a\\nb"),
    ("a\r\nb", "a\\r\\nb"),
    ("tab\there", "tab\\there"),
    ("\x1b[31mred", "\\x1b[31mred"),
    ("nul\x00", "nul\\x00"),
    ("c1\x85line", "c1\\x85line"),
    ("separator\u2028line", "separator\\u2028line"),
    ("reversed\u202etxt", "reversed\\u202etxt"),
    ("Zürich €", "Zürich €"),
]


def record_of(text: object, *arguments: object, level: int = logging.ERROR) -> logging.LogRecord:
    record = logging.LogRecord("vx.test", level, "/somewhere/server.py", 88, text, arguments, None, "accept")
    record.created = 1_700_000_000.000123
    return record


def text_line(record: logging.LogRecord, with_pid: bool = True) -> str:
    return LineFormat(with_pid=with_pid, as_json=False).line(record).decode()


def test_a_line_has_time_pid_level_place_and_text() -> None:
    record = record_of("%s is %d", "answer", 42)
    local = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_700_000_000))
    assert (
        text_line(record)
        == f"[{local}.000123] [{record.process}] [error]server.py:88(accept): answer is 42\n"
    )


def test_the_pid_part_is_left_out_on_request() -> None:
    assert re.fullmatch(
        r"\[[-0-9 :.]{26}\] \[error\]server.py:88\(accept\): x\n", text_line(record_of("x"), False)
    )


@pytest.mark.parametrize(("number", "name"), LEVEL_NAMES)
def test_every_stdlib_number_has_a_level_name(number: int, name: str) -> None:
    assert describe(record_of("x", level=number)).startswith(f"[{name}]server.py:88(")


@pytest.mark.parametrize(("text", "written"), FORGERIES)
def test_control_characters_are_escaped(text: str, written: str) -> None:
    line = text_line(record_of("%s", text))
    assert line.endswith(f": {written}\n")
    assert len(line.splitlines()) == 1


def test_half_a_surrogate_pair_is_still_written() -> None:
    assert text_line(record_of("a\ud800b")).endswith("a\\ud800b\n")


def test_wrong_arguments_are_shown_not_raised() -> None:
    assert text_line(record_of("%d apples", "many")).endswith(": '%d apples' with arguments ('many',)\n")


def test_an_endless_message_is_cut() -> None:
    assert len(text_line(record_of("x" * 10_000_000))) < 10_000


def test_a_traceback_follows_behind_tabs() -> None:
    record = record_of("went wrong")
    try:
        raise ValueError("evil\n[2024-01-01 00:00:00.000000] [1] [info]a:1(b): forged")
    except ValueError:
        record.exc_info = sys.exc_info()
    first, *rest = text_line(record).rstrip("\n").split("\n")
    assert first.endswith("(accept): went wrong")
    assert len(rest) >= 3
    assert all(line.startswith("\t") for line in rest)


def test_json_lines_carry_the_same_facts() -> None:
    line = LineFormat(with_pid=True, as_json=True).line(record_of("a\nb \ud800 €"))
    assert line.isascii() and line.count(b"\n") == 1 and line.endswith(b"\n")
    fields = json.loads(line)
    assert re.fullmatch(r"[-0-9]{10}T[:0-9]{8}\.000123[+-]\d\d:\d\d", fields.pop("time"))
    assert isinstance(fields.pop("pid"), int)
    assert fields == {
        "level": "error",
        "logger": "vx.test",
        "file": "server.py",
        "line": 88,
        "function": "accept",
        "message": "a\nb \ud800 €",
    }
