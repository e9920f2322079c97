"""The subcommands of the recorder and of the services around the engine: `vx` becomes that program."""

from __future__ import annotations

import argparse

from gateways.cli.programs import ALERTCENTER, MARKETPRICE, RECORDER, Program, become


def run(program: Program, options: argparse.Namespace) -> int:
    """`vx recorder`, `vx readhistory`, `vx marketprice`, `vx alertcenter`"""
    words = ["run", options.config, "--data-dir", options.data_dir]
    words += ["--embedded"] if options.embedded else []
    words += ["--sink", options.sink] if program is RECORDER else []
    become(program, words + (["--daemon"] if options.daemon else []))


def prune(options: argparse.Namespace) -> int:
    """`vx prune`"""
    words = ["prune", "--data-dir", options.data_dir]
    become(RECORDER, words + (["--journal-dir", options.journal_dir] if options.journal_dir else []))


def candles_rebuild(options: argparse.Namespace) -> int:
    """`vx candles rebuild`"""
    config = [options.config] if options.config is not None else []
    words = ["rebuild", *config, "--data-dir", options.data_dir]
    become(MARKETPRICE, words + (["--embedded"] if options.embedded else []))


def alerts(options: argparse.Namespace) -> int:
    """`vx alerts`"""
    words = ["list", "--data-dir", options.data_dir]
    words += ["--since", options.since] if options.since is not None else []
    words += ["--limit", str(options.limit)] if options.limit is not None else []
    become(ALERTCENTER, words + (["--json"] if options.json else []))
