"""How far each consumer of messages has come: `run/consumers/<name>.json` in the data directory.

    {"deals": 1234}      topic -> the offset of the first message that is still wanted

A consumer writes its own file, after it has made its own position durable; the recorder copies them into
`history.db` and removes no message that somebody still wants. A consumer that is gone for good is ended by
removing its file. These files only say what may be pruned; the position that counts is the consumer's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec

from vxutils.disk import Disk

CONSUMERS_DIRECTORY: Final = Path("run") / "consumers"
FILE_BYTES_MAX: Final = 4096
CONSUMERS_MAX: Final = 100

_SUFFIX: Final = ".json"
_Offsets = dict[str, Annotated[int, msgspec.Meta(ge=0)]]


def publish_consumer(disk: Disk, data_directory: Path, name: str, offsets: dict[str, int]) -> None:
    """Says that `name` wants the messages from these offsets on. Raises: OSError."""
    directory = data_directory / CONSUMERS_DIRECTORY
    disk.make_directory(directory)
    disk.write_atomically(directory / f"{name}{_SUFFIX}", msgspec.json.encode(offsets) + b"\n")


def read_consumers(disk: Disk, data_directory: Path) -> dict[str, dict[str, int]]:
    """Name -> topic -> offset of all consumers.

    Raises: OSError; ValueError naming a file that is not of this form: then nothing may be pruned.
    """
    directory = data_directory / CONSUMERS_DIRECTORY
    if not disk.is_directory(directory):
        return {}
    names = [name for name in disk.names(directory) if name.endswith(_SUFFIX)]
    if len(names) > CONSUMERS_MAX:
        raise ValueError(f"{directory} holds more than {CONSUMERS_MAX} consumers")
    found: dict[str, dict[str, int]] = {}
    for name in names:
        try:
            data = disk.read_file(directory / name, FILE_BYTES_MAX)
            found[name.removesuffix(_SUFFIX)] = msgspec.json.decode(data, type=_Offsets)
        except msgspec.DecodeError as error:
            raise ValueError(f"{directory / name} is no position of a consumer: {error}") from error
    return found
