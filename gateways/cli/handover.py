"""`vx handover`: the engine's own subcommand, while nothing of the exchange runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from gateways.cli.programs import ENGINE, become

TEXT: Final = """\
Give the exchange back to the C system, whose databases it is in.

Engine and recorders are stopped before. Everything is recorded, a slice is written from which the C engine
starts, read back and compared. From then on nothing of ours starts on this data directory; `vx adopt` takes
the exchange back into a new one. May be repeated whenever it breaks off.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of `vx handover`."""
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the settings of the engine")
    parser.add_argument("--data-dir", type=Path, required=True, metavar="DIR", help="the data directory")
    parser.add_argument(
        "--accept-loss", action="store_true", help="go on although digits get lost, and list them all"
    )
    parser.add_argument(
        "--wait-s",
        type=float,
        metavar="S",
        help="how long the stores may take to catch up (default: an hour)",
    )


def handover(options: argparse.Namespace) -> int:
    """`vx handover`"""
    words: list[str | Path] = ["handover", options.config, "--data-dir", options.data_dir]
    if options.accept_loss:
        words.append("--accept-loss")
    if options.wait_s is not None:
        words += ["--wait-s", str(options.wait_s)]
    become(ENGINE, words)
