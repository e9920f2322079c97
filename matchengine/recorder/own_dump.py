"""The recorder's side of a dump after a divergence: its state at the very sequence of the engine's dump.

    engine dumps at sequence N --> the unproven replay goes on to N --> ours beside it --> `vx diff`

Noticing a divergence, and recording nothing behind it, is done elsewhere (`replica`, `recording`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from matchengine import slices, system
from matchengine.divergence import ENGINE, RECORDER, DumpProcess, dump_directory
from matchengine.recorder.replica import Replica
from vxutils.disk import Disk

UNPROVEN_BYTES: Final = 4 << 20
"""Of the journal, executed at once: nobody waits for anything else then."""


class OwnDump:
    """In the data directory `data`. Raises: SystemFileError."""

    def __init__(self, disk: Disk, data: Path) -> None:
        self._disk = disk
        self._data = data
        self._process = DumpProcess(disk, data, RECORDER, system.read_system(disk, data))
        self._dumped_at = 0

    def forget(self) -> None:
        """There is another replica: what was dumped before is not of it."""
        self._dumped_at = 0

    def follow(self, replica: Replica, diverged_at: int) -> None:
        """Once a second from a divergence on: further to the engine's newest dump, and a dump there.

        Raises: JournalError, SliceError, OSError.
        """
        if self._process.poll() or replica.unproven is None:
            return
        dumps = slices.list_slices(self._disk, dump_directory(self._data, ENGINE))
        wanted = dumps[-1].sequence if dumps else 0
        if wanted < diverged_at or wanted <= self._dumped_at:
            return
        if replica.unproven.advance(UNPROVEN_BYTES, wanted):
            self._dumped_at = wanted
            self._process.start(replica.unproven.engine, replica.unproven.position)

    def wait(self) -> None:
        """Until a dump under way is written."""
        self._process.wait()
