"""The gateways' subcommands: `vx` becomes `python -m gateways.<name>`, as a whole or in one role."""

from __future__ import annotations

import argparse
from pathlib import Path

from gateways.cli.programs import Program, become
from vxutils.exits import ExitCode, ProcessExit


def run(program: Program, options: argparse.Namespace) -> int:
    """`vx accesshttp`, `vx accessws`. Raises: ProcessExit (USAGE) for an index without the worker's role."""
    if options.index is not None and options.role != "worker":
        raise ProcessExit(ExitCode.USAGE, "--index is for --role worker")
    words: list[str | Path] = [options.role, options.config, "--data-dir", options.data_dir]
    words += ["--index", str(options.index)] if options.index is not None else []
    words += ["--allow-open-bind"] if options.allow_open_bind else []
    words += ["--embedded"] if options.embedded else []
    become(program, words + (["--daemon"] if options.daemon else []))
