"""The data directory as `vx up` sees it: who may make it, who uses it, and what `vx up` keeps in it.

    DIR/SYSTEM ...           the engine's
    DIR/log/                 logs of the processes
    DIR/up/LOCK              held while a `vx up` runs here
    DIR/up/<process>.toml    effective settings (.json for those of the C system), written at each start
    DIR/up/running.json      what runs now and where, for `vx status`; gone when nothing does
    DIR/up/demo-users-due    there until the demo users of a directory made by us have been credited

Only the default directory is made here, and only where nothing is yet: a directory that was named by hand
and has no SYSTEM file may be a disk that is not mounted.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final

from gateways.cli.programs import ENGINE, command_line, environment
from vxutils.exits import ExitCode, ProcessExit
from vxutils.process import DirectoryLock

SYSTEM_FILE: Final = "SYSTEM"
DIRECTORY_MODE: Final = 0o750
SETTINGS_MODE: Final = 0o600

_OWN_DIRECTORY: Final = "up"
_LOG_DIRECTORY: Final = "log"
_DEMO_USERS_DUE: Final = "demo-users-due"
_RUNNING: Final = "running.json"
_LEFT_BY_INTERRUPTED_INIT: Final = frozenset({_OWN_DIRECTORY, "IDENTITY", "IDENTITY.tmp", "SYSTEM.tmp"})
_INIT_TIMEOUT_S: Final = 60.0


class Home:
    """One data directory, used by this `vx up` alone from construction to `close`. A context manager.

    `may_be_made`: whether a missing or empty directory becomes a new exchange.

    Raises: ProcessExit (JOURNAL_DAMAGED: no data directory; ALREADY_RUNNING; what init ends with); OSError.
    """

    def __init__(self, directory: Path, may_be_made: bool) -> None:
        self.directory = directory
        self.is_new = not (directory / SYSTEM_FILE).exists()
        if self.is_new:
            _refuse_unless_empty(directory, may_be_made)
            directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        self._own = directory / _OWN_DIRECTORY
        self._own.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        self._demo_users_due = self._own / _DEMO_USERS_DUE
        try:
            self._lock = DirectoryLock(self._own)
        except ProcessExit as exit_:
            raise ProcessExit(exit_.code, f"another `vx up` runs in {directory}: {exit_.sentence}") from None
        try:
            if self.is_new:
                self._demo_users_due.touch()  # first, so that an interrupted first start does not forget them
                _init(directory)
            (directory / _LOG_DIRECTORY).mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Home:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing runs any more; lets another `vx up` in."""
        running_path(self.directory).unlink(missing_ok=True)
        self._lock.release()

    @property
    def demo_users_are_due(self) -> bool:
        return self._demo_users_due.exists()

    def demo_users_are_done(self) -> None:
        self._demo_users_due.unlink(missing_ok=True)

    def write_settings(self, name: str, text: str) -> Path:
        """Where the text is now. Restarted processes read it again. Raises: OSError."""
        path = self._own / name
        path.touch(SETTINGS_MODE)
        path.chmod(SETTINGS_MODE)  # it may hold a password
        path.write_text(text)
        return path

    def write_running(self, text: str) -> None:
        """What runs now, for `read_running`. Raises: OSError."""
        path = running_path(self.directory)
        scratch = path.with_suffix(".tmp")
        scratch.write_text(text)
        scratch.replace(path)


def running_path(directory: Path) -> Path:
    """The file that says what runs, present while a `vx up` is there (and after one that was killed)."""
    return directory / _OWN_DIRECTORY / _RUNNING


def log_path(directory: Path, process: str) -> Path:
    """Where a process logs, absolute and without the ending `.log`.

    Raises: ProcessExit (USAGE) where such a path would be taken for a network address.
    """
    path = directory.absolute() / _LOG_DIRECTORY / process
    if ":" in str(path):
        raise ProcessExit(ExitCode.USAGE, f"{path} has a colon, which in a log path means ip:port")
    return path


def _refuse_unless_empty(directory: Path, may_be_made: bool) -> None:
    if not may_be_made:
        raise ProcessExit(
            ExitCode.JOURNAL_DAMAGED,
            f"{directory} is not a data directory (no {SYSTEM_FILE} file): a disk that is not mounted? "
            f"`vx init --data-dir {directory}` makes a new, empty one",
        )
    if directory.exists() and {path.name for path in directory.iterdir()} - _LEFT_BY_INTERRUPTED_INIT:
        raise ProcessExit(
            ExitCode.JOURNAL_DAMAGED,
            f"{directory} is not empty and has no {SYSTEM_FILE} file, so it is not used for a new exchange: "
            "move it away, or name a directory with --data-dir",
        )


def _init(directory: Path) -> None:
    done = subprocess.run(  # noqa: S603
        command_line(ENGINE, ["init", "--data-dir", directory]),
        capture_output=True,
        text=True,
        timeout=_INIT_TIMEOUT_S,
        env=environment(),
        stdin=subprocess.DEVNULL,
        process_group=0,  # a Ctrl-C is for us to act upon, when this is done
        check=False,
    )
    if done.returncode:
        code = done.returncode if done.returncode in set(ExitCode) else ExitCode.FAILURE
        raise ProcessExit(ExitCode(code), f"{directory} could not be made: {done.stderr.strip()}")
