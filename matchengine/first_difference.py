"""Where a journal and its own replay part: the first record that can not be proven, and who touched what.

    slice --proven replay--> record N differs --replay without proof--> the state at the dumps' sequence

A third opinion beside the two dumps: a replay of now, in fresh memory, tells whose memory was wrong. It only
reads, and goes no further than what is durable, so engine and recorder may run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from matchengine import recovery, slices, system
from matchengine.at import time_text
from matchengine.compare import Account, Comparison
from matchengine.core.commands import Command
from matchengine.core.engine import Engine
from matchengine.extent import durable_end
from matchengine.journal.archive import ARCHIVE_DIRECTORY
from matchengine.journal.reader import Frame, scan
from matchengine.journal.record import Record, decode_records
from matchengine.position import Position
from vxutils.disk import Disk

Probe = Callable[[Engine], object]


class Culprit(msgspec.Struct, frozen=True):
    """A record, for a person. `params` are the client's, or the command's fields if it had no client."""

    sequence: int
    command: str
    time: str
    operation_id: int
    params: str
    segment: int
    offset: int


class Replayed(msgspec.Struct):
    """What a replay from the slice `from_slice` (0: from the first record) up to `sequence` found.

    `first`: the first record that it can not prove; `sentence` says how. `touched`: the last record before
    it that wrote what was probed. `state_hash` is that of the state at `sequence`.
    """

    from_slice: int
    sequence: int
    state_hash: str
    first: Culprit | None = None
    sentence: str = ""
    touched: Culprit | None = None


def probe_of(found: Comparison) -> Probe:
    """Looks at what differs first: an account, or an open order."""
    if found.accounts:
        account: Account = found.accounts[0]
        return lambda engine: (
            engine.assets[account.asset].available.get(account.user, 0),
            engine.assets[account.asset].frozen.get(account.user, 0),
        )
    if found.orders:
        order = found.orders[0]
        return lambda engine: (
            known.left if (known := engine.markets[order.market].orders.get(order.order_id)) else 0
        )
    return lambda engine: None


def find(disk: Disk, data: Path, journal: Path, through: int | None, probe: Probe) -> Replayed:
    """Replays up to sequence `through`, or all that is durable, from the newest slice that shows a
    difference.

    A slice that was made behind the difference shows none: then the one before is tried. Without any
    difference it is the replay from the newest slice.

    Raises: JournalError, SliceError, SystemFileError, ProcessExit.
    """
    identity = system.read_copied_system(disk, data)
    end = durable_end(disk, data, journal, identity)
    end = end if through is None else min(end, through)
    newest: Replayed | None = None
    before = end
    while True:
        directory = data / recovery.SLICES_DIRECTORY
        good, _ = slices.newest_good_slice(disk, directory, identity.id_bytes, before)
        if good is None and newest is not None:
            return newest
        found = _replay(disk, data, journal, identity, good, end, probe)
        if found.first is not None or good is None:
            return found
        newest = newest or found
        before = found.from_slice - 1


def _replay(
    disk: Disk,
    data: Path,
    journal: Path,
    identity: system.System,
    good: slices.Slice | None,
    end: int,
    probe: Probe,
) -> Replayed:
    engine, position = recovery.load_slice(disk, good) if good is not None else (Engine(), Position())
    found = Replayed(position.sequence, end, "")
    if position.sequence < end:
        for frame in scan(disk, journal, identity.id_bytes, position.sequence + 1, data / ARCHIVE_DIRECTORY):
            if found.first is None:
                _prove(engine, position, frame, probe, found)
            else:
                recovery.execute_unproven(engine, position, frame)
            if position.sequence >= end:
                break
    found.state_hash = recovery.state_hash(engine, position).hex()
    return found


def _prove(engine: Engine, position: Position, frame: Frame, probe: Probe, found: Replayed) -> None:
    """One frame; where it differs, the rest of it without proof."""
    outcomes: list[bytes] = []
    record: Record | None = None
    try:
        for record in decode_records(frame.payload):
            before = probe(engine) if engine.assets else None
            outcomes.append(recovery.replay_record(engine, position, record, frame))
            if before is not None and probe(engine) != before:
                found.touched = _culprit(record, frame)
        recovery.prove_frame(position, frame, outcomes)
    except recovery.ReplayDiffers as error:
        assert record is not None, "a frame holds a record"
        found.first, found.sentence = _culprit(record, frame), str(error)
        position.sequence = error.sequence
        recovery.execute_unproven(engine, position, frame)


def _culprit(record: Record, frame: Frame) -> Culprit:
    command: Command = record.command
    params = record.params.decode("utf-8", "replace") or repr(msgspec.structs.asdict(command))
    return Culprit(
        record.sequence,
        type(command).__name__,
        time_text(command.time_us),
        record.operation_id,
        params,
        frame.segment,
        frame.offset,
    )
