"""What the `run` command of every process does around the process's own work.

    words -> settings -> directory -> (background) -> lock -> log, alerts, limits -> (watchdog) -> work
    ProcessExit, SettingsError, AddressError, OSError -> a sentence and an exit code

`Entry` says what is particular to a process; its `work` is called in the process that serves, after every
fork, so that it may make loops and threads. Nothing here knows what a process does.

Source: protocol.md 10.3, 10.6.
"""

from __future__ import annotations

import argparse
import logging
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar

import msgspec

from vxnet.errors import AddressError
from vxutils.alert import AlertHandler
from vxutils.exits import ExitCode, ProcessExit
from vxutils.log import Log, LogSettings, configure
from vxutils.process import DirectoryLock, daemonise, die_with_parent, raise_limits, set_title
from vxutils.settings import AlertSettings, ProcessSettings, SettingsError
from vxutils.watchdog import run_watched

RUN_DIRECTORY: Final = "run"
DIRECTORY_MODE: Final = 0o750

LOCK_WAIT_S: Final = 3.0
"""A killed predecessor's children need a moment to be gone."""

Command = Callable[[argparse.Namespace], int]


class CommonSettings(Protocol):
    """The sections that every process has."""

    @property
    def process(self) -> ProcessSettings: ...

    @property
    def log(self) -> LogSettings: ...

    @property
    def alert(self) -> AlertSettings: ...


S = TypeVar("S", bound=CommonSettings)


class LoadedSettings(msgspec.Struct, Generic[S], frozen=True):
    """Usable settings, and in words what the operator should know about the file (to be logged)."""

    settings: S
    warnings: list[str]


class Entry(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """What is particular to one process.

    `load(path, embedded)` reads its settings file. `work(settings, data directory, log)` serves until told to
    stop and returns the exit code. `descriptors`: how many files and sockets it may need at one time.
    `is_single`: only one of its name may work in a data directory.
    """

    name: str
    load: Callable[[Path, bool], LoadedSettings[S]]
    work: Callable[[S, Path, Log], int]
    descriptors: Callable[[S], int]
    is_single: bool


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the words and ends with the code for that."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\n")


def add_run(commands: Any, entry: Entry[S], text: str) -> argparse.ArgumentParser:
    """Adds `run CONFIG --data-dir DIR` to the subcommands of a parser; its `command` runs the process."""
    parser: argparse.ArgumentParser = commands.add_parser("run", help=text, description=text)
    parser.set_defaults(command=lambda options: run(entry, options))
    parser.add_argument("config", type=Path, metavar="CONFIG", help="settings: our TOML or a C config.json")
    add_data_directory(parser)
    parser.add_argument(
        "--embedded",
        action="store_true",
        help="run on the embedded stores although the file names servers which this version can not use",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--daemon", action="store_true", help="go to the background, under a watchdog")
    mode.add_argument("--watchdog", action="store_true", help="stay in the foreground, under a watchdog")
    parser.add_argument("--parent-pid", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def add_data_directory(parser: argparse.ArgumentParser) -> None:
    """The option `--data-dir DIR`."""
    parser.add_argument("--data-dir", type=Path, required=True, metavar="DIR", help="the data directory")


def main(name: str, parser: argparse.ArgumentParser, arguments: list[str] | None = None) -> int:
    """Parses the words and runs the subcommand they name (`command` among its defaults); the exit code.

    A user's mistake gives a sentence, never a traceback.
    """
    options = parser.parse_args(arguments)
    command: Command = options.command
    try:
        return command(options)
    except ProcessExit as exit_:
        complain(name, exit_.sentence)
        return exit_.code
    except SettingsError as error:
        problems = "\n  ".join(error.problems)
        complain(name, f"{options.config} can not be used:\n  {problems}")
        return ExitCode.CONFIG
    except OSError as error:
        complain(name, str(error))
        return ExitCode.FAILURE


def run(entry: Entry[S], options: argparse.Namespace) -> int:
    """Runs a process as its command line says, until it is told to stop; the exit code.

    Raises: SettingsError, ProcessExit, OSError.
    """
    if options.parent_pid:
        die_with_parent(options.parent_pid)
    loaded = entry.load(options.config, options.embedded)
    require_directory(options.data_dir)  # before going to the background: the sentence should be seen
    if options.daemon:
        daemonise()
    title = loaded.settings.process.title
    with ExitStack() as held:
        if entry.is_single:
            held.enter_context(_lock(options.data_dir / RUN_DIRECTORY, entry.name))
        log = _configure_log(loaded, entry.descriptors(loaded.settings))
        held.callback(log.close)
        set_title(title)

        def work() -> int:
            try:
                return entry.work(loaded.settings, options.data_dir, log)
            except AddressError as error:
                raise ProcessExit(ExitCode.ADDRESS_TAKEN, str(error)) from error

        try:
            if options.daemon or options.watchdog:
                return run_watched(work, title, on_fatal=lambda sentence: complain(entry.name, sentence))
            return work()
        except ProcessExit as exit_:
            logging.getLogger(f"vx.{entry.name}").critical("%s", exit_.sentence)
            raise


def require_directory(directory: Path) -> None:
    """Raises: ProcessExit if there is no such directory; a disk that is not mounted must not be written
    beside."""
    if not directory.is_dir():
        raise ProcessExit(ExitCode.JOURNAL_DAMAGED, f"{directory} is no data directory: it does not exist")


def complain(name: str, sentence: str) -> None:
    """A sentence for the person at the terminal."""
    print(f"{name}: {sentence}", file=sys.stderr, flush=True)  # noqa: T201


def _lock(run_directory: Path, name: str) -> DirectoryLock:
    """Each process has its own lock: that of the data directory itself is the engine's."""
    directory = run_directory / name
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            return DirectoryLock(directory)
        except ProcessExit:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _configure_log(loaded: LoadedSettings[S], descriptors: int) -> Log:
    settings = loaded.settings
    log = configure(settings.log)
    if settings.alert.address is not None:
        log.attach(AlertHandler(settings.alert.host or socket.gethostname(), settings.alert.address))
    logger = logging.getLogger("vx.entry")
    process = settings.process
    for warning in [*loaded.warnings, *raise_limits(process.file_limit, process.core_limit)]:
        logger.warning("%s", warning)
    if not process.file_limit:
        for note in raise_limits(descriptors, 0):
            logger.info("%s", note)
    return log
