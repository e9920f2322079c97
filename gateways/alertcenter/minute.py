"""The alerts of the current minute as rows: equal lines are one row with a count, and nothing is left out.

    the first KINDS_MAX different lines      a row each
    after them, lines alike but for digits   a row each, for SHAPES_MAX of them
    everything else                          one row that counts

So a flood costs a bounded number of rows per minute, and every line is in one of them. Pure: time is passed
in, and who stores the rows says which ones are safe.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from gateways.alertcenter.lines import Alert

KINDS_MAX: Final = 200
SHAPES_MAX: Final = 200
MINUTE_US: Final = 60_000_000

UNSAFE_MAX: Final = 2_000
"""Rows that wait for the store; with more (it fails) no new minute is begun, the old one goes on counting."""

OTHERS: Final = Alert("", "further lines of this minute, too many to keep apart")

_DIGITS = re.compile(r"[0-9]+")


class Row(msgspec.Struct):
    """Equal lines of one minute. Times in whole microseconds."""

    id: int
    first_us: int
    last_us: int
    count: int
    host: str
    text: str


def shape(text: str) -> str:
    """The line without its numbers: what lines of one cause have in common."""
    return _DIGITS.sub("#", text)


class Minutes:
    """Counts lines into rows. `next_id`: the id of the first row."""

    def __init__(self, next_id: int) -> None:
        self._next_id = next_id
        self._minute = -1
        self._rows: dict[Alert, Row] = {}
        self._unsafe: dict[int, Row] = {}

    @property
    def unsafe(self) -> int:
        """Rows which the store does not have as they are."""
        return len(self._unsafe)

    def add(self, alert: Alert, time_us: int) -> bool:
        """Counts one line; whether it is a new row."""
        minute = time_us // MINUTE_US
        if minute != self._minute and len(self._unsafe) < UNSAFE_MAX:
            self._minute = minute
            self._rows.clear()
        key = self._key(alert)
        row = self._rows.get(key)
        is_new = row is None
        if row is None:
            row = Row(self._next_id, time_us, time_us, 0, *key)
            self._next_id += 1
            self._rows[key] = row
        row.count += 1
        row.last_us = max(row.last_us, time_us)
        self._unsafe[row.id] = row
        return is_new

    def take(self) -> list[Row]:
        """Copies of the rows to be stored; if that fails, `put_back`."""
        rows = [msgspec.structs.replace(row) for row in self._unsafe.values()]
        self._unsafe.clear()
        return rows

    def put_back(self, rows: list[Row]) -> None:
        """These were not stored. What has been counted since is in newer copies and stays."""
        self._unsafe = {row.id: row for row in rows} | self._unsafe

    def _key(self, alert: Alert) -> Alert:
        kinds = len(self._rows)
        if alert in self._rows or kinds < KINDS_MAX:
            return alert
        alike = Alert(alert.host, shape(alert.text))
        return alike if alike in self._rows or kinds < KINDS_MAX + SHAPES_MAX else OTHERS
