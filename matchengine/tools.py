"""The subcommands `backup`, `restore` and `at`: words in, sentences or JSON out.

What is done is in the modules of these names. Progress goes to standard error, and only to a terminal.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from matchengine.at import parse_moment, state_at, time_text
from matchengine.at_view import facts_of, lines_of
from matchengine.backup import backup
from matchengine.given_up import GivenUp, Original
from matchengine.given_up_topics import Topics
from matchengine.recovery import JOURNAL_DIRECTORY
from matchengine.restore import JUMP_DEFAULT, JUMP_MAX, Restored, restore
from vxnet.clock import SystemClock
from vxutils.disk import Disk
from vxutils.exits import ExitCode

NICENESS: Final = 10  # the exchange goes first
REST: Final = 0.5  # times the duration of each piece of work
REST_S_MAX: Final = 0.2

Command = Callable[[argparse.Namespace], int]
Add = Callable[[str, Command, str], argparse.ArgumentParser]


def add_tools(add: Add) -> None:
    """Adds the subcommands; `add` makes one that knows --data-dir."""
    sub = add("backup", _backup, "Copy a data directory, in use or not, into a new directory.")
    sub.add_argument("target", type=Path, metavar="TARGET", help="a directory that is missing or empty")
    sub.add_argument("--journal-dir", type=Path, metavar="DIR", help="where the journal is, if elsewhere")
    sub.add_argument(
        "--config",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a settings file to keep with it",
    )
    sub.add_argument("--json", action="store_true", help="print the manifest as JSON")

    sub = add("restore", _restore, "Put a backup into a new data directory, with new ids, ready to start.")
    sub.add_argument("backup", type=Path, metavar="BACKUP")
    sub.add_argument("--replaces", type=Path, metavar="OLD", help="the data directory that is given up")
    sub.add_argument("--replaces-journal", type=Path, metavar="DIR", help="its journal, if elsewhere")
    sub.add_argument(
        "--jump",
        type=_jump,
        default=JUMP_DEFAULT,
        metavar="N",
        help=f"how far above the highest ids seen the new ones begin (default: {JUMP_DEFAULT})",
    )
    sub.add_argument("--json", action="store_true", help="print the result as JSON")

    sub = add("at", _at, "Show book and balances as they were.")
    sub.add_argument("moment", metavar="SEQUENCE|TIME", help="1234, 2024-05-01T12:00:00Z or @1714564800")
    sub.add_argument("--journal-dir", type=Path, metavar="DIR", help="where the journal is, if elsewhere")
    sub.add_argument("--market", metavar="NAME", help="the depth of this market")
    sub.add_argument("--user", type=int, metavar="ID", help="the balances and open orders of this user")
    sub.add_argument("--json", action="store_true", help="print it as JSON")


def _backup(options: argparse.Namespace) -> int:
    os.nice(NICENESS)
    target: Path = options.target
    with _Progress() as progress:
        manifest, warnings = backup(
            Disk(),
            SystemClock(),
            options.data_dir,
            options.journal_dir or options.data_dir / JOURNAL_DIRECTORY,
            target,
            options.config,
            progress.show,
            _Rest().rest,
        )
    for warning in warnings:
        print(f"matchengine: {warning}", file=sys.stderr)  # noqa: T201
    if options.json:
        facts = msgspec.to_builtins(manifest)
        facts["warnings"] = warnings
        print(json.dumps(facts))  # noqa: T201
        return ExitCode.OK
    size_bytes = sum(file.size_bytes for file in manifest.files)
    print(  # noqa: T201
        f"{target}: system {manifest.system_id} up to sequence {manifest.sequence}, "
        f"{time_text(manifest.time_us)}; {len(manifest.files)} files, {size_bytes} bytes, read back and "
        "replayed"
    )
    return ExitCode.OK


def _restore(options: argparse.Namespace) -> int:
    old: Path | None = options.replaces
    original = None
    if old is not None:
        original = Original(old, options.replaces_journal or old / JOURNAL_DIRECTORY)
    with _Progress() as progress:
        done = restore(
            Disk(), SystemClock(), options.backup, options.data_dir, original, options.jump, progress.show
        )
    print(json.dumps(msgspec.to_builtins(done)) if options.json else "\n".join(restored_lines(done)))  # noqa: T201
    return ExitCode.OK


def _at(options: argparse.Namespace) -> int:
    moment = parse_moment(options.moment)
    journal = options.journal_dir or options.data_dir / JOURNAL_DIRECTORY
    found = state_at(Disk(), options.data_dir, journal, moment, SystemClock().wall_us())
    for warning in found.warnings:
        print(f"matchengine: {warning}", file=sys.stderr)  # noqa: T201
    facts = facts_of(found, options.market, options.user)
    print(json.dumps(facts) if options.json else "\n".join(lines_of(facts)))  # noqa: T201
    return ExitCode.OK


def restored_lines(done: Restored) -> list[str]:
    """What was restored, and what was given up, in words."""
    lines = [
        f"system {done.system_id}, epoch {done.epoch}: the state after sequence {done.backup_sequence}, "
        f"{time_text(done.backup_time_us)}",
        f"ids go on after order {done.order_id}, deal {done.deal_id}, operation {done.operation_id}",
    ]
    if done.given_up is None:
        lines.append(
            "what came after the backup is not known (no --replaces); ids that clients got in the meantime "
            "are lower than the new ones if there were fewer than the jump"
        )
    else:
        lines += _given_up_lines(done.given_up)
    return lines + (_topics_lines(done.topics) if done.topics is not None else [])


def _given_up_lines(given_up: GivenUp) -> list[str]:
    lines = []
    if given_up.records:
        kinds = ", ".join(f"{count} {words}" for words, count in given_up.commands.items())
        lines += [
            f"given up: {given_up.records} records up to sequence {given_up.last_sequence}, from "
            f"{time_text(given_up.first_us)} to {time_text(given_up.last_us)}",
            f"  {kinds}; {given_up.deals} deals",
        ]
    elif given_up.known_sequence == given_up.last_sequence:
        lines.append("nothing was given up: the original has no record after the backup")
    if given_up.known_sequence > given_up.last_sequence:
        lines.append(
            f"given up, and not readable: sequences {given_up.last_sequence + 1} to {given_up.known_sequence}"
        )
    return lines + [f"  the original: {problem}" for problem in given_up.problems]


def _topics_lines(topics: Topics) -> list[str]:
    if topics.sequence is None:
        return [
            "the backup does not say how far messages were sent to Kafka (it has no kafka.json): the "
            "recorder will refuse to start until the topics are deleted and made anew"
        ]
    lines = [
        f"messages to Kafka go on after sequence {topics.sequence}; what the topics hold up to sequence "
        f"{topics.kept} is not sent again"
    ]
    if topics.sent is None or topics.sent > topics.kept:
        last = "" if topics.sent is None else f" to {topics.sent}"
        lines.append(
            f"given up: messages after sequence {topics.kept}{last}; they stay in the topics, who read them "
            "has them, and an alarm counts them at the first start (`vx candles rebuild` makes candles "
            "without them)"
        )
    return lines


class _Progress:
    """One line on the terminal that is written over."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._write("")

    def show(self, text: str) -> None:
        self._write(text)

    def _write(self, text: str) -> None:
        if self._is_shown:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)  # noqa: T201


class _Rest:
    """Sleeps for a part of the time that has passed since it was last called."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def rest(self) -> None:
        worked_s = time.monotonic() - self._begun
        if worked_s > 0.001:
            time.sleep(min(REST_S_MAX, worked_s * REST))
            self._begun = time.monotonic()


def _jump(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value <= JUMP_MAX:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to {JUMP_MAX}")
    return value
