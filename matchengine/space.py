"""Disk space: segments ahead of need, and the reserve below which new orders wait.

A helper process prepares segments (`python -m matchengine prepare`), so the engine never waits for
zeros to be written; if it dies it is started again. The gate closes for commands that make the state
grow when free space falls below the reserve, no segment is prepared any more, or the recorder is too far
behind (what it has not consumed can not be archived); what is already allocated then still takes
cancels. It opens again by itself.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from vxutils.disk import Disk

SEGMENTS_AHEAD = 2

_log = logging.getLogger("vx.matchengine.space")


class SegmentSource(Protocol):
    """What is needed of the journal writer."""

    frame_bytes_max: int

    @property
    def prepared(self) -> int: ...
    @property
    def room(self) -> int: ...
    def take_prepared(self) -> int: ...


class Helper:
    """A process of ours that is started when there is work, one at a time, and ends by itself."""

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self.name = name
        self._arguments = [sys.executable, "-m", "matchengine", *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self.failures = 0

    def poll(self) -> bool:
        """Whether it is running; a failure is logged once."""
        process = self._process
        if process is None:
            return False
        code = process.poll()
        if code is None:
            return True
        self._process = None
        if code != 0:
            self.failures += 1
            _log.error("helper %s ended with status %d", self.name, code)
        return False

    def start(self) -> bool:
        """Starts it unless it is running. vfork and exec: costs the engine no copy of its memory."""
        if self.poll():
            return False
        self._process = subprocess.Popen(self._arguments, stdin=subprocess.DEVNULL)  # noqa: S603
        return True

    def stop(self) -> None:
        """Ends it; what it was writing has not got its name yet and is removed at the next start."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            process.wait()


class SpaceGate:
    """Whether commands that need space later are taken now. `check` is called once a second."""

    def __init__(
        self,
        disk: Disk,
        directory: Path,
        journal: SegmentSource,
        preparer: Helper,
        reserve_bytes: int,
        lag_reason: Callable[[], str] = lambda: "",
    ) -> None:
        self._lag_reason = lag_reason
        self._disk = disk
        self._directory = directory
        self._journal = journal
        self._preparer = preparer
        self._reserve_bytes = reserve_bytes
        self._reason = ""
        self.free_bytes = 0

    def is_open(self) -> bool:
        """False while new orders and balance updates are to be refused. Asked once per turn."""
        if self._journal.prepared < SEGMENTS_AHEAD and not self._preparer.failures:
            self._replenish()
        return not self._reason and self._journal.room > 2 * self._journal.frame_bytes_max

    @property
    def reason(self) -> str:
        """Why it is closed, empty while it is open."""
        return self._reason

    def check(self) -> None:
        """Looks at the disk, has segments prepared, opens or closes. An alarm at each change."""
        self.free_bytes = self._disk.free_bytes(self._directory)
        self._replenish()
        prepared = self._journal.prepared
        reason = ""
        if self.free_bytes < self._reserve_bytes:
            reason = f"{self.free_bytes} bytes free, the reserve is {self._reserve_bytes}"
        elif prepared == 0 and self._preparer.failures:
            reason = "no journal segment could be prepared"
        else:
            reason = self._lag_reason()
        if bool(reason) != bool(self._reason):
            if reason:
                _log.critical("new orders are refused: %s in %s", reason, self._directory)
            else:
                _log.critical("new orders are taken again: %d bytes free", self.free_bytes)
        self._reason = reason
        if not reason:
            self._preparer.failures = 0

    def _replenish(self) -> None:
        """Takes what the helper has prepared; has it prepare more if that is too little."""
        if self._preparer.poll():
            return
        if self._journal.take_prepared() < SEGMENTS_AHEAD:
            self._preparer.start()
