"""A file system of some megabytes, so that a server's disk can be full: in memory, mounted for one test.

with SmallDisk(directory, 300) as disk:       # root, and the right to mount
    disk.fill()                               # nothing more can be written
    disk.make_room()
"""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from types import TracebackType

BALLAST = "ballast"
STEP_BYTES = 1 << 20


@cache
def may_mount() -> bool:
    """Whether this user may mount a file system here."""
    with tempfile.TemporaryDirectory() as name:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", name], capture_output=True)
        if done.returncode == 0:
            subprocess.run(["umount", name], check=True)
        return done.returncode == 0


class SmallDisk:
    """Mounted on `directory`, which is made; gone with its contents at the end."""

    def __init__(self, directory: Path, megabytes: int) -> None:
        self.directory = directory
        self._megabytes = megabytes

    def __enter__(self) -> SmallDisk:
        self.directory.mkdir(parents=True)
        options = f"size={self._megabytes}m"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.directory)], check=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["umount", "--lazy", str(self.directory)], check=True)

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.directory)
        return found.f_bavail * found.f_frsize

    def fill(self) -> None:
        """Takes all the space there is."""
        with (self.directory / BALLAST).open("ab") as ballast:
            step = STEP_BYTES
            while step >= os.sysconf("SC_PAGE_SIZE"):
                try:
                    os.posix_fallocate(ballast.fileno(), os.fstat(ballast.fileno()).st_size, step)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    step //= 2

    def make_room(self) -> None:
        (self.directory / BALLAST).unlink()
