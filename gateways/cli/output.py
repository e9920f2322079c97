"""Lines: those a child process writes into its pipes, and those we show on the terminal.

`LineReader` owns the reading end of one pipe. `show` never fails: a terminal that is gone is no reason to
stop an exchange.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import IO, Final

LINE_BYTES_MAX: Final = 64 * 1024
"""What is longer is shown in pieces, so that a process that writes no line end costs no more memory."""

_READ_BYTES: Final = 64 * 1024


class LineReader:
    """Splits what comes out of a pipe into lines. `is_open` until the writers are gone or `close`."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._rest = b""
        self.is_open = True
        os.set_blocking(pipe.fileno(), False)

    def fileno(self) -> int:
        return self._pipe.fileno()

    def read(self) -> list[str]:
        """The lines that are complete by now; at the end of the pipe also one without its line end."""
        try:
            data = os.read(self._pipe.fileno(), _READ_BYTES)
        except BlockingIOError:
            return []
        if not data:
            self.is_open = False
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._rest and (not self.is_open or len(self._rest) > LINE_BYTES_MAX):
            lines.append(self._rest)
            self._rest = b""
        return [line.decode(errors="replace") for line in lines]

    def read_all(self) -> list[str]:
        """The lines that are there, without waiting for more."""
        lines: list[str] = []
        while self.is_open and (some := self.read()):
            lines += some
        return lines

    def close(self) -> None:
        """Repeating does nothing."""
        self.is_open = False
        self._pipe.close()


def show(line: str) -> None:
    """One line for the person at the terminal."""
    _write(line, sys.stdout)


def complain(line: str) -> None:
    """One line about something that is wrong."""
    _write(line, sys.stderr)


def _write(line: str, stream: IO[str]) -> None:
    with suppress(OSError, ValueError):
        print(line, file=stream, flush=True)
