"""The subcommands `migrate-rehearse` and `migrate-cutover`: words in, sentences or JSON out.

What is done is in `c_database`. Progress goes to standard error, what was found to standard output.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from matchengine.c_database.c_console import CConsole, ConsoleError
from matchengine.c_database.c_engine import CEngine, CEngineError
from matchengine.c_database.comparing import ROUNDS_MAX, Compared
from matchengine.c_database.cutover import Cutover, Limits, Stopped
from matchengine.c_database.kept import KeptUnreadable
from matchengine.c_database.reading import CDatabaseError
from matchengine.c_database.rehearsal import Report, rehearse
from matchengine.main import directories
from matchengine.settings import MatchengineSettings, load_settings
from vxnet.address import Address, parse_address
from vxnet.clock import SystemClock
from vxnet.errors import AddressError
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit
from vxutils.store.mysql.errors import MysqlError

QUERIES_PER_S: Final = 500.0
STANDING_QUERIES_PER_S: Final = 10_000.0
"""Of an engine that has no other clients any more."""

WAIT_S: Final = 600.0
STILL_S: Final = 5.0
SHOWN: Final = 20
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104

_ERRORS: Final = (CDatabaseError, CEngineError, ConsoleError, KeptUnreadable, MysqlError, Stopped)


def add_migrate(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds the subcommands; `add_parser` is that of the table of commands."""
    for name, command, text in (
        ("migrate-rehearse", _rehearse, "Compare the databases of a running C exchange with its engine."),
        ("migrate-cutover", _cutover, "Take over a C exchange, step by step."),
    ):
        sub = add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("config", type=Path, metavar="CONFIG", help="the engine's config.json, or our TOML")
        sub.add_argument("--engine", type=_address, metavar="ADDRESS", help="its RPC (default: svr.bind)")
        sub.add_argument("--console", type=_address, metavar="ADDRESS", help="its console (default: cli)")
        rate = QUERIES_PER_S if command is _rehearse else STANDING_QUERIES_PER_S
        sub.add_argument("--queries-per-s", type=_positive, default=rate, metavar="N")
        if command is _rehearse:
            sub.add_argument("--no-console", action="store_true", help="do without: no counters")
            sub.add_argument("--rounds", type=_count, default=ROUNDS_MAX, metavar="N")
            sub.add_argument("--json", action="store_true", help="print the result as JSON")
        else:
            sub.add_argument("--data-dir", type=Path, required=True, metavar="NEW")
            sub.add_argument("--wait-s", type=_positive, default=WAIT_S, metavar="S")
            sub.add_argument("--still-s", type=_positive, default=STILL_S, metavar="S")
            sub.add_argument("--yes", action="store_true", help="ask nothing: a script does what is said")
            sub.add_argument("--history-trimmed", action="store_true")


# -- rehearse ----------------------------------------------------------------------------------


def _rehearse(options: argparse.Namespace) -> int:
    settings = load_settings(options.config, embedded=False).settings
    engine, console = _addresses(options, settings)
    counters = None if options.no_console else _console_that_answers(console)
    with _in_words(), CEngine(engine, options.queries_per_s) as asked:
        report = rehearse(
            settings,
            SystemClock(),
            asked,
            counters,
            _progress,
            options.rounds,
        )
    if options.json:
        print(json.dumps({**msgspec.to_builtins(report), "is_equal": report.is_equal}))  # noqa: T201
    else:
        print("\n".join(report_lines(report)))  # noqa: T201
    return ExitCode.OK if report.is_equal else ExitCode.FAILURE


def _console_that_answers(address: Address) -> CConsole:
    """Looked at first: building may take minutes. Raises: ProcessExit."""
    console = CConsole(address)
    try:
        console.status()
    except ConsoleError as error:
        sentence = f"{error}. --console names another one, --no-console does without"
        raise ProcessExit(ExitCode.FAILURE, sentence) from error
    return console


def report_lines(report: Report) -> list[str]:
    """A rehearsal in words."""
    lines = [f"{'STOPS' if problem.is_fatal else 'note'}: {problem.text}" for problem in report.problems]
    start = f"slice {report.slice_time_s}" if report.slice_time_s else "no slice"
    if report.build_s:
        lines.append(
            f"built in {report.build_s:.1f} s: {start}, {report.operations} operations after it, "
            f"{report.open_orders} open orders"
        )
    if report.compared is None:
        return [*lines, "NOTHING WAS COMPARED: what STOPS, above, comes first"]
    lines += _compared_lines(report.compared)
    lines.append("EQUAL" if report.is_equal else "NOT EQUAL, or not possible")
    return lines


def _compared_lines(compared: Compared) -> list[str]:
    counts = ", ".join(f"{count} {name}" for name, count in compared.counts.items())
    lines = [
        f"compared: {counts}; {compared.queries} queries, {compared.rounds} rounds, "
        f"{compared.operations} operations meanwhile"
    ]
    if compared.rounded:
        lines.append(
            f"{compared.rounded} equal but for digits that the slice's columns have cut, for example "
            + ", ".join(compared.rounded_first)
        )
    for one in compared.differences[:SHOWN]:
        how = "although operations touched it" if one.was_touched else "and no operation touched it"
        lines.append(f"DIFFERENT in {compared.rounds} rounds, {how}: {one.subject}: {'; '.join(one.texts)}")
    lines.append(f"{len(compared.differences)} differences")
    return lines


# -- cutover -----------------------------------------------------------------------------------


def _cutover(options: argparse.Namespace) -> int:
    settings = load_settings(options.config, embedded=False).settings
    engine, console = _addresses(options, settings)
    if not options.yes and not sys.stdin.isatty():
        raise ProcessExit(
            ExitCode.USAGE, "there is no terminal to ask at: say --yes if a script does the steps"
        )
    operator = _Terminal(is_asking=not options.yes)
    with _in_words():
        Cutover(
            Disk(),
            SystemClock(),
            settings,
            directories(settings, options.data_dir),
            engine,
            console,
            operator,
            Limits(options.wait_s, options.still_s, options.queries_per_s),
            options.history_trimmed,
        ).run()
    for line in _farewell(options.config, options.data_dir):
        operator.say(line)
    return ExitCode.OK


class _Terminal:
    """The operator at a terminal, or a script that reads what is printed."""

    def __init__(self, is_asking: bool) -> None:
        self._is_asking = is_asking

    def say(self, line: str) -> None:
        print(line, flush=True)  # noqa: T201

    def ask(self, text: str) -> None:
        """Raises: ProcessExit when the terminal ends."""
        self.say(f"  > {text}")
        if not self._is_asking:
            return
        try:
            input("    Enter to go on, Ctrl-C to stop here: ")
        except EOFError:
            raise ProcessExit(ExitCode.FAILURE, "stopped; run the command again to go on") from None


def _farewell(config: Path, data: Path) -> list[str]:
    return [
        "",
        "The exchange is taken over. Start, in this order:",
        f"    vx recorder {config} --data-dir {data}",
        f"    vx recorder {config} --data-dir {data} --sink messages",
        f"    vx matchengine {config} --data-dir {data}",
        "    then the gateways, those of the C system or ours",
        "The way back:",
        f"    before vx matchengine has started: start the C engine again, and remove {data}",
        f"    afterwards: vx handover {config} --data-dir {data} (docs/one-way-doors.md)",
    ]


# -- words -------------------------------------------------------------------------------------


def _addresses(options: argparse.Namespace, settings: MatchengineSettings) -> tuple[Address, Address]:
    """Where the engine and its console are. Raises: ProcessExit."""
    engine: Address | None = options.engine
    if engine is None:
        bound = [_reachable(parse_address(text)) for text in settings.svr.bind]
        engine = next((one for one in bound if one.kind in ("tcp", "stream")), None)
    console: Address | None = options.console
    if console is None and settings.cli.address is not None:
        console = _reachable(parse_address(settings.cli.address))
    if engine is None or console is None:
        raise ProcessExit(ExitCode.USAGE, "the settings name no stream address: say --engine and --console")
    return engine, console


def _reachable(address: Address) -> Address:
    """Whoever listens on all addresses listens on the loopback one."""
    return msgspec.structs.replace(address, host=_LOOPBACK.get(address.host, address.host))


def _address(text: str) -> Address:
    try:
        address = parse_address(text)
    except AddressError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if address.kind not in ("tcp", "stream"):
        raise argparse.ArgumentTypeError(f"{address} is no stream socket: use tcp@ or stream@")
    return address


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0 and below 1000000")
    return value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 1000):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to 1000")
    return int(text)


def _progress(text: str) -> None:
    print(f"... {text}", file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def _in_words() -> Iterator[None]:
    """What may go wrong ends the process with its sentence. Raises: ProcessExit."""
    try:
        yield
    except _ERRORS as error:
        raise ProcessExit(ExitCode.FAILURE, str(error)) from error
