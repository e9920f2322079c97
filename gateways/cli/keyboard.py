"""Single keys of a terminal, without Enter and without echo; the terminal is given back as it was."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final

_READ_BYTES: Final = 64
_LOCAL_FLAGS: Final = 3
_CONTROL_CHARACTERS: Final = 6
_NO_CHARACTER: Final = b"\0"


class Keyboard:
    """A context manager within a running loop: `press` gets each key as it comes, nothing without a terminal.

    Ctrl-C stays a signal; Ctrl-Z does nothing meanwhile, because the screen would be left as it is.
    """

    def __init__(self, press: Callable[[str], None]) -> None:
        self._press = press
        self._before: list[int | list[bytes | int]] | None = None

    def __enter__(self) -> Keyboard:
        if sys.stdin is not None and sys.stdin.isatty():
            descriptor = sys.stdin.fileno()
            self._before = termios.tcgetattr(descriptor)
            changed = termios.tcgetattr(descriptor)
            flags, characters = changed[_LOCAL_FLAGS], changed[_CONTROL_CHARACTERS]
            assert isinstance(flags, int) and isinstance(characters, list)
            changed[_LOCAL_FLAGS] = flags & ~(termios.ICANON | termios.ECHO)
            characters[termios.VSUSP] = _NO_CHARACTER
            termios.tcsetattr(descriptor, termios.TCSANOW, changed)
            asyncio.get_running_loop().add_reader(descriptor, self._read, descriptor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._before is not None:
            descriptor = sys.stdin.fileno()
            asyncio.get_running_loop().remove_reader(descriptor)
            with suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(descriptor, termios.TCSAFLUSH, self._before)

    def _read(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, _READ_BYTES)
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(descriptor)  # hung up; HUP tells the rest
        for key in data.decode(errors="replace"):
            self._press(key)
