"""What every gateway process does before its own work: directories, lock, log.

A gateway keeps nothing: its data directory holds sockets (`run`) and, if the settings say so, logs. It may be
an engine's directory or one of its own; no SYSTEM file is asked for.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vxutils.alert import AlertHandler
from vxutils.exits import ExitCode, ProcessExit
from vxutils.log import Log, LogSettings, configure
from vxutils.process import DirectoryLock, raise_limits
from vxutils.settings import AlertSettings, ProcessSettings

RUN_DIRECTORY: Final = "run"
LOG_DIRECTORY: Final = "log"
DIRECTORY_MODE: Final = 0o750

LOCK_WAIT_S: Final = 2.0
"""A killed predecessor's children need a moment to be gone."""

_log = logging.getLogger("vx.gateways")


def make_directories(data: Path) -> Path:
    """Makes what is missing of the data directory; its run directory.

    Raises: ProcessExit naming the directory that can not be made.
    """
    try:
        for directory in (data, data / RUN_DIRECTORY, data / LOG_DIRECTORY):
            directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise ProcessExit(ExitCode.USAGE, f"{error.filename}: {error.strerror}") from None
    return data / RUN_DIRECTORY


def lock(run_directory: Path, process: str) -> DirectoryLock:
    """Sees to it that one `process` works in this directory: of several gateways each has its own lock.

    Raises: ProcessExit (ALREADY_RUNNING).
    """
    directory = run_directory / process
    directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            return DirectoryLock(directory)
        except ProcessExit:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def configure_log(log_settings: LogSettings, alert: AlertSettings) -> Log:
    """The log of this process and of those it forks. Raises: OSError, AddressError."""
    log = configure(log_settings)
    if alert.address is not None:
        log.attach(AlertHandler(alert.host or socket.gethostname(), alert.address))
    return log


def apply_limits(process: ProcessSettings, descriptors: int, warnings: Sequence[str]) -> None:
    """Raises the limits of this process, for at least `descriptors` if the settings name no number; logs
    what the operator should know."""
    for warning in [*warnings, *raise_limits(process.file_limit, process.core_limit)]:
        _log.warning("%s", warning)
    if not process.file_limit:
        for note in raise_limits(descriptors, 0):
            _log.info("%s", note)
