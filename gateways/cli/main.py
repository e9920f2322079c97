"""The `vx` command: words to subcommands, errors to sentences and exit codes.

What a subcommand does is in the module named after it; those of the engine become the engine (`engine`).
A user's mistake gives one sentence on standard error and a code of `vxutils.exits`, never a traceback.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from gateways.cli import (
    at,
    backup,
    call,
    check,
    db,
    diff,
    engine,
    gateway,
    handover,
    live_commands,
    methods,
    migrate,
    restore,
    services,
    status,
    token,
    up,
)
from gateways.cli.output import complain
from gateways.cli.programs import (
    ACCESSHTTP,
    ACCESSWS,
    ALERTCENTER,
    CONFIGURED,
    ENGINE,
    MARKETPRICE,
    READHISTORY,
    RECORDER,
)
from vxutils.exits import ExitCode, ProcessExit

Run = Callable[[argparse.Namespace], int]

INTERRUPTED = 130  # what a shell reports for a command ended by Ctrl-C

_EXAMPLES = """\
examples:
  vx up                                       everything, in ./vx-data, with funded demo users
  vx demo                                     test users that trade with each other
  vx watch BTCUSDT                            depth, deals and candles, live
  vx status                                   how everything is
  vx call balance.query 1                     ask the running engine
  vx init --data-dir /srv/vx                  make a data directory, once
  vx matchengine etc/matchengine.toml --data-dir /srv/vx
  vx recorder etc/matchengine.toml --data-dir /srv/vx
  vx accesshttp etc/accesshttp.toml --data-dir /srv/vx
  vx alerts --since 2h                        what went wrong
"""

_UP_TEXT = """\
Start every process, in the foreground, and keep them running until Ctrl-C.

Without --data-dir the directory ./vx-data is used; it is made at the first start, and the users 1, 2 and 3
get some of every asset. A directory named with --data-dir must have been made with `vx init`.
"""
_UP_EXAMPLES = """\
examples:
  vx up
  vx up --config my.toml --data-dir /srv/vx
  vx up --data-dir second --port-offset 100   a second exchange beside the first, on ports 100 higher
"""

_CALL_EXAMPLES = """\
examples:
  vx call balance.update 1 BTC deposit 1 0.5 '{}'
  vx call order.put_limit 1 BTCUSDT sell 0.1 60000 0.002 0.001 me
  vx call order.put_limit 1 BTCUSDT 1 0.1 60000 0 0 me --key my-order-17
  vx call order.depth BTCUSDT 10 0
  vx call balance.query --raw '[1, "BTC"]'
  vx call market.list --http http://127.0.0.1:8080
A word that begins with a minus and is no plain number goes after `--`.
"""


class _Parser(argparse.ArgumentParser):
    """argparse, except that a wrong command line ends with our code for it."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}; `{self.prog} --help` tells more\n")


def main(arguments: list[str] | None = None) -> int:
    """Runs one subcommand; the exit code."""
    options = _parser().parse_args(arguments)
    run: Run = options.run
    try:
        code = run(options)
        sys.stdout.flush()
        return code
    except ProcessExit as exit_:
        complain(f"vx: {exit_.sentence}")
        return exit_.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; the interpreter would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILURE
    except OSError as error:
        complain(f"vx: {error}")
        return ExitCode.FAILURE


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vx",
        description="VX Exchange Server.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    version = importlib.metadata.version("vx-exchange")
    parser.add_argument("--version", action="version", version=f"vx-exchange {version}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    _add_up(_add(commands, "up", up.up, _UP_TEXT, _UP_EXAMPLES))
    _add_call(_add(commands, "call", call.call, "Send one request and print the result.", _call_epilog()))

    text = live_commands.DEMO_TEXT
    sub = _add(commands, "demo", live_commands.demo, text, live_commands.DEMO_EXAMPLES)
    live_commands.add_demo(sub)
    text = live_commands.WATCH_TEXT
    sub = _add(commands, "watch", live_commands.watch, text, live_commands.WATCH_EXAMPLES)
    live_commands.add_watch(sub)

    text = "Make a new, empty data directory."
    sub = _add(commands, "init", engine.init, text)
    _add_data_directory(sub)
    sub.add_argument("--journal-dir", type=Path, metavar="DIR", help="keep the journal elsewhere")

    text = "Declare a copied data directory to be the system, its original being gone for good."
    sub = _add(commands, "adopt", engine.adopt, text)
    _add_data_directory(sub)
    sub.add_argument(
        "--config",
        type=Path,
        metavar="CONFIG",
        help="take over the databases of the C system which these settings name, into a new data directory",
    )

    sub = _add(commands, "matchengine", engine.run, "Run the engine in the foreground.")
    _add_config(sub)
    _add_data_directory(sub)
    _add_daemon(sub)

    for program, text in (
        (RECORDER, "Run the recorder in the foreground, with the settings of its engine."),
        (READHISTORY, "Run readhistory in the foreground."),
        (MARKETPRICE, "Run marketprice in the foreground."),
        (ALERTCENTER, "Run the alert centre in the foreground."),
    ):
        sub = _add(commands, program.name, functools.partial(services.run, program), text)
        if program is RECORDER:
            sub.add_argument(
                "--sink",
                choices=("history", "messages"),
                default="history",
                help="what it records, where history and messages go to different stores: history (the "
                "default), or messages, which ends at once where there is nothing to do",
            )
        _add_config(sub)
        _add_data_directory(sub)
        _add_daemon(sub)

    for program, text in (
        (ACCESSHTTP, "Run the HTTP gateway in the foreground: all of it, or one role."),
        (ACCESSWS, "Run the websocket gateway in the foreground: all of it, or one role."),
    ):
        sub = _add(commands, program.name, functools.partial(gateway.run, program), text)
        _add_config(sub)
        _add_data_directory(sub)
        _add_open_bind(sub)
        _add_daemon(sub)
        sub.add_argument(
            "--role",
            choices=("run", "listener", "worker"),
            default="run",
            help="a part (default: run, all of it)",
        )
        sub.add_argument("--index", type=int, metavar="N", help="which worker, from 0")

    text = "Show how the processes of a running exchange are; exit code 1 unless all is well."
    sub = _add(commands, "status", status.status, text)
    sub.add_argument("--data-dir", type=Path, metavar="DIR", help="that of a `vx up` (default: ./vx-data)")
    sub.add_argument(
        "--port-offset",
        type=int,
        default=0,
        metavar="N",
        help="without a `vx up`: ask at the usual ports, N higher",
    )
    sub.add_argument("--json", action="store_true", help="print everything that is known as JSON")

    text = "Check a settings file, compare it with the assets and markets in force, or put it in force."
    config = commands.add_parser("config", help=text, description=text, allow_abbrev=False)
    actions = config.add_subparsers(metavar="check|diff|apply", required=True, parser_class=_Parser)
    sub = _add(actions, "check", check.config_check, "Say everything that is wrong with a settings file.")
    _add_config(sub)
    _add_open_bind(sub)
    sub.add_argument(
        "--process",
        choices=[program.name for program in CONFIGURED],
        help="whose file it is, if that is not plain",
    )
    for name, run, text in (
        ("diff", engine.config_diff, "Show how the file differs; exit code 1 if it does."),
        ("apply", engine.config_apply, "Put the assets and markets of the file in force."),
    ):
        sub = _add(actions, name, run, text)
        _add_config(sub)
        _add_data_directory(sub)

    sub = commands.add_parser("token", help=token.TEXT, description=token.TEXT, allow_abbrev=False)
    token.add_arguments(sub, up.DEFAULT_DIRECTORY)

    text = "Show the alerts of a data directory, oldest first."
    sub = _add(commands, "alerts", services.alerts, text)
    default = Path(up.DEFAULT_DIRECTORY)
    sub.add_argument("--data-dir", type=Path, default=default, metavar="DIR", help=f"default: ./{default}")
    sub.add_argument("--since", metavar="TIME", help="90m, 2h, 7d, or 2024-05-01T12:00")
    sub.add_argument("--limit", type=int, metavar="ROWS", help="only the newest so many")
    sub.add_argument("--json", action="store_true", help="one JSON object per line")

    database = commands.add_parser("db", help=db.TEXT, description=db.TEXT, allow_abbrev=False)
    actions = database.add_subparsers(metavar="init|check|migrate", required=True, parser_class=_Parser)
    for name, run, text in db.ACTIONS:
        _add_config_only(_add(actions, name, run, text))

    handover.add_arguments(_add(commands, "handover", handover.handover, handover.TEXT))
    coming = commands.add_parser("migrate", help=migrate.TEXT, description=migrate.TEXT, allow_abbrev=False)
    actions = coming.add_subparsers(metavar="rehearse|cutover", required=True, parser_class=_Parser)
    sub = _add(actions, "rehearse", migrate.rehearse, migrate.REHEARSE_TEXT, migrate.REHEARSE_EXAMPLES)
    migrate.add_rehearse(sub)
    sub = _add(actions, "cutover", migrate.cutover, migrate.CUTOVER_TEXT, migrate.CUTOVER_EXAMPLES)
    migrate.add_cutover(sub)

    text = "Work on the candles of marketprice."
    candles = commands.add_parser("candles", help=text, description=text, allow_abbrev=False)
    actions = candles.add_subparsers(metavar="rebuild", required=True, parser_class=_Parser)
    text = "Make all candles again from the history, while marketprice is stopped."
    sub = _add(actions, "rebuild", services.candles_rebuild, text)
    sub.add_argument(
        "config", type=Path, nargs="?", metavar="CONFIG", help="settings of marketprice (default: packaged)"
    )
    _add_embedded(sub)
    _add_data_directory(sub)

    text = "Remove archived journal segments for good; says what can not be made again any more."
    sub = _add(commands, "prune", services.prune, text)
    _add_data_directory(sub)
    sub.add_argument("--journal-dir", type=Path, metavar="DIR", help="where the journal is, if elsewhere")

    backup.add_arguments(_add(commands, "backup", backup.backup, backup.TEXT))
    restore.add_arguments(_add(commands, "restore", restore.restore, restore.TEXT))
    at.add_arguments(_add(commands, "at", at.at, at.TEXT, at.EXAMPLES))
    diff.add_arguments(_add(commands, "diff", diff.diff, diff.TEXT, diff.EXAMPLES))

    text = "Replay the journal of a stopped engine, read-only, and check the laws."
    sub = _add(commands, "audit", engine.audit, text)
    where = sub.add_mutually_exclusive_group(required=True)
    where.add_argument("data_dir", type=Path, nargs="?", metavar="DIR", help="the data directory")
    where.add_argument("--data-dir", type=Path, dest="data_dir_option", metavar="DIR", help="the same")
    sub.add_argument("--journal-dir", type=Path, metavar="DIR", help="where the journal is, if elsewhere")
    sub.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _add(
    commands: argparse._SubParsersAction[_Parser], name: str, run: Run, text: str, epilog: str = ""
) -> _Parser:
    sub = commands.add_parser(
        name,
        help=text.splitlines()[0],
        description=text,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    sub.set_defaults(run=run)
    return sub


def _add_data_directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", type=Path, required=True, metavar="DIR", help="the data directory")


def _add_daemon(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--daemon", action="store_true", help="go to the background, under a watchdog")


def _add_config(parser: argparse.ArgumentParser) -> None:
    _add_config_only(parser)
    _add_embedded(parser)


def _add_config_only(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="settings: our TOML or a C config.json")


def _add_open_bind(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allow-open-bind",
        action="store_true",
        help="let other machines reach a gateway although its settings name no tokens, networks or TLS",
    )


def _add_embedded(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--embedded",
        action="store_true",
        help="run on the embedded stores although the file names servers which this version can not use",
    )


def _add_up(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings of the engine (default: the packaged ones)"
    )
    for name in (program.name for program in CONFIGURED if program is not ENGINE):
        parser.add_argument(
            f"--{name}-config",
            type=Path,
            metavar="FILE",
            help=f"settings of {name} (default: the packaged ones, for this engine)",
        )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help=f"the data directory (default: ./{up.DEFAULT_DIRECTORY})"
    )
    parser.add_argument("--port-offset", type=int, default=0, metavar="N", help="add N to every port")
    _add_embedded(parser)
    _add_open_bind(parser)


def _add_call(parser: argparse.ArgumentParser) -> None:
    parser.usage = "vx call [options] METHOD [PARAM ...]"
    parser.add_argument("method", metavar="METHOD", help="one of the methods below")
    parser.add_argument("parameters", metavar="PARAM", nargs="*", help="its parameters, in this order")
    parser.add_argument(
        "--address",
        help="where whoever serves the method listens: tcp@ip:port, udp@ip:port, stream@path, ... "
        "(default: its usual port on this machine)",
    )
    parser.add_argument("--http", metavar="URL", help="ask the HTTP(S) gateway there, not the engine")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="bearer token for the HTTP gateway")
    parser.add_argument(
        "--ca", type=Path, metavar="FILE", help="PEM file of who is trusted for https (default: the system's)"
    )
    parser.add_argument("--raw", metavar="JSON", help="all parameters as one JSON array, sent as it is")
    parser.add_argument("--key", help="idempotency key: a repeat with the same key gets the first outcome")
    parser.add_argument(
        "--timeout", type=_seconds, default=5.0, metavar="S", help="seconds to wait (default: 5)"
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= call.TIMEOUT_S_MAX:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds up to {call.TIMEOUT_S_MAX:g}")
    return value


def _call_epilog() -> str:
    lines = [methods.usage(command).removeprefix("vx call ") for command in methods.available()]
    listed = "\n  ".join(lines)
    return f"methods:\n  {listed}\n\n{_CALL_EXAMPLES}"
