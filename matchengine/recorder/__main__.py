"""`python -m matchengine.recorder`: the process, its helpers, and the pruning of the archive.

It reads the settings file of the matchengine. Parses words; what is done is in `main`, `writer` and `keep`.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import msgspec

from matchengine import slices
from matchengine.handed_over import demand_not_handed_over
from matchengine.main import FATAL_ERRORS, refuse_in_words
from matchengine.recorder import keep, wire
from matchengine.recorder.c_slices import SliceOrder, put_slice
from matchengine.recorder.main import run_recorder
from matchengine.recorder.sinks import NAMES, Role, sinks_of
from matchengine.recorder.writer import WriterOrder, run_writer
from matchengine.recovery import JOURNAL_DIRECTORY, SLICES_DIRECTORY
from matchengine.settings import MatchengineSettings, load_settings
from matchengine.system import SystemFileError, read_system, require_system
from vxnet.clock import SystemClock
from vxutils.disk import Disk
from vxutils.entry import Entry, LoadedSettings, Parser, add_data_directory, add_run, run
from vxutils.entry import main as run_main
from vxutils.exits import ExitCode, ProcessExit
from vxutils.log import Log
from vxutils.process import STOP_SIGNALS, announce, die_with_parent, set_title
from vxutils.store.mysql.errors import MysqlError, MysqlForeign

NAME = "recorder"
NOTHING_TO_DO = "history and messages are written by one recorder with these settings: there is nothing to do"
DESCRIPTORS = 64
NICENESS = 10  # recorder and writer may be late, the engine may not: its p99 beside us is a third with this
MYSQL_NICENESS = 5  # the server waits while the writer does: at 10 it does not keep up with 3,000 trades/s
TIDY_NICENESS = 9  # further below, the lowest there is: beside a busy recorder it takes what is left


def load(role: Role, path: Path, embedded: bool) -> LoadedSettings[MatchengineSettings]:
    """The matchengine's settings, with a title and a log of our own: two processes never share a log file."""
    name = NAMES[role]
    loaded = load_settings(path, embedded)
    settings = loaded.settings
    log = settings.log
    if log.path and ":" not in log.path:
        log = msgspec.structs.replace(log, path=f"{log.path}_{name}")
    process = msgspec.structs.replace(settings.process, title=f"{settings.process.title} {name}")
    return LoadedSettings(msgspec.structs.replace(settings, log=log, process=process), loaded.warnings)


def work(role: Role, settings: MatchengineSettings, data: Path, log: Log) -> int:
    """Records until told to stop; done at once if there is nothing for a second recorder."""
    sink = sinks_of(settings).get(role)
    if sink is None:
        logging.getLogger("vx.recorder").info(NOTHING_TO_DO)
        announce(f"{NAMES[role]}: {NOTHING_TO_DO}")
        return ExitCode.OK
    try:
        demand_not_handed_over(Disk(), data)
    except SystemFileError as error:
        raise refuse_in_words(error) from error
    os.nice(MYSQL_NICENESS if sink.store == "mysql" else NICENESS)
    return run_recorder(settings, sink, data, Disk(), SystemClock(), log, announce)


def entry(role: Role) -> Entry[MatchengineSettings]:
    """The process that records history (and all, if there is one store), or the one that records messages."""
    return Entry(
        name=NAMES[role],
        load=functools.partial(load, role),
        work=functools.partial(work, role),
        descriptors=lambda settings: DESCRIPTORS,
        is_single=True,
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs one subcommand; the exit code."""
    parser = Parser(prog=NAME, description="History, messages, slices and archive of a matchengine.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    sub = add_run(commands, entry("history"), "Run the recorder in the foreground.")
    sub.add_argument(
        "--sink",
        choices=sorted(NAMES),
        default="history",
        help="what this process records, where history and messages go to different stores: history (the "
        "default), or messages, which ends at once where there is nothing to do",
    )
    sub.set_defaults(command=lambda options: run(entry(options.sink), options))
    sub = commands.add_parser("prune", help="Remove archived journal segments for good.")
    sub.set_defaults(command=_prune)
    _add_directories(sub)

    sub = commands.add_parser("tidy", help="Slices and archive (called by the recorder).")
    sub.set_defaults(command=_tidy)
    _add_directories(sub)
    sub.add_argument("--sequence", type=int, required=True)
    sub.add_argument("--slice", action="store_true")
    sub.add_argument("--archive", action="store_true")
    sub.add_argument("--mysql-slice", action="store_true", help="into the database named on standard input")
    sub.add_argument("--parent-pid", type=int, default=0, help=argparse.SUPPRESS)

    sub = commands.add_parser("write", help="Write the history (called by the recorder).")
    sub.set_defaults(command=_write)
    sub.add_argument("descriptor", type=int)
    sub.add_argument("--parent-pid", type=int, default=0, help=argparse.SUPPRESS)
    return run_main(NAME, parser, arguments)


def _add_directories(parser: argparse.ArgumentParser) -> None:
    add_data_directory(parser)
    parser.add_argument("--journal-dir", type=Path, metavar="DIR", help="where the journal is, if elsewhere")


def _journal(options: argparse.Namespace) -> Path:
    given: Path | None = options.journal_dir
    data: Path = options.data_dir
    return given if given is not None else data / JOURNAL_DIRECTORY


def _prune(options: argparse.Namespace) -> int:
    try:
        require_system(Disk(), options.data_dir)
        print(keep.prune(Disk(), options.data_dir, _journal(options)))  # noqa: T201
    except FATAL_ERRORS as error:
        raise refuse_in_words(error) from error
    return ExitCode.OK


def _tidy(options: argparse.Namespace) -> int:
    if options.parent_pid:
        die_with_parent(options.parent_pid)
        set_title(f"{NAME} tidy")
        os.nice(TIDY_NICENESS)
    try:
        keep.tidy(
            Disk(), options.data_dir, _journal(options), options.sequence, options.slice, options.archive
        )
        if options.mysql_slice:
            _put_slice(options.data_dir)
    except FATAL_ERRORS as error:
        raise refuse_in_words(error) from error
    except (MysqlError, MysqlForeign, TimeoutError) as error:
        raise ProcessExit(ExitCode.FAILURE, f"no slice in the database: {error}") from error
    return ExitCode.OK


def _put_slice(data: Path) -> None:
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=SliceOrder)
    disk = Disk()
    identity = read_system(disk, data)
    good, _ = slices.newest_good_slice(disk, data / SLICES_DIRECTORY, identity.id_bytes, None)
    if good is not None:
        put_slice(disk, good, order)


def _write(options: argparse.Namespace) -> int:
    if options.parent_pid:
        die_with_parent(options.parent_pid)
        set_title(f"{NAME} writer")
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # a Ctrl-C goes to all: the recorder decides when we end
    sock = socket.socket(fileno=options.descriptor)
    given = wire.receive_order(sock)
    if not given:
        return ExitCode.OK  # the recorder is gone
    order = msgspec.json.decode(given, type=WriterOrder)
    return run_writer(sock, order, Disk(), SystemClock().wall_us)


if __name__ == "__main__":
    sys.exit(main())
