"""The data directory as `vx up` sees it: who may make it, who uses it, and what `vx up` keeps in it.

    DIR/SYSTEM ...         the engine's
    DIR/log/               logs of the processes
    DIR/up/LOCK            held while a `vx up` runs here
    DIR/up/<process>.toml  effective settings, written at each start
    DIR/up/demo-users-due  there until the demo users of a directory made by us have been credited

Only the default directory is made here, and only where nothing is yet: a directory that was named by hand
and has no SYSTEM file may be a disk that is not mounted.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from gateways.cli.engine import engine_command, engine_environment
from vxutils.exits import ExitCode, ProcessExit
from vxutils.process import DirectoryLock

SYSTEM_FILE: Final = "SYSTEM"
OWN_DIRECTORY: Final = "up"
LOG_DIRECTORY: Final = "log"

_DEMO_USERS_DUE: Final = "demo-users-due"
_LEFT_BY_INTERRUPTED_INIT: Final = frozenset({OWN_DIRECTORY, "IDENTITY", "IDENTITY.tmp", "SYSTEM.tmp"})
_INIT_TIMEOUT_S: Final = 60.0


class Home:
    """One data directory, used by this `vx up` alone from construction to `close`. A context manager.

    `may_be_made`: whether a missing or empty directory becomes a new exchange.

    Raises: ProcessExit with a sentence (JOURNAL_DAMAGED: no data directory; ALREADY_RUNNING); OSError.
    """

    def __init__(self, directory: Path, may_be_made: bool) -> None:
        self.directory = directory
        is_new = not (directory / SYSTEM_FILE).exists()
        if is_new and not may_be_made:
            raise ProcessExit(ExitCode.JOURNAL_DAMAGED, _not_a_data_directory(directory))
        if is_new:
            _refuse_remains(directory)
        own = directory / OWN_DIRECTORY
        own.mkdir(parents=True, exist_ok=True)
        (directory / LOG_DIRECTORY).mkdir(exist_ok=True)
        try:
            self._lock = DirectoryLock(own)
        except ProcessExit as exit_:
            raise ProcessExit(exit_.code, f"another `vx up` runs in {directory}; {exit_.sentence}") from None
        self._due = own / _DEMO_USERS_DUE
        if is_new:
            self._due.touch()
            self._init()
        self.is_new = is_new
