"""The engine's own subcommands: `vx` becomes `python -m matchengine` with the same words.

A service never imports another one, so nothing of the engine is loaded here; after `become_engine` this
process is the engine (one process for supervisord to watch, and its own exit code).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn


def engine_command(words: Sequence[str | Path]) -> list[str]:
    """The command line of the engine's program with these words."""
    return [sys.executable, "-m", "matchengine", *map(str, words)]


def engine_environment() -> dict[str, str]:
    """Our environment, and: modules are not looked for in the working directory, which may hold a directory
    called `matchengine` (the engine's data, for instance)."""
    return os.environ | {"PYTHONSAFEPATH": "1"}


def become_engine(words: Sequence[str | Path]) -> NoReturn:
    """Replaces this process by the engine's program. Raises: OSError if that is not possible."""
    sys.stdout.flush()
    sys.stderr.flush()
    command = engine_command(words)
    os.execve(command[0], command, engine_environment())  # noqa: S606


def init(options: argparse.Namespace) -> int:
    """`vx init`"""
    become_engine(["init", *_directories(options)])


def adopt(options: argparse.Namespace) -> int:
    """`vx adopt`"""
    become_engine(["adopt", *_directories(options)])


def run(options: argparse.Namespace) -> int:
    """`vx matchengine`"""
    become_engine(
        ["run", options.config, *_directories(options), *_embedded(options)]
        + (["--daemon"] if options.daemon else [])
    )


def config_diff(options: argparse.Namespace) -> int:
    """`vx config diff`"""
    become_engine(["config-diff", options.config, *_directories(options), *_embedded(options)])


def config_apply(options: argparse.Namespace) -> int:
    """`vx config apply`"""
    become_engine(["config-apply", options.config, *_directories(options), *_embedded(options)])


def audit(options: argparse.Namespace) -> int:
    """`vx audit`"""
    become_engine(["audit", *_directories(options)] + (["--json"] if options.json else []))


def _directories(options: argparse.Namespace) -> list[str | Path]:
    words: list[str | Path] = ["--data-dir", options.data_dir]
    journal_directory = getattr(options, "journal_dir", None)
    if journal_directory is not None:
        words += ["--journal-dir", journal_directory]
    return words


def _embedded(options: argparse.Namespace) -> list[str | Path]:
    return ["--embedded"] if options.embedded else []
