"""`vx backup`: the engine's own subcommand; it may run meanwhile."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from gateways.cli.programs import ENGINE, become
from gateways.cli.up import DEFAULT_DIRECTORY

TEXT: Final = """\
Copy a data directory into a new directory, whether the exchange runs or not.

The copy is read back and replayed; a file BACKUP in it says that it is whole. `vx restore` makes
an exchange of it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of `vx backup`."""
    default = Path(DEFAULT_DIRECTORY)
    parser.add_argument("target", type=Path, metavar="TARGET", help="a directory that is missing or empty")
    parser.add_argument("--data-dir", type=Path, default=default, metavar="DIR", help=f"default: ./{default}")
    parser.add_argument("--journal-dir", type=Path, metavar="DIR", help="where the journal is, if elsewhere")
    parser.add_argument(
        "--config",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a settings file to keep with it; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print the manifest as JSON")


def backup(options: argparse.Namespace) -> int:
    """`vx backup`"""
    words: list[str | Path] = ["backup", options.target, "--data-dir", options.data_dir]
    if options.journal_dir is not None:
        words += ["--journal-dir", options.journal_dir]
    for path in options.config:
        words += ["--config", path]
    become(ENGINE, words + (["--json"] if options.json else []))
