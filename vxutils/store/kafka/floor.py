"""How far the writer of the topics has come: `kafka.json` in the data directory.

    before a batch is sent      in_flight = where it leads to, its token    synced
    after it was committed      position = in_flight, marks moved           synced

So after a crash at any moment only one thing is open: whether the batch in flight is in the topics. They are
asked for that alone; what else they hold, or lack, changes nothing here. Only an exchange that was restored
from a backup (`give_up`) also asks what was sent after the backup.

Not here: what is asked and how (`writer`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from vxutils.disk import Disk
from vxutils.store.embedded.schema import HistoryBase, HistoryPosition
from vxutils.store.kafka.errors import KafkaFloorBad

FLOOR_FILE: Final = "kafka.json"
FLOOR_BYTES_MAX: Final = 64 * 1024
VERSION: Final = 1


class TopicMark(msgspec.Struct, frozen=True):
    """Of one topic: `end`, before which nothing of the batch in flight can be; our last message in it, whose
    `offset` is -1 while there is none."""

    end: int
    offset: int = -1
    epoch: int = 0
    sequence: int = 0
    index: int = 0


class InFlight(msgspec.Struct, frozen=True):
    """The batch that was being sent: where it leads to, and by what its messages are known."""

    position: HistoryPosition
    batch: str


class GivenUpPast(msgspec.Struct, frozen=True):
    """What a restored exchange does not go on with: messages of epochs up to `epoch`, after sequence `kept`.

    Those up to `kept` are of our own past: up to `found` they are in the topics, and are not sent again.
    """

    epoch: int
    kept: int
    found: int = 0


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file. `system`: 32 hexadecimal digits. `former`: the systems whose exchange this one
    goes on with, and whose messages may stand in a topic before ours. `given_up`: None if it was never
    restored."""

    version: int = VERSION
    system: str
    base: HistoryBase
    position: HistoryPosition
    in_flight: InFlight | None = None
    topics: dict[str, TopicMark] = {}
    former: tuple[str, ...] = ()
    given_up: GivenUpPast | None = None


def read_floor(disk: Disk, directory: Path, system: str) -> Floor | None:
    """The file of the data directory; None if there is none. Raises: KafkaFloorBad; OSError."""
    path = directory / FLOOR_FILE
    try:
        floor = msgspec.json.decode(disk.read_file(path, FLOOR_BYTES_MAX), type=Floor)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise KafkaFloorBad(f"{path} is damaged ({error}); put it back from a backup") from error
    if floor.version != VERSION:
        raise KafkaFloorBad(f"{path} is of version {floor.version}, this program knows {VERSION}")
    if floor.system != system:
        raise KafkaFloorBad(
            f"{path} belongs to system {floor.system}, this data directory is system {system}: move the file "
            "to where it came from"
        )
    return floor


def write_floor(disk: Disk, directory: Path, floor: Floor) -> None:
    """Replaces the file, synced. Raises: OSError."""
    disk.write_atomically(directory / FLOOR_FILE, msgspec.json.encode(floor) + b"\n")


def give_up(floor: Floor, epoch: int, kept: int) -> Floor:
    """The file of an exchange that is restored: its past, of epochs up to `epoch`, is ours up to `kept`."""
    return msgspec.structs.replace(floor, given_up=GivenUpPast(epoch, kept))
