"""A backup becomes the exchange again, in a new data directory.

    backup --verified--> NEW: files -> recovered, equal to the manifest -> ids jump, in a new epoch -> SYSTEM

Between the backup and the loss of the original, clients were told ids that the backup knows nothing of. So no
id is given a second time: order, deal and operation ids go on a margin above the highest that was seen
anywhere, by a journaled command (`JumpIds`), which replay and recorder follow. The epoch goes far above the
highest one seen: should the original come back to life, whoever receives from both can tell which is in
force.

What the original had sent to Kafka after the backup stays in the topics. The restored exchange does not take
it for its own (`topics`), and sends nothing a second time that was in the backup already.

SYSTEM is written last, so an interrupted restore is no data directory. The original is only read.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from matchengine import offline, recovery, system
from matchengine.core.commands import JumpIds
from matchengine.given_up import GivenUp, Original, lock_original, read_original
from matchengine.given_up_topics import Topics, give_up_topics
from matchengine.journal.format import SEGMENT_BYTES_MIN
from matchengine.manifest import Manifest, changed_files, copy_file, read_manifest
from vxnet.clock import Clock
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit
from vxutils.process import LOCK_FILE_NAME, DirectoryLock

JUMP_DEFAULT = 1_000_000
JUMP_MAX = 10**12
_LISTED_MAX = 5  # of the files of a backup that have changed

Progress = Callable[[str], None]


class Restored(msgspec.Struct, frozen=True):
    """What was done. The ids are those after which the exchange goes on; `sequence` that of the jump.

    `given_up` is None when no original was named: then nobody knows what is not in the backup. `topics` is
    None where no messages go to Kafka.
    """

    system_id: str
    epoch: int
    backup_sequence: int
    backup_time_us: int
    sequence: int
    order_id: int
    deal_id: int
    operation_id: int
    given_up: GivenUp | None
    topics: Topics | None = None


def restore(
    disk: Disk,
    clock: Clock,
    backup: Path,
    data: Path,
    original: Original | None,
    jump: int,
    progress: Progress,
) -> Restored:
    """Puts the backup at `data`, which is missing or empty, ready to be started.

    Raises: ProcessExit with a sentence; JournalError, SliceError, SystemFileError, OSError. Then there is no
    SYSTEM file in `data`, and what is there can be removed.
    """
    manifest = read_manifest(disk, backup)
    changed = changed_files(disk, backup, manifest.files, progress)
    if changed:
        more = f", and {len(changed) - _LISTED_MAX} more" if len(changed) > _LISTED_MAX else ""
        raise ProcessExit(
            ExitCode.JOURNAL_DAMAGED,
            "this backup is not as it was taken: " + "; ".join(changed[:_LISTED_MAX]) + more,
        )
    identity = system.read_copied_system(disk, backup)
    if identity.system_id != manifest.system_id:
        raise ProcessExit(ExitCode.JOURNAL_DAMAGED, f"{backup} is put together from two systems")
    with lock_original(disk, original, identity):
        _refuse_unless_empty(disk, data)
        disk.make_directory(data)
        with DirectoryLock(data):
            return _restore(disk, clock, backup, data, manifest, identity, original, jump, progress)


def _restore(
    disk: Disk,
    clock: Clock,
    backup: Path,
    data: Path,
    manifest: Manifest,
    identity: system.System,
    original: Original | None,
    jump: int,
    progress: Progress,
) -> Restored:
    _copy(disk, backup, data, manifest, progress)
    journal = data / recovery.JOURNAL_DIRECTORY
    seen = read_original(
        disk, original, identity, manifest, _recover(disk, data, identity, manifest), progress
    )
    progress("new epoch, ids")
    found = _recover(disk, data, identity, manifest)
    epoch = min(
        max(manifest.epoch, identity.last_epoch, seen.epoch) + system.ADOPTED_EPOCHS, system.EPOCH_MAX - 1
    )
    command = JumpIds(
        time_us=max(found.position.time_us, clock.wall_us()),
        order_id=max(manifest.order_id, seen.order_id) + jump,
        deal_id=max(manifest.deal_id, seen.deal_id) + jump,
        operation_id=max(manifest.operation_id, seen.operation_id) + jump,
    )
    opened = msgspec.structs.replace(identity, last_epoch=epoch)
    offline.append_command(disk, clock, data, journal, opened, found, command, SEGMENT_BYTES_MIN)
    topics = give_up_topics(disk, data, original, manifest, epoch - 1)
    disk.sync_directory(data)
    system.restore_system(disk, data, identity, epoch)
    return Restored(
        system_id=identity.system_id,
        epoch=epoch,
        backup_sequence=manifest.sequence,
        backup_time_us=manifest.time_us,
        sequence=found.position.sequence,
        order_id=command.order_id,
        deal_id=command.deal_id,
        operation_id=command.operation_id,
        given_up=seen.given_up,
        topics=topics,
    )


def _copy(disk: Disk, backup: Path, data: Path, manifest: Manifest, progress: Progress) -> None:
    """All files but SYSTEM. Raises: ProcessExit when one changes under our hands; OSError."""
    for number, file in enumerate(manifest.files, start=1):
        if file.name == system.SYSTEM_FILE:
            continue
        progress(f"copying {number} of {len(manifest.files)}: {file.name}")
        path = data / file.name
        disk.make_directory(path.parent)
        if copy_file(disk, backup / file.name, path) != (file.size_bytes, file.sha256):
            raise ProcessExit(ExitCode.JOURNAL_DAMAGED, f"{backup / file.name} has changed while it was read")
        disk.sync_directory(path.parent)


def _recover(disk: Disk, data: Path, identity: system.System, manifest: Manifest) -> recovery.Recovered:
    """The state that the backup was taken of.

    Raises: ProcessExit when it is another one; JournalError, SliceError.
    """
    found = recovery.recover(disk, data, data / recovery.JOURNAL_DIRECTORY, identity)
    state_hash = recovery.state_hash(found.engine, found.position).hex()
    if (found.position.sequence, state_hash) != (manifest.sequence, manifest.state_hash):
        raise ProcessExit(
            ExitCode.JOURNAL_DAMAGED,
            f"the backup leads to sequence {found.position.sequence} with state hash {state_hash}, but it "
            f"was taken of sequence {manifest.sequence} with {manifest.state_hash}",
        )
    return found


def _refuse_unless_empty(disk: Disk, data: Path) -> None:
    if not disk.exists(data):
        return
    if not disk.is_directory(data):
        raise ProcessExit(ExitCode.CONFIG, f"{data} is not a directory")
    names = [name for name in disk.names(data) if name != LOCK_FILE_NAME]
    if names:
        what = "a data directory in use" if system.SYSTEM_FILE in names else "not empty"
        raise ProcessExit(ExitCode.CONFIG, f"{data} is {what}: a backup is restored into a new directory")
