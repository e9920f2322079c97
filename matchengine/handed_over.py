"""The file HANDED_OVER: this data directory was, its exchange goes on in the C system.

    HANDED_OVER    JSON: after which record, with the slice of which second. Made once, by `vx handover`

An engine that started here would go on beside the C system from the same past; so no engine and no recorder
does. The directory can still be looked at: audit, backup, at. Why the databases say the same: copies and
backups of this directory have no such file, or an older one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from matchengine.system import SystemFileError
from vxutils.disk import Disk

HANDED_OVER_FILE: Final = "HANDED_OVER"
FILE_BYTES_MAX: Final = 4096


class SystemHandedOver(SystemFileError):
    """The exchange of this data directory goes on elsewhere."""


class HandOverMark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file says. The ids are the last ones given here; the slice is that of `slice_time_s`."""

    system_id: str
    sequence: int
    operation_id: int
    order_id: int
    deal_id: int
    slice_time_s: int
    time_us: int


def read_mark(disk: Disk, data: Path) -> HandOverMark | None:
    """None if the directory was not handed over. Raises: SystemFileError."""
    path = data / HANDED_OVER_FILE
    try:
        return msgspec.json.decode(disk.read_file(path, FILE_BYTES_MAX), type=HandOverMark)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise SystemFileError(
            f"{path} says that this exchange was handed over to the C system, and can not be read: {error}"
        ) from error


def write_mark(disk: Disk, data: Path, mark: HandOverMark) -> None:
    """From now on nothing starts here. Raises: OSError."""
    disk.write_atomically(data / HANDED_OVER_FILE, msgspec.json.encode(mark) + b"\n")


def demand_not_handed_over(disk: Disk, data: Path) -> None:
    """Raises: SystemHandedOver in words; SystemFileError."""
    mark = read_mark(disk, data)
    if mark is not None:
        raise SystemHandedOver(
            f"{data} was handed over to the C system at sequence {mark.sequence} (slice "
            f"{mark.slice_time_s}): take the exchange back with `vx adopt --config CONFIG --data-dir NEW`, "
            "into a new directory"
        )
