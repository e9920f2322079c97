"""The real program on a disk that fails on demand, under its real watchdog.

    python -m tests.support.faulty_engine TRIGGERS run CONFIG --data-dir DIR --watchdog

While a file with the name of a disk operation (`fdatasync`, `pwrite`) is in the directory TRIGGERS, each such
operation of the engine fails with the error number written in it. `FaultyEngine` starts it in place of the
program itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import matchengine.__main__ as program
from tests.support.processes import EngineProcess
from vxutils.disk import Disk

ROOT = Path(__file__).parents[2]


class TriggeredDisk(Disk):
    """Asks the directory of triggers before each operation."""

    def __init__(self, triggers: Path) -> None:
        self._triggers = triggers

    def _fail_if_told(self, operation: str) -> None:
        try:
            number = int((self._triggers / operation).read_text())
        except FileNotFoundError:
            return
        raise OSError(number, os.strerror(number))

    def fdatasync(self, fd: int) -> None:
        self._fail_if_told("fdatasync")
        super().fdatasync(fd)

    def pwrite_once(self, fd: int, data: bytes, offset: int) -> int:
        self._fail_if_told("pwrite")
        return super().pwrite_once(fd, data, offset)


class FaultyEngine(EngineProcess):
    """An engine process under the watchdog whose disk fails between `break_disk` and `mend_disk`."""

    def __init__(self, directory: Path, config: dict[str, Any] | str, **options: Any) -> None:
        super().__init__(directory, config, watchdog=True, **options)
        self._triggers = directory / "triggers"
        self._triggers.mkdir()

    def __enter__(self) -> FaultyEngine:
        super().__enter__()
        return self

    def launch(self) -> None:
        """As the plain engine, with this module in the place of the program."""
        start = subprocess.Popen

        def start_instead(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
            assert command[1:3] == ["-m", "matchengine"], command
            module = ["-m", "tests.support.faulty_engine", str(self._triggers)]
            return start([command[0], *module, *command[3:]], **{**options, "cwd": ROOT})

        with mock.patch.object(subprocess, "Popen", start_instead):
            super().launch()

    def break_disk(self, operation: str, error: int) -> None:
        unnamed = self._triggers / "unnamed"
        unnamed.write_text(str(error))
        unnamed.rename(self._triggers / operation)

    def mend_disk(self, operation: str) -> None:
        (self._triggers / operation).unlink()


def main() -> int:
    triggers = Path(sys.argv[1])
    with mock.patch.object(program, "Disk", lambda: TriggeredDisk(triggers)):
        return program.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
