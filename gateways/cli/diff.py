"""`vx diff`: the engine's own subcommand; engine and recorder may run meanwhile."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from gateways.cli.programs import ENGINE, become
from gateways.cli.up import DEFAULT_DIRECTORY

TEXT: Final = (
    "Show how the states of engine and recorder differ, and since which record; exit code 1 if they do."
)
EXAMPLES: Final = """\
examples:
  vx diff                                      the newest dumps of both in ./vx-data
  vx diff --data-dir /srv/vx --all             all accounts and orders that differ
  vx diff one.slice other.slice                any two dumps or slices
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of `vx diff`."""
    default = Path(DEFAULT_DIRECTORY)
    parser.add_argument("dumps", type=Path, nargs="*", metavar="DUMP", help="two dumps (default: the newest)")
    parser.add_argument("--data-dir", type=Path, default=default, metavar="DIR", help=f"default: ./{default}")
    parser.add_argument("--journal-dir", type=Path, metavar="DIR", help="where the journal is, if elsewhere")
    parser.add_argument("--all", action="store_true", help="list all that differs, not only the first")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def diff(options: argparse.Namespace) -> int:
    """`vx diff`"""
    words: list[str | Path] = ["diff", *options.dumps, "--data-dir", options.data_dir]
    words += ["--journal-dir", options.journal_dir] if options.journal_dir is not None else []
    words += ["--all"] if options.all else []
    become(ENGINE, words + (["--json"] if options.json else []))
