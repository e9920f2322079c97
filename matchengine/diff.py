"""The subcommand `diff`: how the states of engine and recorder differ, and since which record.

What is compared is in `compare`, the replay in `first_difference`; here are the words. Exit code 0: equal.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from matchengine import slices, system
from matchengine.compare import LIMIT, Comparison, OpenOrder, compare
from matchengine.divergence import ENGINE, RECORDER, dump_directory
from matchengine.first_difference import Culprit, Replayed, find, probe_of
from matchengine.recovery import JOURNAL_DIRECTORY
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit

Command = Callable[[argparse.Namespace], int]
Add = Callable[[str, Command, str], argparse.ArgumentParser]


class Difference(msgspec.Struct):
    """All that was found. `agrees_with`: whose dump is the state that a replay of now leads to."""

    names: tuple[str, str]
    dumps: tuple[str, str] | None
    compared: Comparison | None
    replayed: Replayed | None
    agrees_with: list[str]

    @property
    def is_equal(self) -> bool:
        return (self.compared is None or self.compared.is_equal) and (
            self.replayed is None or self.replayed.first is None
        )


def add_diff(add: Add) -> None:
    """Adds the subcommand; `add` makes one that knows --data-dir."""
    sub = add("diff", _diff, "Show how the states of engine and recorder differ, and since which record.")
    sub.add_argument(
        "dumps", type=Path, nargs="*", metavar="DUMP", help="two dumps or slices (default: newest)"
    )
    sub.add_argument("--journal-dir", type=Path, metavar="DIR", help="where the journal is, if elsewhere")
    sub.add_argument("--all", action="store_true", help=f"list all that differs, not the first {LIMIT}")
    sub.add_argument("--json", action="store_true", help="print the result as JSON")


def _diff(options: argparse.Namespace) -> int:
    if len(options.dumps) not in (0, 2):
        raise ProcessExit(ExitCode.USAGE, "either no dump is named, or two")
    journal = options.journal_dir or options.data_dir / JOURNAL_DIRECTORY
    found = difference(Disk(), options.data_dir, journal, options.dumps, None if options.all else LIMIT)
    if options.json:
        print(json.dumps({**msgspec.to_builtins(found), "is_equal": found.is_equal}))  # noqa: T201
    else:
        print("\n".join(lines_of(found)))  # noqa: T201
    return ExitCode.OK if found.is_equal else ExitCode.FAILURE


def difference(disk: Disk, data: Path, journal: Path, given: list[Path], limit: int | None) -> Difference:
    """Compares the given two dumps, else the newest pair of `data`; replays if `data` is a data directory.

    Raises: SliceError, JournalError, SystemFileError, ProcessExit.
    """
    names = (str(given[0]), str(given[1])) if given else (ENGINE, RECORDER)
    paths = given or _newest_pair(disk, data)
    dumps = [slices.verify_slice(disk, path) for path in paths]
    compared = compare(disk, dumps[0], dumps[1], limit) if dumps else None
    replayed = None
    agrees: list[str] = []
    if not given or disk.exists(data / system.SYSTEM_FILE):
        probe = probe_of(compared) if compared is not None else lambda engine: None
        through = min(compared.sequences) if compared is not None else None
        replayed = find(disk, data, journal, through, probe)
        agrees = [
            name
            for name, dump in zip(names, dumps, strict=False)
            if (dump.header.sequence, dump.state_hash.hex()) == (replayed.sequence, replayed.state_hash)
        ]
    shown = (str(paths[0]), str(paths[1])) if paths else None
    return Difference(names, shown, compared, replayed, agrees)


def _newest_pair(disk: Disk, data: Path) -> list[Path]:
    """The newest dumps of both sides that are of one sequence; empty if there are none."""
    sides = [
        {file.sequence: file.path for file in slices.list_slices(disk, dump_directory(data, side))}
        for side in (ENGINE, RECORDER)
    ]
    both = sides[0].keys() & sides[1].keys()
    return [side[max(both)] for side in sides] if both else []


def lines_of(found: Difference) -> list[str]:
    """The result in words."""
    lines: list[str] = []
    if found.dumps is None:
        lines.append("there is no pair of dumps: engine and recorder have not differed, or still write them")
    else:
        lines += [f"{name}: {path}" for name, path in zip(found.names, found.dumps, strict=True)]
    if found.compared is not None:
        lines += _compared_lines(found.compared, found.names)
    if found.replayed is not None:
        lines += _replayed_lines(found.replayed, found)
    return lines


def _compared_lines(found: Comparison, names: tuple[str, str]) -> Iterator[str]:
    one, other = names
    if found.sequences[0] != found.sequences[1]:
        yield f"they are of different moments: sequences {found.sequences[0]} and {found.sequences[1]}"
    if found.is_equal:
        yield "no account, no order and no counter differs"
        return
    yield (
        f"{found.account_count} accounts, {found.order_count} open orders and {len(found.others)} counters "
        f"and sums differ ({one} / {other})"
    )
    for account in found.accounts:
        yield (
            f"  user {account.user}, {account.asset}: available {account.available[0]} / "
            f"{account.available[1]}, frozen {account.frozen[0]} / {account.frozen[1]}"
        )
    yield from _cut(found.account_count, len(found.accounts), "accounts")
    for order in found.orders:
        yield f"  order {order.order_id}, {order.market}: {_fields(order, names)}"
    yield from _cut(found.order_count, len(found.orders), "open orders")
    for name, (here, there) in found.others.items():
        yield f"  {name}: {here} / {there}"


def _cut(count: int, shown: int, what: str) -> Iterator[str]:
    if count > shown:
        yield f"  and {count - shown} more {what}: --all lists them"


def _fields(order: OpenOrder, names: tuple[str, str]) -> str:
    if "id" in order.fields:  # one dump does not have it
        return f"only with {names[0] if order.fields['id'][0] != '-' else names[1]}"
    return ", ".join(f"{name} {here} / {there}" for name, (here, there) in order.fields.items())


def _replayed_lines(found: Replayed, whole: Difference) -> Iterator[str]:
    start = f"the slice of sequence {found.from_slice}" if found.from_slice else "the first record"
    if found.first is None:
        yield f"a replay from {start} to sequence {found.sequence} proves every record"
    else:
        yield f"a replay from {start} can not prove record {found.first.sequence}:"
        yield f"  {_record(found.first)}"
        yield f"  {found.sentence}"
        if found.touched is not None:
            yield f"the first of what differs was written last before it by record {found.touched.sequence}:"
            yield f"  {_record(found.touched)}"
        elif whole.compared is not None and not whole.compared.is_equal:
            yield "what differs first was not written between them"
    if whole.agrees_with and not whole.is_equal:
        yield f"the replay leads to the state of: {', '.join(whole.agrees_with)}"
    elif whole.dumps is not None and not whole.is_equal:
        yield "the replay leads to the state of neither dump"


def _record(record: Culprit) -> str:
    return (
        f"{record.command} at {record.time}, operation {record.operation_id}, segment {record.segment}, "
        f"offset {record.offset}: {record.params}"
    )
