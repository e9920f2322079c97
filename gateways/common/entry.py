"""`python -m gateways.<name>` of a gateway: words to roles, errors to sentences and exit codes.

Operators use the `vx` command, which calls this one. What is done is in `gateway`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec

from gateways.common.gateway import WORKERS_MAX, Gateway, GatewaySettings, Start, start
from gateways.common.settings import OPEN_BIND_FLAG
from vxnet.errors import AddressError
from vxutils.entry import LoadedSettings
from vxutils.exits import ExitCode, ProcessExit
from vxutils.process import die_with_parent
from vxutils.settings import SettingsError

S = TypeVar("S", bound=GatewaySettings)


class Words(msgspec.Struct, frozen=True):
    """What the help says about one gateway."""

    description: str
    open_bind: str
    embedded: str


def main(
    gateway: Gateway[S],
    load: Callable[[Path, bool, bool], LoadedSettings[S]],
    words: Words,
    arguments: list[str] | None = None,
) -> int:
    """Runs one role; the exit code. A user's mistake gives a sentence, never a traceback.

    `load(path, allow_open_bind, embedded)` reads the settings.
    """
    name = gateway.name
    options = _parser(name, words).parse_args(arguments)
    try:
        if options.parent_pid:
            die_with_parent(options.parent_pid)
        loaded = load(options.config, options.allow_open_bind, options.embedded)
        how = Start(options.role, options.data_dir, options.index, options.watchdog, options.daemon)
        return start(gateway, loaded, how)
    except ProcessExit as exit_:
        _complain(name, exit_.sentence)
        return exit_.code
    except SettingsError as error:
        lines = "\n  ".join(error.problems)
        _complain(name, f"{options.config} can not be used:\n  {lines}")
        return ExitCode.CONFIG
    except AddressError as error:
        _complain(name, str(error))
        return ExitCode.ADDRESS_TAKEN
    except OSError as error:
        _complain(name, str(error))
        return ExitCode.FAILURE


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the words and ends with the code for that."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\n")


def _parser(name: str, words: Words) -> argparse.ArgumentParser:
    parser = _Parser(prog=name, description=words.description, allow_abbrev=False)
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
        sub.add_argument(OPEN_BIND_FLAG, action="store_true", help=words.open_bind)
        mode = sub.add_mutually_exclusive_group()
        mode.add_argument("--daemon", action="store_true", help="go to the background, under a watchdog")
        mode.add_argument(
            "--watchdog",
            action="store_true",
            help="stay in the foreground, under a watchdog (`run` has one for each process anyway)",
        )
        sub.add_argument("--embedded", action="store_true", help=words.embedded)
        sub.add_argument("--parent-pid", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def _index(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) >= WORKERS_MAX:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 0 to {WORKERS_MAX - 1}")
    return int(text)


def _complain(name: str, sentence: str) -> None:
    print(f"{name}: {sentence}", file=sys.stderr)  # noqa: T201
