"""What becomes of the topics in Kafka when a backup is restored: `kafka.json` in the new data directory.

    backup's kafka.json   + "epochs up to this one are a past that is kept only so far" --> new kafka.json
    original's kafka.json --> how far that past was sent

The topics themselves are looked into by the first start, which has the brokers' address. Without a
`kafka.json` in the backup, which one of an earlier version has not, they can not be gone on with.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from matchengine.given_up import Original
from matchengine.manifest import Manifest
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit
from vxutils.store.kafka.errors import KafkaFloorBad
from vxutils.store.kafka.floor import FLOOR_FILE, give_up, read_floor, write_floor


class Topics(msgspec.Struct, frozen=True):
    """`sequence`: up to which the backup knows that messages were sent, None when it does not say;
    `kept`: the end of the backup. `sent`: up to which the original had sent, None when that is not known."""

    sequence: int | None
    kept: int
    sent: int | None


def give_up_topics(
    disk: Disk, data: Path, original: Original | None, manifest: Manifest, epoch: int
) -> Topics | None:
    """Writes into the restored directory `data` that messages of epochs up to `epoch` are of a past.

    None where no messages went to Kafka, as far as can be seen.

    Raises: ProcessExit when the file of the backup is no good; OSError.
    """
    sent = None
    if original is not None:
        try:
            floor = read_floor(disk, original.data, manifest.system_id)
            sent = floor.position.sequence if floor is not None else None
        except (KafkaFloorBad, OSError):
            pass  # it is only for what is told
    try:
        floor = read_floor(disk, data, manifest.system_id)
    except KafkaFloorBad as error:
        raise ProcessExit(ExitCode.JOURNAL_DAMAGED, str(error)) from error
    if floor is None:
        return None if sent is None else Topics(None, manifest.sequence, sent)
    if floor.position.sequence > manifest.sequence:
        raise ProcessExit(
            ExitCode.JOURNAL_DAMAGED,
            f"{FLOOR_FILE} of the backup is at sequence {floor.position.sequence}, past its journal, which "
            f"ends at {manifest.sequence}",
        )
    write_floor(disk, data, give_up(floor, epoch, manifest.sequence))
    return Topics(floor.position.sequence, manifest.sequence, sent)
