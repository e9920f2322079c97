"""What a line of the log looks like: levels, and records turned into text or JSON. Pure: no file, no handler.

    [2024-05-01 12:00:00.123456] [4711] [error]server.py:88(accept): text
    \tTraceback ...                        each line of a traceback, behind a tab

A message can not forge a line: control characters are escaped, and no record begins with a tab.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from typing import Final, Literal, NamedTuple

__all__ = ["NOTICE", "TRACE", "USER1", "USER2", "VIP", "LevelMask", "LevelName", "LineFormat", "describe"]

LevelName = Literal["fatal", "error", "warn", "info", "notice", "debug", "trace", "user1", "user2"]

NOTICE: Final = 15
TRACE: Final = 5
USER1: Final = 4
USER2: Final = 3
VIP: Final = 60
"""Numbers for `logger.log` of the levels that stdlib logging lacks. VIP lines are always written."""


class _Level(NamedTuple):
    name: str
    bit: int
    number: int


_LEVELS: Final = (
    _Level("vip", 0, VIP),
    _Level("fatal", 0x1, logging.CRITICAL),
    _Level("error", 0x2, logging.ERROR),
    _Level("warn", 0x4, logging.WARNING),
    _Level("info", 0x8, logging.INFO),
    _Level("notice", 0x10, NOTICE),
    _Level("debug", 0x20, logging.DEBUG),
    _Level("trace", 0x40, TRACE),
    _Level("user1", 0x80, USER1),
    _Level("user2", 0x100, USER2),
)
"""Source: protocol.md 10.2. Most urgent first."""

_SWITCHABLE_BITS: Final = range(8)
"""What TTIN and TTOU touch: all but user2. Source: protocol.md 10.6."""

MESSAGE_CHARACTERS_MAX: Final = 8192
TRACEBACK_CHARACTERS_MAX: Final = 16384

_ESCAPES: Final = (
    {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
    | {
        code: f"\\u{code:04x}"
        for code in (0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
    }
    | {ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"}
)
"""Control characters, line separators, and marks that reverse text on a terminal."""


class LevelMask:
    """The set of levels written, changed at run time by TTIN (`up`) and TTOU (`down`)."""

    def __init__(self, flag: tuple[LevelName, ...]) -> None:
        self.bits = sum(level.bit for level in _LEVELS if level.name in flag)

    def up(self) -> None:
        """Switches on the most urgent level that is off."""
        for bit in _SWITCHABLE_BITS:
            if not self.bits >> bit & 1:
                self.bits |= 1 << bit
                return

    def down(self) -> None:
        """Switches off the least urgent level that is on."""
        for bit in reversed(_SWITCHABLE_BITS):
            if self.bits >> bit & 1:
                self.bits &= ~(1 << bit)
                return

    def passes(self, number: int) -> bool:
        """Whether a record of this stdlib level number is written."""
        return number >= VIP or bool(self.bits & _level_of(number).bit)

    @property
    def lowest_number(self) -> int:
        """The stdlib level below which nothing passes. Never above fatal: alerts need those in any case."""
        return min((level.number for level in _LEVELS if self.bits & level.bit), default=logging.CRITICAL)


class LineFormat:
    """Turns records into lines of bytes, newline included; text, or JSON (ASCII only) with `as_json`.

    Owned by one handler (it remembers the text of the current second). Source: protocol.md 10.2.
    """

    def __init__(self, *, with_pid: bool, as_json: bool) -> None:
        self.line = self._json_line if as_json else self._text_line
        self._with_pid = with_pid
        self._second = -1
        self._second_text = ""

    def _text_line(self, record: logging.LogRecord) -> bytes:
        pid = f"[{record.process}] " if self._with_pid else ""
        text = f"[{self._local_time(record.created)}] {pid}{describe(record)}\n"
        for line in _traceback_of(record).splitlines():
            text += f"\t{_escape(line)}\n"  # no record begins with a tab, so this forges none
        return text.encode("utf-8", "backslashreplace")

    def _json_line(self, record: logging.LogRecord) -> bytes:
        zone = time.strftime("%z", time.localtime(record.created))
        fields: dict[str, object] = {
            "time": f"{self._local_time(record.created).replace(' ', 'T')}{zone[:3]}:{zone[3:]}",
            "level": _level_of(record.levelno).name,
            "logger": record.name,
            "file": record.filename,
            "line": record.lineno,
            "function": record.funcName,
            "message": _message_of(record),
        }
        if self._with_pid:
            fields["pid"] = record.process
        if trace := _traceback_of(record):
            fields["traceback"] = trace
        return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"

    def _local_time(self, time_s: float) -> str:
        second, microsecond = divmod(int(time_s * 1_000_000), 1_000_000)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return f"{self._second_text}.{microsecond:06d}"


def describe(record: logging.LogRecord) -> str:
    """`[level]file:line(function): text` without time and newline: what an alert carries too.

    Source: protocol.md 10.1, 10.2.
    """
    where = f"{record.filename}:{record.lineno}({record.funcName})"
    return f"[{_level_of(record.levelno).name}]{where}: {_escape(_message_of(record))}"


def _level_of(number: int) -> _Level:
    for level in _LEVELS:
        if number >= level.number:
            return level
    return _LEVELS[-1]


def _message_of(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception:  # wrong arguments for the format: say what there is
        text = f"{record.msg!r} with arguments {record.args!r}"
    return text if len(text) <= MESSAGE_CHARACTERS_MAX else text[:MESSAGE_CHARACTERS_MAX] + "..."


def _traceback_of(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    return "".join(traceback.format_exception(*record.exc_info))[-TRACEBACK_CHARACTERS_MAX:]


def _escape(text: str) -> str:
    return text if text.isprintable() else text.translate(_ESCAPES)
