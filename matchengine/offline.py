"""What is done to a data directory while no engine runs on it: init, adopt, rules, audit, and the
helpers' work (segments, slices) that a running engine has done beside it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec

from matchengine import recovery, slices, system
from matchengine.core import rule_change
from matchengine.core.commands import ChangeRules, Command
from matchengine.core.invariants import broken_laws
from matchengine.core.rules import Rules, rules_hash
from matchengine.handed_over import demand_not_handed_over
from matchengine.journal.durable import create_journal, read_durable
from matchengine.journal.segments import prepare_segment, prepared_segments, remove_unfinished, repair_tail
from matchengine.journal.writer import JournalWriter
from matchengine.main import SLICES_KEPT
from matchengine.sequencer import Sequencer
from matchengine.space import SEGMENTS_AHEAD
from vxnet.clock import Clock
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit

PREPARE_PAUSE = 2.0  # times the duration of each chunk's write: leaves the disk to the journal


def init(disk: Disk, clock: Clock, data_directory: Path, journal_directory: Path) -> str:
    """Makes a new, empty data directory; returns the system id. Raises: SystemFileError, JournalError."""
    if disk.exists(data_directory / system.SYSTEM_FILE):
        raise system.SystemExists(f"{data_directory} is a data directory already; choose another one")
    system_id = uuid.uuid4().hex
    # SYSTEM last: it says that everything else is there.
    create_journal(disk, journal_directory, bytes.fromhex(system_id))
    system.create_system(disk, data_directory, system_id, clock.wall_us())
    return system_id


def prepare(disk: Disk, journal_directory: Path, segment_size: int) -> None:
    """Makes prepared segments until there are enough. Raises: NoSpace, JournalIOError."""
    begun = time.monotonic()

    def throttle(size: int) -> None:
        nonlocal begun
        time.sleep(min(0.1, (time.monotonic() - begun) * PREPARE_PAUSE))
        begun = time.monotonic()

    while True:
        taken = {k for k, _ in prepared_segments(disk, journal_directory)}
        if len(taken) >= SEGMENTS_AHEAD:
            return
        number = min(set(range(1, SEGMENTS_AHEAD + 2)) - taken)
        prepare_segment(disk, journal_directory, number, segment_size, throttle)


def make_slice(disk: Disk, data_directory: Path, journal_directory: Path) -> slices.Slice | None:
    """Writes a slice of what is durable now, beside a running engine or without one.

    None when the newest slice is at that sequence already. Raises: JournalError, SliceError.
    """
    identity = system.read_system(disk, data_directory)
    through = read_durable(disk, journal_directory, identity.id_bytes)
    if not through:
        return None
    found = recovery.recover(disk, data_directory, journal_directory, identity, through=through)
    if found.position.sequence == found.slice_sequence:
        return None
    epoch = identity.last_epoch
    made = recovery.write_slice(disk, data_directory, identity, epoch, found.engine, found.position)
    slices.remove_older(disk, data_directory / recovery.SLICES_DIRECTORY, SLICES_KEPT)
    return made


def rule_differences(disk: Disk, data_directory: Path, journal_directory: Path, proposed: Rules) -> list[str]:
    """How the rules in force differ from `proposed`, in words. Changes nothing."""
    identity = system.read_system(disk, data_directory)
    found = recovery.recover(disk, data_directory, journal_directory, identity)
    return rule_change.differences(found.engine.rules, proposed) if found.position.sequence else []


def apply_rules(
    disk: Disk,
    clock: Clock,
    data_directory: Path,
    journal_directory: Path,
    proposed: Rules,
    segment_size: int,
) -> list[str]:
    """Journals `proposed` as the rules in force; returns what changed, empty if nothing did.

    The engine must not run. Raises: ProcessExit when the state does not allow the change.
    """
    identity = system.read_system(disk, data_directory)
    demand_not_handed_over(disk, data_directory)
    found = recovery.recover(disk, data_directory, journal_directory, identity)
    engine, position = found.engine, found.position
    if not position.sequence:
        raise ProcessExit(
            ExitCode.CONFIG, "no engine has run here yet: its first start takes the file as it is"
        )
    changes = rule_change.differences(engine.rules, proposed)
    if not changes:
        return []
    reasons = rule_change.problems(engine.assets, engine.markets, proposed)
    if reasons:
        raise ProcessExit(ExitCode.CONFIG, "not applied:\n  " + "\n  ".join(reasons))
    remove_unfinished(disk, journal_directory, segment_size)
    identity = system.open_epoch(disk, data_directory)
    command = ChangeRules(max(position.time_us, clock.wall_us()), msgspec.to_builtins(proposed))
    append_command(disk, clock, data_directory, journal_directory, identity, found, command, segment_size)
    return changes


def append_command(
    disk: Disk,
    clock: Clock,
    data_directory: Path,
    journal_directory: Path,
    identity: system.System,
    found: recovery.Recovered,
    command: Command,
    segment_size: int,
) -> slices.Slice:
    """Applies one command to what was recovered, journals it in the last epoch of `identity`, makes a slice.

    No engine may run. The command is none that can be refused. Raises: JournalIOError, NoSpace, SliceError.
    """
    engine, position, end = found.engine, found.position, found.end
    assert end is not None, "a state with a sequence has a journal"
    engine.apply(command)
    assert engine.outcome, "a command that changes nothing is not journaled"
    if not end.clean:
        repair_tail(disk, journal_directory, end.segment_path, end.valid_bytes)
    journal = JournalWriter(
        disk,
        journal_directory,
        system_id=identity.id_bytes,
        epoch=identity.last_epoch,
        rules_hash=rules_hash(engine.rules),
        first_sequence=position.sequence + 1,
        previous=(end.segment_number, end.segment_hash),
        segment_size=segment_size,
        durability="group",
        clock=clock.wall_us,
    )
    sequencer = Sequencer(position, journal)
    sequencer.accept(command, engine.outcome, b"")
    sequencer.write()
    journal.sync()
    journal.close(clean=True)
    return recovery.write_slice(disk, data_directory, identity, identity.last_epoch, engine, position)


class Audit(msgspec.Struct, frozen=True):
    """What a read-only replay of a whole journal found."""

    sequence: int
    operation_id: int
    last_order_id: int
    last_deal_id: int
    state_hash: str
    newest_slice_agrees: bool | None
    torn_bytes: int
    broken_laws: list[str]

    @property
    def is_sound(self) -> bool:
        return not self.broken_laws and self.newest_slice_agrees is not False


def audit(
    disk: Disk, data_directory: Path, journal_directory: Path, progress: Callable[[int], None] | None = None
) -> Audit:
    """Replays the journal from its first record, proving every outcome, and checks the laws.

    The start from the newest slice must lead to the same state hash. Read-only; the engine must not run.
    Raises: JournalError, SliceError, SystemFileError.
    """
    identity = system.read_system(disk, data_directory)
    whole = recovery.recover(
        disk, data_directory, journal_directory, identity, use_slices=False, progress=progress
    )
    mark = recovery.state_hash(whole.engine, whole.position)
    short = recovery.recover(disk, data_directory, journal_directory, identity)
    agrees = None
    if short.slice_sequence:
        agrees = recovery.state_hash(short.engine, short.position) == mark
    torn = whole.end.torn if whole.end is not None else None
    return Audit(
        whole.position.sequence,
        whole.position.operation_id,
        whole.engine.last_order_id,
        whole.engine.last_deal_id,
        mark.hex(),
        agrees,
        torn.size_bytes if torn is not None else 0,
        broken_laws(whole.engine),
    )
