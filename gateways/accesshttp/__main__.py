"""`python -m gateways.accesshttp`: words to roles, errors to sentences and exit codes.

Operators use the `vx` command, which calls this one. What is done is in `main`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from gateways.accesshttp.main import NAME, Start, start
from gateways.accesshttp.settings import WORKERS_MAX, load_settings
from gateways.common.settings import OPEN_BIND_FLAG
from vxnet.errors import AddressError
from vxutils.exits import ExitCode, ProcessExit
from vxutils.process import die_with_parent
from vxutils.settings import SettingsError


def main(arguments: list[str] | None = None) -> int:
    """Runs one role; the exit code. A user's mistake gives a sentence, never a traceback."""
    options = _parser().parse_args(arguments)
    try:
        if options.parent_pid:
            die_with_parent(options.parent_pid)
        loaded = load_settings(options.config, options.allow_open_bind)
        how = Start(options.role, options.data_dir, options.index, options.watchdog, options.daemon)
        return start(loaded, how)
    except ProcessExit as exit_:
        _complain(exit_.sentence)
        return exit_.code
    except SettingsError as error:
        lines = "\n  ".join(error.problems)
        _complain(f"{options.config} can not be used:\n  {lines}")
        return ExitCode.CONFIG
    except AddressError as error:
        _complain(str(error))
        return ExitCode.ADDRESS_TAKEN
    except OSError as error:
        _complain(str(error))
        return ExitCode.FAILURE


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the words and ends with the code for that."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=NAME, description="HTTP gateway.", allow_abbrev=False)
    roles = parser.add_subparsers(metavar="ROLE", required=True, parser_class=_Parser)
    for role, text in (
        ("run", "Run the whole gateway: listener and workers, each under its watchdog."),
        ("listener", "Run the listener alone, in the foreground."),
        ("worker", "Run one worker alone, in the foreground."),
    ):
        sub = roles.add_parser(role, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(role=role, index=0)
        sub.add_argument("config", type=Path, metavar="CONFIG", help="settings: our TOML or a C config.json")
        sub.add_argument(
            "--data-dir", type=Path, required=True, metavar="DIR", help="where sockets and logs are kept"
        )
        if role == "worker":
            sub.add_argument("--index", type=_index, default=0, metavar="N", help="which worker, from 0")
        sub.add_argument(
            OPEN_BIND_FLAG,
            action="store_true",
            help="let other machines reach a listener that has neither tokens nor networks, or the monitor",
        )
        mode = sub.add_mutually_exclusive_group()
        mode.add_argument("--daemon", action="store_true", help="go to the background, under a watchdog")
        mode.add_argument(
            "--watchdog",
            action="store_true",
            help="stay in the foreground, under a watchdog (`run` has one for each process anyway)",
        )
        sub.add_argument(
            "--embedded", action="store_true", help="as for other processes; a gateway uses no store"
        )
        sub.add_argument("--parent-pid", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def _index(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) >= WORKERS_MAX:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 0 to {WORKERS_MAX - 1}")
    return int(text)


def _complain(sentence: str) -> None:
    print(f"{NAME}: {sentence}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
