"""What the original of a restored exchange had after the end of the backup, as far as it can be read.

    backup's state --records of the original after it--> counted, executed, thrown away
    newest good slice, history, SYSTEM of the original --> how high its ids and epochs have come

Executing them gives the ids exactly. Where the journal of the original can not be read on, its slices and its
history tell how far it has come at least; the margin of the restore is for the rest. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from matchengine import recovery, slices, system
from matchengine.core.commands import CancelOrder, PutLimit, PutMarket, UpdateBalance
from matchengine.journal.archive import ARCHIVE_DIRECTORY
from matchengine.journal.durable import read_durable
from matchengine.journal.format import JournalError
from matchengine.journal.reader import Frame, scan
from matchengine.journal.record import decode_records
from matchengine.manifest import Manifest
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit
from vxutils.packing import UnpackError
from vxutils.process import DirectoryLock
from vxutils.store.embedded.copying import CopyFailed, reach
from vxutils.store.embedded.schema import HISTORY_FILE

KIND_WORDS: dict[type[object], str] = {
    UpdateBalance: "balance updates",
    PutLimit: "limit orders",
    PutMarket: "market orders",
    CancelOrder: "cancels",
}
OTHER_WORDS = "other records"


class Original(msgspec.Struct, frozen=True):
    """The directories that the restored exchange replaces."""

    data: Path
    journal: Path


class GivenUp(msgspec.Struct):
    """The readable records after the backup's end, and what they were.

    `known_sequence`: up to where the original is known to have come; what lies between it and
    `last_sequence` could not be read, for the reasons in `problems`. Times are 0 when there is no record.
    """

    records: int = 0
    first_us: int = 0
    last_us: int = 0
    last_sequence: int = 0
    known_sequence: int = 0
    deals: int = 0
    commands: dict[str, int] = {}
    problems: list[str] = []


class Seen(msgspec.Struct):
    """The highest numbers that were seen in the original; zeros without one."""

    epoch: int = 0
    order_id: int = 0
    deal_id: int = 0
    operation_id: int = 0
    given_up: GivenUp | None = None

    def raise_ids(self, order_id: int, deal_id: int, operation_id: int) -> None:
        self.order_id = max(self.order_id, order_id)
        self.deal_id = max(self.deal_id, deal_id)
        self.operation_id = max(self.operation_id, operation_id)


@contextmanager
def lock_original(disk: Disk, original: Original | None, identity: system.System) -> Iterator[None]:
    """Nobody starts the original meanwhile. Raises: ProcessExit when it runs, or is another system's."""
    if original is None:
        yield
        return
    if not disk.is_directory(original.data):
        raise ProcessExit(ExitCode.CONFIG, f"{original.data} is not a directory")
    try:
        owner = system.read_copied_system(disk, original.data).system_id
    except system.SystemMissing as error:
        raise ProcessExit(ExitCode.CONFIG, str(error)) from error
    except system.SystemFileError:
        owner = identity.system_id  # damaged: journal, slices and history say whose they are
    if owner != identity.system_id:
        raise ProcessExit(
            ExitCode.CONFIG,
            f"{original.data} is system {owner}, the backup is of system {identity.system_id}: it is not "
            "its original",
        )
    try:
        lock = DirectoryLock(original.data)
    except ProcessExit as error:
        raise ProcessExit(
            error.code, f"the original still runs ({error.sentence}): stop it before it is replaced"
        ) from None
    except OSError:
        yield  # a disk that can not be written to can not be started from either
        return
    with lock:
        yield


def read_original(
    disk: Disk,
    original: Original | None,
    identity: system.System,
    manifest: Manifest,
    start: recovery.Recovered,
    progress: Callable[[str], None],
) -> Seen:
    """What there was. `start` is the state at the end of the backup; it is used up."""
    seen = Seen()
    if original is None:
        return seen
    found = GivenUp(last_sequence=manifest.sequence, known_sequence=manifest.sequence)
    seen.given_up = found
    try:
        seen.epoch = system.read_copied_system(disk, original.data).last_epoch
    except system.SystemFileError as error:
        found.problems.append(str(error))
    progress(f"reading the journal in {original.journal}")
    try:
        archive = original.data / ARCHIVE_DIRECTORY
        for frame in scan(disk, original.journal, identity.id_bytes, manifest.sequence + 1, archive):
            _execute(frame, start, found)
            seen.epoch = max(seen.epoch, frame.epoch)
    except (JournalError, UnpackError, KeyError, TypeError, OSError) as error:
        found.problems.append(str(error))
    engine, position = start.engine, start.position
    found.deals = engine.last_deal_id - manifest.deal_id
    seen.raise_ids(engine.last_order_id, engine.last_deal_id, position.operation_id)
    found.known_sequence = max(found.known_sequence, found.last_sequence)
    _look_at_slices(disk, original, identity, seen, found)
    _look_at_history(original.data / HISTORY_FILE, seen, found)
    try:
        durable = read_durable(disk, original.journal, identity.id_bytes) or 0
        found.known_sequence = max(found.known_sequence, durable)
    except JournalError as error:
        found.problems.append(str(error))
    return seen


def _execute(frame: Frame, start: recovery.Recovered, found: GivenUp) -> None:
    """Raises: ReplayDiffers when the original went another way than the backup."""
    outcomes = []
    for record in decode_records(frame.payload):
        outcomes.append(recovery.replay_record(start.engine, start.position, record))
        words = KIND_WORDS.get(type(record.command), OTHER_WORDS)
        found.commands[words] = found.commands.get(words, 0) + 1
        found.first_us = found.first_us or record.command.time_us
        found.last_us = record.command.time_us
        found.records += 1
        found.last_sequence = record.sequence
    recovery.prove_frame(start.position, frame, outcomes)


def _look_at_slices(
    disk: Disk, original: Original, identity: system.System, seen: Seen, found: GivenUp
) -> None:
    directory = original.data / recovery.SLICES_DIRECTORY
    try:
        good, warnings = slices.newest_good_slice(disk, directory, identity.id_bytes)
        found.problems += warnings
        if good is None:
            return
        counters: Any = next(item for item in slices.read_items(disk, good) if _is_counters(item))
    except slices.SliceError as error:
        found.problems.append(str(error))
        return
    seen.raise_ids(counters[1], counters[2], good.header.operation_id)
    seen.epoch = max(seen.epoch, good.header.epoch)
    found.known_sequence = max(found.known_sequence, good.header.sequence)


def _look_at_history(path: Path, seen: Seen, found: GivenUp) -> None:
    if not path.exists():
        return
    try:
        position, ids = reach(path)
    except CopyFailed as error:
        found.problems.append(str(error))
        return
    seen.raise_ids(*ids)
    seen.epoch = max(seen.epoch, position.epoch)
    found.known_sequence = max(found.known_sequence, position.sequence)


def _is_counters(item: Any) -> bool:
    return bool(item[0] == "counters")
