"""A time zone by its name: a name to a `tzinfo`, and the name that the system itself has.

`UTC` needs no files; any other name must be in the system's time zone database.
"""

from __future__ import annotations

import os
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

LOCAL: Final = "local"
"""In a settings file: the zone of the system, as the C system has it."""

LOCALTIME: Final = Path("/etc/localtime")
_UTC_NAMES: Final = frozenset(
    {"UTC", "Etc/UTC", "Etc/UCT", "Etc/Zulu", "UCT", "Universal", "Zulu", "GMT", "Etc/GMT"}
)


class UnknownZone(ValueError):
    """There is no such time zone here; the text says so."""


def resolve_zone(name: str) -> str:
    """The name of the zone meant: that of the system for `local`, `UTC` for each of its names.

    Raises: UnknownZone.
    """
    if name == LOCAL:
        name = os.environ.get("TZ", "").removeprefix(":") or _system_zone()
    return "UTC" if name in _UTC_NAMES else name


def open_zone(name: str) -> tzinfo:
    """The zone of this (resolved) name. Raises: UnknownZone."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZone(
            f"{name!r} is no time zone of this system's database; a name such as UTC or Europe/Berlin"
        ) from error


def _system_zone() -> str:
    """Source: localtime(5): a link whose target ends with the name."""
    if not LOCALTIME.exists():
        return "UTC"
    target = str(LOCALTIME.resolve())
    _, found, name = target.partition("/zoneinfo/")
    if not found:
        raise UnknownZone(f"{LOCALTIME} does not say which time zone it is; set TZ to its name")
    return name.removeprefix("posix/")
