"""The HTTP gateway's subcommand: `vx` becomes `python -m gateways.accesshttp`, as a whole or in one role."""

from __future__ import annotations

import argparse
from pathlib import Path

from gateways.cli.programs import ACCESSHTTP, become
from vxutils.exits import ExitCode, ProcessExit


def run(options: argparse.Namespace) -> int:
    """`vx accesshttp`. Raises: ProcessExit (USAGE) for an index without the worker's role."""
    if options.index is not None and options.role != "worker":
        raise ProcessExit(ExitCode.USAGE, "--index is for --role worker")
    words: list[str | Path] = [options.role, options.config, "--data-dir", options.data_dir]
    words += ["--index", str(options.index)] if options.index is not None else []
    words += ["--allow-open-bind"] if options.allow_open_bind else []
    become(ACCESSHTTP, words + (["--daemon"] if options.daemon else []))
