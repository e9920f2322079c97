"""Lines: those a child process writes into its pipes, and those we show on the terminal.

`LineReader` owns the reading end of one pipe. `show` and `complain` never fail: a terminal that is gone is no
reason to stop an exchange.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import IO, Final

LINE_BYTES_MAX: Final = 64 * 1024
"""What is longer is shown in pieces, so that a process that writes no line end costs no more memory."""

_READ_BYTES: Final = 64 * 1024
_STANDARD_OUTPUT: Final = 1
_STANDARD_ERROR: Final = 2


class LineReader:
    """Splits what comes out of a pipe into lines. `is_open` until all writers are gone or `close`."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._rest = b""
        self.is_open = True
        os.set_blocking(pipe.fileno(), False)

    def fileno(self) -> int:
        return self._pipe.fileno()

    def read(self) -> list[str]:
        """The lines that are there, without waiting; at the end of the pipe also one without its line end."""
        lines: list[bytes] = []
        while self.is_open:
            try:
                data = os.read(self._pipe.fileno(), _READ_BYTES)
            except BlockingIOError:
                break
            self.is_open = bool(data)
            *complete, self._rest = (self._rest + data).split(b"\n")
            lines += complete
            if self._rest and (not data or len(self._rest) > LINE_BYTES_MAX):
                lines.append(self._rest)
                self._rest = b""
        return [line.decode(errors="replace") for line in lines]

    def close(self) -> None:
        """Repeating does nothing."""
        self.is_open = False
        self._pipe.close()


def show(line: str) -> None:
    """One line for the person at the terminal."""
    _write(_STANDARD_OUTPUT, line)


def complain(line: str) -> None:
    """One line about something that is wrong."""
    _write(_STANDARD_ERROR, line)


def _write(descriptor: int, line: str) -> None:
    # Past sys.stdout, which would keep what a broken pipe refused and fail with it again at exit.
    with suppress(OSError):
        os.write(descriptor, f"{line}\n".encode(errors="replace"))
