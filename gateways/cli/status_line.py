"""One line that says how it goes: rewritten in place on a terminal, a new line now and then elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from types import TracebackType
from typing import Final

from gateways.cli.output import show

TERMINAL_PERIOD_S: Final = 0.5
FILE_PERIOD_S: Final = 10.0

_CLEAR: Final = "\r\x1b[K"


class StatusLine:
    """A context manager; the line is gone at the end. `period_s`: how often it should be shown."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self.period_s = TERMINAL_PERIOD_S if self._is_terminal else FILE_PERIOD_S

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._is_terminal:
            _write(_CLEAR)

    def show(self, text: str) -> None:
        if self._is_terminal:
            _write(_CLEAR + text[: max(0, shutil.get_terminal_size().columns - 1)])
        else:
            show(text)


def _write(text: str) -> None:
    with suppress(OSError):  # a terminal that is gone is no reason to leave orders open
        os.write(sys.stdout.fileno(), text.encode(errors="replace"))
