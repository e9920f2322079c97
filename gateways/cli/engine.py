"""The engine's own subcommands: `vx` becomes `python -m matchengine` with the same words."""

from __future__ import annotations

import argparse
from pathlib import Path

from gateways.cli.programs import ENGINE, become


def init(options: argparse.Namespace) -> int:
    """`vx init`"""
    become(ENGINE, ["init", *_directories(options)])


def adopt(options: argparse.Namespace) -> int:
    """`vx adopt`"""
    config = ["--config", options.config] if options.config is not None else []
    become(ENGINE, ["adopt", *_directories(options), *config])


def run(options: argparse.Namespace) -> int:
    """`vx matchengine`"""
    daemon = ["--daemon"] if options.daemon else []
    become(ENGINE, ["run", options.config, *_directories(options), *_embedded(options), *daemon])


def config_diff(options: argparse.Namespace) -> int:
    """`vx config diff`"""
    become(ENGINE, ["config-diff", options.config, *_directories(options), *_embedded(options)])


def config_apply(options: argparse.Namespace) -> int:
    """`vx config apply`"""
    become(ENGINE, ["config-apply", options.config, *_directories(options), *_embedded(options)])


def audit(options: argparse.Namespace) -> int:
    """`vx audit`"""
    options.data_dir = options.data_dir or options.data_dir_option
    become(ENGINE, ["audit", *_directories(options)] + (["--json"] if options.json else []))


def _directories(options: argparse.Namespace) -> list[str | Path]:
    words: list[str | Path] = ["--data-dir", options.data_dir]
    journal_directory = getattr(options, "journal_dir", None)
    if journal_directory is not None:
        words += ["--journal-dir", journal_directory]
    return words


def _embedded(options: argparse.Namespace) -> list[str | Path]:
    return ["--embedded"] if options.embedded else []
