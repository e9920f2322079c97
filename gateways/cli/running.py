"""What `vx up` runs, as a file in its data directory: written by it, read by `vx status`. Data only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from gateways.cli.home import running_path
from gateways.cli.processes import WatchedProcess


class RunningProcess(msgspec.Struct, frozen=True):
    """One program: `pid` of what `vx up` started, None while there is none. Addresses are texts."""

    name: str
    pid: int | None
    is_ready: bool
    serves: list[str]
    console: str | None
    monitor: str | None


def running_text(processes: Sequence[WatchedProcess]) -> str:
    """The file's text."""
    return msgspec.json.encode([_running(process) for process in processes]).decode()


def read_running(directory: Path) -> list[RunningProcess] | None:
    """What runs on this data directory, None if no `vx up` has said so. Raises: OSError, DecodeError."""
    try:
        text = running_path(directory).read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(text, type=list[RunningProcess])


def _running(process: WatchedProcess) -> RunningProcess:
    places = process.places
    return RunningProcess(
        process.name,
        process.pid,
        process.is_ready,
        [str(address) for address in places.serves],
        str(places.console) if places.console else None,
        str(places.monitor) if places.monitor else None,
    )
