"""A log file that is rolled by size or by time while several processes append to it.

    by size: <path>.log          older: <path>.log.1, .log.2, ...
    by time: <path>.<stamp>.log  the same when one of them is full; whole files expire after `keep` units

Each line is one write to a descriptor opened for appending, so lines of several processes do not mix. Who
finds the file full locks it (flock), renames and lets go; the others see a new inode under the name and open
it. This module knows nothing of levels and line formats, and keeps no line in memory.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

__all__ = ["RollingFile", "Shift"]

Shift = Literal["size", "hour", "min", "day"]

_STAMPS: Final[dict[Shift, tuple[str, int]]] = {
    "min": ("%Y%m%d%H%M", 60),
    "hour": ("%Y%m%d%H", 3600),
    "day": ("%Y%m%d", 86400),
}
"""Stamp in the name (local time) and length in seconds of each unit. Source: protocol.md 10.2."""

_FILE_MODE: Final = 0o664


class RollingFile:
    """Appends lines to the file that is due. One owner calls it, from one thread at a time.

    `max_bytes`: size at which a file is rolled; it grows a little further while another process renames
    it, and a longer single line is written whole.
    `num`: files kept of one name, the one being written included; 1 deletes a full file, 0 keeps all (a roll
    then costs O(number of files)).
    `keep`: age in units at which files by time are deleted; 0 = never.

    Source: protocol.md 10.2.
    """

    def __init__(self, path: str, shift: Shift, max_bytes: int, num: int, keep: int) -> None:
        self._base = path
        self._shift = shift
        self._max_bytes = max_bytes
        self._num = num
        self._keep = keep
        self._minute = -1
        self._due = ""
        self._opened = ""
        self._descriptor = -1
        self._identity = (0, 0)
        self._torn = False

    def write(self, line: bytes, created_s: float) -> None:
        """Appends `line` (newline included) to the file due at the wall clock time `created_s`.

        Raises: OSError when the line could not be written whole; the next one begins on a line of its own.
        """
        path = self._path_at(created_s)
        if path != self._opened:
            self._open(path)
            self._expire(created_s)
        else:
            self._follow(path, len(line))
        if self._torn:
            line = b"\n" + line
        written = os.write(self._descriptor, line)
        self._torn = written < len(line)
        if self._torn:
            raise OSError(errno.ENOSPC, "log line cut short", path)

    def open(self, now_s: float) -> None:
        """Opens the file due at `now_s`, so that a wrong path is found at start. Raises: OSError."""
        self._open(self._path_at(now_s))
        self._expire(now_s)

    def close(self) -> None:
        """Closes the file; a later write opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._opened = ""

    def _path_at(self, time_s: float) -> str:
        minute = int(time_s // 60)
        if minute != self._minute:  # no zone's clock changes within a minute of UTC
            self._minute = minute
            stamp = "" if self._shift == "size" else "." + self._stamp(time_s)
            self._due = f"{self._base}{stamp}.log"
        return self._due

    def _stamp(self, time_s: float) -> str:
        return time.strftime(_STAMPS[self._shift][0], time.localtime(time_s))

    def _open(self, path: str) -> None:
        self.close()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, _FILE_MODE)
        status = os.fstat(self._descriptor)
        self._identity = (status.st_dev, status.st_ino)
        self._opened = path

    def _follow(self, path: str, growth: int) -> None:
        """Opens what now has the name if another process rolled or removed it; rolls it if it is full."""
        try:
            status = os.stat(path)  # noqa: PTH116 - once per line: no Path object
        except FileNotFoundError:
            self._open(path)
            return
        if (status.st_dev, status.st_ino) != self._identity:
            self._open(path)
        elif self._is_full(status, growth):
            self._roll(path, growth)

    def _roll(self, path: str, growth: int) -> None:
        """Renames a file that is still full once it is locked, and opens what then has the name."""
        # A descriptor of our own: one inherited from the watchdog would share its lock with the whole family.
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._open(path)  # another process has just renamed it
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(descriptor)
            if os.path.samestat(status, os.stat(path)) and self._is_full(status, growth):  # noqa: PTH116
                self._rename(path)
            self._open(path)
        except BlockingIOError:
            return  # another process is rolling: this line still goes to the full file
        except FileNotFoundError:
            self._open(path)
        finally:
            os.close(descriptor)

    def _is_full(self, status: os.stat_result, growth: int) -> bool:
        return 0 < status.st_size > self._max_bytes - growth

    def _rename(self, path: str) -> None:
        """Moves `path` to `.1`, `.1` to `.2` ... up to the first free number or the last one kept."""
        last_kept = self._num - 1 if self._num else -1
        if last_kept == 0:
            Path(path).unlink()
            return
        free = 1
        while free != last_kept and Path(f"{path}.{free}").exists():
            free += 1
        for number in range(free, 1, -1):
            Path(f"{path}.{number - 1}").rename(f"{path}.{number}")
        Path(path).rename(f"{path}.1")
        surplus = last_kept + 1
        while surplus and Path(f"{path}.{surplus}").exists():  # `num` was larger once
            Path(f"{path}.{surplus}").unlink()
            surplus += 1

    def _expire(self, now_s: float) -> None:
        """Deletes files by time that are `keep` units old or older, also those of a time when nobody ran."""
        if self._shift == "size" or self._keep == 0:
            return
        newest_expired = self._stamp(now_s - self._keep * _STAMPS[self._shift][1])
        base = Path(self._base)
        pattern = re.compile(re.escape(base.name) + rf"\.(\d{{{len(newest_expired)}}})\.log(\.\d+)?")
        with suppress(OSError):  # tidying must not cost a log line
            for entry in base.parent.iterdir():
                found = pattern.fullmatch(entry.name)
                if found and found[1] <= newest_expired:
                    entry.unlink(missing_ok=True)
