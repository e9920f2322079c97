"""How far the journal of a data directory surely goes, whether an engine runs on it or not.

For whoever reads beside the engine: a backup, a look at the past.
"""

from __future__ import annotations

from pathlib import Path

from matchengine.journal.archive import ARCHIVE_DIRECTORY
from matchengine.journal.durable import read_durable
from matchengine.journal.reader import scan
from matchengine.system import System
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit
from vxutils.process import DirectoryLock


def durable_end(disk: Disk, data: Path, journal: Path, identity: System) -> int:
    """The last sequence that is surely there; 0 if there is none.

    What DURABLE says while an engine runs. Without one it is what the journal holds: after a loss of power
    DURABLE may be too low. The lock is held for this look only. Raises: JournalError, ProcessExit.
    """
    known = read_durable(disk, journal, identity.id_bytes)
    try:
        lock = DirectoryLock(data)
    except (ProcessExit, OSError):
        if known is None:
            raise ProcessExit(
                ExitCode.JOURNAL_DAMAGED, f"it can not be told how far {journal} is durable: no DURABLE file"
            ) from None
        return known
    with lock:
        reading = scan(disk, journal, identity.id_bytes, known or 1, data / ARCHIVE_DIRECTORY)
        for _ in reading:
            pass
        return reading.end.last_sequence if reading.end is not None else 0
