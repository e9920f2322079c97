"""`vx at`: the engine's own subcommand; it may run meanwhile."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from gateways.cli.programs import ENGINE, become
from gateways.cli.up import DEFAULT_DIRECTORY

TEXT: Final = "Show book and balances as they were after a journal record, or at a time."
EXAMPLES: Final = """\
examples:
  vx at 12345                                  after the record with this sequence
  vx at 2024-05-01T12:00:00Z --user 7          at this time; the time zone is part of it
  vx at @1714564800 --market BTCUSDT           at this unix time
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of `vx at`."""
    default = Path(DEFAULT_DIRECTORY)
    parser.add_argument("moment", metavar="SEQUENCE|TIME", help="1234, 2024-05-01T12:00:00Z or @1714564800")
    parser.add_argument("--data-dir", type=Path, default=default, metavar="DIR", help=f"default: ./{default}")
    parser.add_argument("--journal-dir", type=Path, metavar="DIR", help="where the journal is, if elsewhere")
    parser.add_argument("--market", metavar="NAME", help="also the depth of this market")
    parser.add_argument("--user", metavar="ID", help="also the balances and open orders of this user")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def at(options: argparse.Namespace) -> int:
    """`vx at`"""
    words: list[str | Path] = ["at", options.moment, "--data-dir", options.data_dir]
    for name, value in (
        ("--journal-dir", options.journal_dir),
        ("--market", options.market),
        ("--user", options.user),
    ):
        words += [name, value] if value is not None else []
    become(ENGINE, words + (["--json"] if options.json else []))
