"""`python -m matchengine`: the process, and the tools for its data directory.

Operators use the `vx` command, which calls this one. Parses words, maps errors to sentences and exit
codes; what is done is in `main` and `offline`.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import msgspec

from matchengine import offline, system
from matchengine.c_database.adopting import adopt_database
from matchengine.c_database.handover_tool import add_handover
from matchengine.diff import add_diff
from matchengine.handed_over import demand_not_handed_over
from matchengine.main import FATAL_ERRORS, Directories, directories, flush_standard_streams, refuse_in_words
from matchengine.main import run_worker as run_engine
from matchengine.migrate import add_migrate
from matchengine.recovery import JOURNAL_DIRECTORY
from matchengine.settings import MatchengineSettings, load_settings
from matchengine.tools import add_tools
from vxnet.clock import SystemClock
from vxutils.alert import AlertHandler
from vxutils.disk import Disk
from vxutils.entry import LoadedSettings
from vxutils.exits import ExitCode, ProcessExit
from vxutils.log import Log, configure
from vxutils.process import DirectoryLock, daemonise, die_with_parent, raise_limits, set_title
from vxutils.settings import SettingsError
from vxutils.watchdog import run_watched

FILES_BESIDE_CONNECTIONS = 256  # journal, slices, log, console, the loop's own
SLICE_NICENESS = 10  # a slice may take its time; the engine may not
LOCK_WAIT_S = 3.0  # a killed predecessor's children need a moment to be gone

_log = logging.getLogger("vx.matchengine")


def main(arguments: list[str] | None = None) -> int:
    """Runs one subcommand; the exit code. A user's mistake gives a sentence, never a traceback."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except ProcessExit as exit_:
        print(f"matchengine: {exit_.sentence}", file=sys.stderr)  # noqa: T201
        return exit_.code
    except SettingsError as error:
        lines = "\n  ".join(error.problems)
        print(f"matchengine: {options.config} can not be used:\n  {lines}", file=sys.stderr)  # noqa: T201
        return ExitCode.CONFIG
    except FATAL_ERRORS as error:
        refusal = refuse_in_words(error)
        print(f"matchengine: {refusal.sentence}", file=sys.stderr)  # noqa: T201
        return refusal.code
    except OSError as error:
        print(f"matchengine: {error}", file=sys.stderr)  # noqa: T201
        return ExitCode.FAILURE


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the words and ends with the code for that."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="matchengine", description="Order matching and balances.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("--data-dir", type=Path, required=True, metavar="DIR", help="the data directory")
        return sub

    sub = add("init", _init, "Make a new, empty data directory.")
    sub.add_argument("--journal-dir", type=Path, metavar="DIR", help="keep the journal elsewhere")
    sub = add(
        "adopt", _adopt, "Declare a copied data directory to be the system (its original is gone for good)."
    )
    sub.add_argument(
        "--config",
        type=Path,
        metavar="CONFIG",
        help="take over the databases of the C system which these settings name, into a new data directory",
    )

    sub = add("run", _run, "Run the engine in the foreground.")
    _add_config(sub)
    mode = sub.add_mutually_exclusive_group()
    mode.add_argument("--daemon", action="store_true", help="go to the background, under a watchdog")
    mode.add_argument("--watchdog", action="store_true", help="stay in the foreground, under a watchdog")
    sub.add_argument("--parent-pid", type=int, default=0, help=argparse.SUPPRESS)

    for name, command, text in (
        ("config-diff", _config_diff, "Show how a settings file differs from the rules in force."),
        ("config-apply", _config_apply, "Put the assets and markets of a settings file in force."),
    ):
        _add_config(add(name, command, text))

    add_tools(add)
    add_diff(add)
    add_handover(add)
    add_migrate(commands.add_parser)

    sub = add("audit", _audit, "Replay the journal, read-only, and check the laws.")
    sub.add_argument("--journal-dir", type=Path, metavar="DIR")
    sub.add_argument("--json", action="store_true", help="print the result as JSON")

    for name, command, text in (
        ("prepare", _prepare, "Prepare journal segments (called by the engine)."),
        ("slice", _slice, "Write a slice of what is durable (called by the engine)."),
    ):
        sub = add(name, command, text)
        sub.add_argument("--journal-dir", type=Path, metavar="DIR")
        sub.add_argument("--segment-size", type=int, default=64 << 20, metavar="BYTES")
        sub.add_argument("--parent-pid", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="settings: our TOML or a C config.json")
    parser.add_argument(
        "--embedded",
        action="store_true",
        help="run on the embedded stores although the file names servers which this version can not use",
    )


def _journal_directory(options: argparse.Namespace) -> Path:
    given: Path | None = options.journal_dir
    data: Path = options.data_dir
    return given if given is not None else data / JOURNAL_DIRECTORY


def _init(options: argparse.Namespace) -> int:
    name = offline.init(Disk(), SystemClock(), options.data_dir, _journal_directory(options))
    print(f"system {name} made in {options.data_dir}")  # noqa: T201
    return ExitCode.OK


def _adopt(options: argparse.Namespace) -> int:
    if options.config is not None:
        return _adopt_database(options)
    with _exclusively(options.data_dir):
        adopted = system.adopt(Disk(), options.data_dir)
    print(f"{options.data_dir} is now system {adopted.system_id}")  # noqa: T201
    return ExitCode.OK


def _adopt_database(options: argparse.Namespace) -> int:
    loaded = load_settings(options.config, embedded=False)
    where = directories(loaded.settings, options.data_dir)

    def tell(text: str) -> None:
        print(text, file=sys.stderr)  # noqa: T201

    adopted = adopt_database(Disk(), SystemClock(), loaded.settings, where, tell)
    state = adopted.loaded
    engine = state.engine
    print(  # noqa: T201
        f"{options.data_dir} is now system {adopted.system_id}: operation {state.operation_id} (slice "
        f"{state.slice_time_s or 'none'}, {state.replayed} operations after it), orders to "
        f"{engine.last_order_id}, deals to {engine.last_deal_id}, "
        f"{sum(len(market.orders) for market in engine.markets.values())} open orders"
    )
    return ExitCode.OK


def _run(options: argparse.Namespace) -> int:
    if options.parent_pid:
        die_with_parent(options.parent_pid)
    loaded = load_settings(options.config, options.embedded)
    settings = loaded.settings
    if options.daemon:
        flush_standard_streams()
    disk, clock = Disk(), SystemClock()
    where = directories(settings, options.data_dir)
    system.read_system(disk, where.data)  # before going to the background: the sentence should be seen
    demand_not_handed_over(disk, where.data)
    if options.daemon:
        daemonise()
    with ExitStack() as locks:
        locks.enter_context(_lock(where.data))
        if where.journal.parent != where.data and disk.is_directory(where.journal):
            locks.enter_context(_lock(where.journal))
        log = _configure_log(loaded)
        try:
            set_title(settings.process.title)

            def worker() -> int:
                return run_engine(settings, where, disk, clock, log)

            if options.daemon or options.watchdog:
                flush_standard_streams()
                return run_watched(worker, settings.process.title, on_fatal=_show_death)
            return worker()
        except ProcessExit as exit_:
            _log.critical("%s", exit_.sentence)
            raise
        finally:
            log.close()


def _exclusively(directory: Path) -> DirectoryLock:
    """The lock of a data directory; nothing is written into a directory that is none."""
    system.require_system(Disk(), directory)
    return DirectoryLock(directory)


def _show_death(sentence: str) -> None:
    print(f"matchengine: {sentence}", file=sys.stderr, flush=True)  # noqa: T201


def _lock(directory: Path) -> DirectoryLock:
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            return DirectoryLock(directory)
        except ProcessExit:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _configure_log(loaded: LoadedSettings[MatchengineSettings]) -> Log:
    settings = loaded.settings
    log = configure(settings.log)
    if settings.alert.address is not None:
        log.attach(AlertHandler(settings.alert.host or socket.gethostname(), settings.alert.address))
    process = settings.process
    for warning in [*loaded.warnings, *raise_limits(process.file_limit, process.core_limit)]:
        _log.warning("%s", warning)
    if not process.file_limit:
        for note in raise_limits(settings.svr.connections_max + FILES_BESIDE_CONNECTIONS, 0):
            _log.info("%s", note)
    return log


def _where(options: argparse.Namespace) -> tuple[LoadedSettings[MatchengineSettings], Directories]:
    loaded = load_settings(options.config, options.embedded)
    return loaded, directories(loaded.settings, options.data_dir)


def _config_diff(options: argparse.Namespace) -> int:
    loaded, where = _where(options)
    with _exclusively(where.data):
        lines = offline.rule_differences(Disk(), where.data, where.journal, loaded.settings.rules)
    print("\n".join(lines) if lines else "no differences")  # noqa: T201
    return ExitCode.FAILURE if lines else ExitCode.OK


def _config_apply(options: argparse.Namespace) -> int:
    loaded, where = _where(options)
    size = loaded.settings.journal.segment_size_bytes
    with _exclusively(where.data):
        lines = offline.apply_rules(
            Disk(), SystemClock(), where.data, where.journal, loaded.settings.rules, size
        )
    print("\n".join(["in force now:", *lines]) if lines else "no differences, nothing to apply")  # noqa: T201
    return ExitCode.OK


def _audit(options: argparse.Namespace) -> int:
    def progress(sequence: int) -> None:
        if sys.stderr.isatty():
            print(f"\rsequence {sequence}", end="", file=sys.stderr, flush=True)  # noqa: T201

    with _exclusively(options.data_dir):
        found = offline.audit(Disk(), options.data_dir, _journal_directory(options), progress)
    if options.json:
        print(json.dumps({**msgspec.to_builtins(found), "is_sound": found.is_sound}))  # noqa: T201
        return ExitCode.OK if found.is_sound else ExitCode.JOURNAL_DAMAGED
    slice_text = {None: "none", True: "leads to the same state", False: "LEADS TO ANOTHER STATE"}
    print(  # noqa: T201
        f"sequence {found.sequence}, operation {found.operation_id}, orders to {found.last_order_id}, "
        f"deals to {found.last_deal_id}\n"
        f"state hash {found.state_hash}\n"
        f"newest slice: {slice_text[found.newest_slice_agrees]}\n"
        f"torn bytes at the end: {found.torn_bytes}"
    )
    for law in found.broken_laws:
        print(f"BROKEN: {law}")  # noqa: T201
    print("sound" if found.is_sound else "NOT SOUND")  # noqa: T201
    return ExitCode.OK if found.is_sound else ExitCode.JOURNAL_DAMAGED


def _prepare(options: argparse.Namespace) -> int:
    _be_helper(options, "prepare")
    offline.prepare(Disk(), _journal_directory(options), options.segment_size)
    return ExitCode.OK


def _slice(options: argparse.Namespace) -> int:
    _be_helper(options, "slice")
    if options.parent_pid:
        os.nice(SLICE_NICENESS)
    made = offline.make_slice(Disk(), options.data_dir, _journal_directory(options))
    if made is not None and not options.parent_pid:
        print(f"{made.path}, state hash {made.state_hash.hex()}")  # noqa: T201
    return ExitCode.OK


def _be_helper(options: argparse.Namespace, name: str) -> None:
    if options.parent_pid:
        die_with_parent(options.parent_pid)
        set_title(f"matchengine {name}")


if __name__ == "__main__":
    sys.exit(main())
