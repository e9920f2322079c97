"""From a data directory to the state it holds: newest good slice, then the journal after it.

    slices/  newest that verifies  --load-->  engine, position
    journal/ frames after it       --apply->  engine, position      every outcome proven

Replay calls the same `engine.apply` as the live engine. A record whose outcome differs from the one
that was journaled stops the start at that record: changed logic can not silently rewrite history.
Changes nothing on the disk; what the start then repairs is the caller's.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec

from matchengine import slices
from matchengine.core import snapshot
from matchengine.core.commands import Mark
from matchengine.core.engine import Engine
from matchengine.core.rules import rules_hash
from matchengine.journal.archive import ARCHIVE_DIRECTORY
from matchengine.journal.format import JournalError
from matchengine.journal.reader import Frame, JournalEnd, scan
from matchengine.journal.record import Record, decode_records
from matchengine.position import Position, chain_crc, chain_digest
from matchengine.system import System
from vxutils.disk import Disk
from vxutils.packing import pack

SLICES_DIRECTORY = "slices"
JOURNAL_DIRECTORY = "journal"
PROGRESS_RECORDS = 100_000

Progress = Callable[[int], None]


class ReplayDiffers(JournalError):
    """A journaled command has another outcome now than when it was accepted; `sequence` is its record's, or
    the last of the frame whose digest differs."""

    def __init__(self, sequence: int, sentence: str) -> None:
        super().__init__(sentence)
        self.sequence = sequence


class Recovered(msgspec.Struct):
    """A state and where it came from. `end` is None when only a part of the journal was read."""

    engine: Engine
    position: Position
    end: JournalEnd | None
    slice_sequence: int
    replayed: int
    warnings: list[str]


def state_items(engine: Engine, position: Position) -> Iterator[object]:
    """What a slice holds and the state hash runs over: the outcome chain, then the state."""
    yield ["chain", position.outcome_crc]
    yield from snapshot.dump(engine)


def state_hash(engine: Engine, position: Position) -> bytes:
    """32 bytes that are equal exactly for equal states. O(state)."""
    return slices.state_hash(state_items(engine, position))


def recover(
    disk: Disk,
    data_directory: Path,
    journal_directory: Path,
    system: System,
    *,
    use_slices: bool = True,
    through: int | None = None,
    progress: Progress | None = None,
) -> Recovered:
    """The state of a data directory, at its end or after the frame that ends with sequence `through`.

    With `through` the journal may be in use by a writer that has made that sequence durable. Without
    `use_slices` everything is replayed from the first record on.

    Raises: JournalError (damaged, missing, foreign, newer, unreadable, replays differently) or
    SliceError, each a sentence for the operator.
    """
    good: slices.Slice | None = None
    warnings: list[str] = []
    if use_slices:
        directory = data_directory / SLICES_DIRECTORY
        good, warnings = slices.newest_good_slice(disk, directory, system.id_bytes, through)
    engine, position = Engine(), Position()
    if good is not None:
        engine, position = load_slice(disk, good)
    start = position.sequence
    archive = data_directory / ARCHIVE_DIRECTORY
    journal = scan(disk, journal_directory, system.id_bytes, start + 1, archive)
    with _no_collections():
        for frame in journal if through is None or start < through else ():
            _replay_frame(engine, position, frame)
            if progress is not None and position.sequence // PROGRESS_RECORDS != (
                (position.sequence - frame.count) // PROGRESS_RECORDS
            ):
                progress(position.sequence)
            if through is not None and position.sequence >= through:
                break  # the end is the writer's, who is going on
    end = journal.end
    if through is None and start > (end.last_sequence if end is not None else 0):
        raise slices.SliceError(
            f"the slice of sequence {start} in {data_directory} is ahead of the journal in "
            f"{journal_directory}, which ends at {end.last_sequence if end is not None else 0}: "
            "the disk lost synced data, or the journal is an old copy; put the journal back from a backup"
        )
    return Recovered(engine, position, end, start, position.sequence - start, warnings)


def write_slice(
    disk: Disk, data_directory: Path, system: System, epoch: int, engine: Engine, position: Position
) -> slices.Slice:
    """Writes the state as a slice; the engine must not change meanwhile. Raises: SliceError."""
    header = slice_header(system, epoch, engine, position)
    items = state_items(engine, position)
    return slices.write_slice(disk, data_directory / SLICES_DIRECTORY, header, items)


def slice_header(system: System, epoch: int, engine: Engine, position: Position) -> slices.SliceHeader:
    """What a slice says of the moment of its state."""
    return slices.SliceHeader(
        system_id=system.id_bytes,
        epoch=epoch,
        sequence=position.sequence,
        operation_id=position.operation_id,
        time_us=position.time_us,
        digest=position.digest,
        rules_hash=rules_hash(engine.rules),
    )


def load_slice(disk: Disk, good: slices.Slice) -> tuple[Engine, Position]:
    """The state that a slice holds. Raises: SliceError when it has changed since it was verified."""
    items = slices.read_items(disk, good)
    name, outcome_crc = cast(list[Any], next(items))
    assert name == "chain", "a slice begins with the outcome chain"
    with _no_collections():
        engine = snapshot.load(cast(Iterator[list[Any]], items))
    header = good.header
    position = Position(header.sequence, header.operation_id, header.time_us, outcome_crc, header.digest)
    return engine, position


@contextmanager
def _no_collections() -> Iterator[None]:
    """A state that grows by millions of objects, none of them in a cycle, would be searched for cycles again
    and again; that takes a quarter of the time of a load."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _replay_frame(engine: Engine, position: Position, frame: Frame) -> None:
    outcomes = [replay_record(engine, position, record, frame) for record in decode_records(frame.payload)]
    prove_frame(position, frame, outcomes)


def prove_frame(position: Position, frame: Frame, outcomes: list[bytes]) -> None:
    """Chains the packed outcomes of all records of a frame, and proves its digest. Raises: ReplayDiffers."""
    position.digest = chain_digest(position.digest, b"".join(outcomes))
    if position.digest != frame.digest:
        raise ReplayDiffers(
            position.sequence,
            f"the outcome digest of the frame that ends with sequence {position.sequence} (segment "
            f"{frame.segment}, offset {frame.offset}) is not the one that was journaled: a record before "
            "it is missing or was changed",
        )


def replay_record(engine: Engine, position: Position, record: Record, frame: Frame | None = None) -> bytes:
    """Applies one record and proves its outcome; returns the packed outcome.

    Raises: ReplayDiffers, which says where the record is if its frame is given. The engine has executed the
    record then, the position is still before it.
    """
    assert record.sequence == position.sequence + 1, "slices and frames end at the same sequences"
    command = record.command
    engine.apply(command)
    packed_outcome = pack(engine.outcome)
    outcome_crc = chain_crc(position.outcome_crc, packed_outcome)
    if outcome_crc != record.outcome_crc or not engine.outcome:
        raise ReplayDiffers(record.sequence, _difference(record, engine.outcome, frame))
    position.sequence = record.sequence
    if record.operation_id:
        position.operation_id = record.operation_id
    position.outcome_crc = outcome_crc
    position.time_us = command.time_us
    return packed_outcome


def execute_unproven(engine: Engine, position: Position, frame: Frame) -> None:
    """Executes what of a frame is after the position, whatever comes of it, and takes both chains from the
    journal: the way on behind a ReplayDiffers, to see how the state differs."""
    executed = position.sequence
    for record in decode_records(frame.payload):
        if record.sequence > executed:
            engine.apply(record.command)
        position.sequence = record.sequence
        if record.operation_id:
            position.operation_id = record.operation_id
        position.outcome_crc = record.outcome_crc
        position.time_us = record.command.time_us
    position.digest = frame.digest


def _difference(record: Record, outcome: list[int], frame: Frame | None) -> str:
    """A sentence about a record whose outcome is not the one that was journaled."""
    place = f" (segment {frame.segment}, offset {frame.offset})" if frame is not None else ""
    help_ = "`vx diff` names the account; what to do is in docs/operations.md, Engine and recorder differ"
    if type(record.command) is Mark:
        return (
            f"the mark at record {record.sequence}{place} differs: since the mark before, a balance or an "
            "open order was written with another value than the replay has. The memory of the process that "
            f"wrote the journal was wrong, or this version of the program computes differently; {help_}"
        )
    return (
        f"record {record.sequence} ({type(record.command).__name__}) has another outcome now than when it "
        f"was accepted: {outcome}{place}. This version of the program decides differently: start the one "
        f"that wrote the journal; or the memory of the process that wrote it was wrong: {help_}"
    )
