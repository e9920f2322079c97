"""Answers to bytes, in two styles.

    HTTP/1.1 200 OK | Date: ... | Content-Length: n | extra headers | Connection: ... | (blank) | body

Plain style is RFC 9110. C style writes the month in full and no Connection header, as the C system does.
Knows no connection; owns the text of the current second. Source: protocol 8.3.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from vxnet.clock import Clock

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

NO_CONTENT_STATUSES: Final = frozenset((204, 304))

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


class ResponseEncoder:
    """One per server."""

    __slots__ = ("_clock", "_is_c_style", "_second", "_starts")

    def __init__(self, clock: Clock, *, c_style: bool) -> None:
        self._clock = clock
        self._is_c_style = c_style
        self._second = -1
        self._starts: dict[int, bytes] = {}

    def encode(
        self,
        status: int,
        body: bytes,
        headers: Sequence[tuple[str, str]],
        *,
        connection: str = "",
        with_body: bool = True,
    ) -> bytes:
        """One whole answer. `connection` is the value of that header in plain style, empty for none.

        Without body (HEAD) its length is told all the same.
        """
        second = self._clock.wall_us() // 1_000_000
        if second != self._second:
            self._second = second
            self._starts.clear()
        start = self._starts.get(status)
        if start is None:
            start = self._starts[status] = self._start(status)
        if status in NO_CONTENT_STATUSES:
            assert not body, "an answer of this status has no body"
        else:
            start = b"%bContent-Length: %d\r\n" % (start, len(body))
        if headers:
            start += b"".join([_header_line(name, value) for name, value in headers])
        if connection and not self._is_c_style:
            start += _header_line("Connection", connection)
        return b"%b\r\n%b" % (start, body) if with_body else start + b"\r\n"

    def _start(self, status: int) -> bytes:
        assert 200 <= status <= 599, "a final status"
        date = http_date(self._second, c_style=self._is_c_style)
        return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nDate: {date}\r\n".encode("ascii")


def http_date(seconds: int, *, c_style: bool) -> str:
    """Seconds since 1970 as `Sun, 22 Nov 2026 09:45:31 GMT`; C style has the full name of the month.

    Source: RFC 9110 5.6.7; protocol 8.3.
    """
    at = time.gmtime(seconds)
    month = _MONTHS[at.tm_mon - 1]
    return (
        f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {month if c_style else month[:3]} {at.tm_year} "
        f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT"
    )


def _header_line(name: str, value: str) -> bytes:
    line = f"{name}: {value}"
    assert "\r" not in line and "\n" not in line, "a header is one line"
    return line.encode("latin-1") + b"\r\n"
