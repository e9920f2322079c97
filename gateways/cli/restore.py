"""`vx restore`: the engine's own subcommand."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from gateways.cli.programs import ENGINE, become

TEXT: Final = """\
Put a backup into a new data directory, ready to be started.

It gets an epoch and ids above all that were seen in the backup and in the directory that it replaces, so that
no id is given a second time. What that directory had after the backup is told, and is given up.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of `vx restore`."""
    parser.add_argument("backup", type=Path, metavar="BACKUP", help="a directory made by `vx backup`")
    parser.add_argument("--data-dir", type=Path, required=True, metavar="NEW", help="missing or empty")
    parser.add_argument("--replaces", type=Path, metavar="OLD", help="the data directory that is given up")
    parser.add_argument("--replaces-journal", type=Path, metavar="DIR", help="its journal, if elsewhere")
    parser.add_argument(
        "--jump", metavar="N", help="how far above the highest ids seen the new ones begin (default: 1000000)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def restore(options: argparse.Namespace) -> int:
    """`vx restore`"""
    words: list[str | Path] = ["restore", options.backup, "--data-dir", options.data_dir]
    for name, value in (
        ("--replaces", options.replaces),
        ("--replaces-journal", options.replaces_journal),
        ("--jump", options.jump),
    ):
        words += [name, value] if value is not None else []
    become(ENGINE, words + (["--json"] if options.json else []))
