"""A disk that fails on demand, at the n-th operation of a kind; otherwise the real one.

disk.fail("fdatasync", 2, errno.EIO)     the second fdatasync from now on raises, once
disk.cut_write(1, 100)                   the next pwrite writes 100 bytes, then fails with EIO
disk.short_write(1, 100)                 the next pwrite takes 100 bytes and says so
disk.crash_at(7)                         before the 7th changing operation the process "dies"
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from vxutils.disk import Disk


class Crash(Exception):
    """The process has died here: nothing it does from now on reaches the disk."""


class FaultyDisk(Disk):
    def __init__(self) -> None:
        self.operations: list[str] = []  # every changing operation, in order
        self._faults: dict[str, dict[int, int]] = {}
        self._counts: dict[str, int] = {}
        self._cuts: dict[int, tuple[int, bool]] = {}
        self._crash_at: int | None = None
        self._steps = 0

    def fail(self, operation: str, nth: int, error: int) -> None:
        self._faults.setdefault(operation, {})[self._counts.get(operation, 0) + nth] = error

    def cut_write(self, nth: int, size: int) -> None:
        self._cuts[self._counts.get("pwrite", 0) + nth] = (size, True)

    def short_write(self, nth: int, size: int) -> None:
        self._cuts[self._counts.get("pwrite", 0) + nth] = (size, False)

    def crash_at(self, step: int) -> None:
        self._crash_at = self._steps + step

    def _step(self, operation: str) -> None:
        self._steps += 1
        if self._crash_at is not None and self._steps >= self._crash_at:
            raise Crash(f"before {operation}")
        self.operations.append(operation)
        count = self._counts.get(operation, 0) + 1
        self._counts[operation] = count
        error = self._faults.get(operation, {}).pop(count, None)
        if error is not None:
            raise OSError(error, os.strerror(error))

    def create(self, path: Path, exclusive: bool = False) -> int:
        self._step("create")
        return super().create(path, exclusive)

    def pwrite_once(self, fd: int, data: bytes, offset: int) -> int:
        self._step("pwrite")
        size, fails = self._cuts.pop(self._counts["pwrite"], (len(data), False))
        count = super().pwrite_once(fd, data[:size], offset)
        if fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return count

    def fdatasync(self, fd: int) -> None:
        self._step("fdatasync")
        super().fdatasync(fd)

    def fsync(self, fd: int) -> None:
        self._step("fsync")
        super().fsync(fd)

    def sync_directory(self, path: Path) -> None:
        self._step("sync_directory")
        super().sync_directory(path)

    def rename(self, old: Path, new: Path) -> None:
        self._step("rename")
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        self._step("unlink")
        super().unlink(path)

    def allocate(self, fd: int, size: int) -> None:
        self._step("allocate")
        super().allocate(fd, size)

    def truncate(self, fd: int, size: int) -> None:
        self._step("truncate")
        super().truncate(fd, size)

    def make_directory(self, path: Path) -> None:
        self._step("make_directory")
        super().make_directory(path)
