"""The disk, as an object that is passed in: what journal, slices and the SYSTEM file need of `os`.

Every method is one thing the operating system does, or a few that only make sense together
(`write_atomically`). Nothing is retried and nothing is hidden: an `OSError` goes to the caller, who knows
what it means. Tests pass a disk that fails on demand. Not here: what the bytes mean.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
from pathlib import Path

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750
TEMPORARY_SUFFIX = ".tmp"


class Disk:
    """Stateless; one is made by each process and handed down."""

    def open_to_read(self, path: Path) -> int:
        """A descriptor for reading. Raises: OSError."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def open_to_write(self, path: Path) -> int:
        """A descriptor of an existing file for reading and writing. Raises: OSError."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def create(self, path: Path, exclusive: bool = False) -> int:
        """A descriptor of a new, empty file; what was there is emptied, or refused when `exclusive`."""
        only_new = os.O_EXCL if exclusive else os.O_TRUNC
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | only_new, FILE_MODE)

    def close(self, fd: int) -> None:
        os.close(fd)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        """`size` bytes from `offset`, fewer only at the end of the file. Raises: OSError."""
        data = os.pread(fd, size, offset)
        if len(data) == size or not data:
            return data
        parts = [data]
        count = len(data)
        while count < size:
            data = os.pread(fd, size - count, offset + count)
            if not data:
                break
            parts.append(data)
            count += len(data)
        return b"".join(parts)

    def pwrite(self, fd: int, data: bytes, offset: int) -> None:
        """Writes all of `data` at `offset`: a write that the kernel cut short is continued.

        Raises: OSError; then any part of `data` may have been written.
        """
        count = self.pwrite_once(fd, data, offset)
        while count < len(data):
            count += self.pwrite_once(fd, data[count:], offset + count)

    def pwrite_once(self, fd: int, data: bytes, offset: int) -> int:
        """One system call; returns how many bytes it took."""
        return os.pwrite(fd, data, offset)

    def fdatasync(self, fd: int) -> None:
        os.fdatasync(fd)

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def sync_directory(self, path: Path) -> None:
        """Makes creations, renames and removals in `path` durable. Raises: OSError."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Gives `old` the name `new` at once, replacing what was there; durable after `sync_directory`."""
        old.replace(new)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def allocate(self, fd: int, size: int) -> None:
        """Reserves the blocks of the first `size` bytes, where the file system can.

        Raises: OSError, ENOSPC among them: then nothing needs to be written to find out.
        """
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def inode(self, path: Path) -> int:
        """The number by which the file system itself knows this file. Raises: OSError."""
        return path.stat().st_ino

    def exists(self, path: Path) -> bool:
        """Whether something has this name. Raises: OSError when that cannot be told (EIO, EACCES)."""
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def is_directory(self, path: Path) -> bool:
        try:
            return stat.S_ISDIR(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def names(self, path: Path) -> list[str]:
        """The names in a directory, sorted. Raises: OSError."""
        return sorted(entry.name for entry in path.iterdir())

    def make_directory(self, path: Path) -> None:
        """Makes the directory and its parents when missing, and makes its own entry durable."""
        if self.is_directory(path):
            return
        path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        self.sync_directory(path.parent)

    def free_bytes(self, path: Path) -> int:
        """Bytes that an ordinary user may still write on the file system of `path`. Raises: OSError."""
        space = os.statvfs(path)
        return space.f_bavail * space.f_frsize

    def drop_cache(self, fd: int) -> None:
        """Asks the kernel to forget its clean pages of this file: the next read comes from the disk."""
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def map_shared(self, path: Path, size: int, writable: bool) -> mmap.mmap:
        """The first `size` bytes of a file as shared memory. Raises: OSError; ValueError if it is shorter."""
        fd = self.open_to_write(path) if writable else self.open_to_read(path)
        try:
            return mmap.mmap(fd, size, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
        finally:
            self.close(fd)

    def read_file(self, path: Path, size_max: int) -> bytes:
        """The whole of a small file. Raises: OSError; EFBIG when it is larger than `size_max`."""
        fd = self.open_to_read(path)
        try:
            data = self.pread(fd, size_max + 1, 0)
        finally:
            self.close(fd)
        if len(data) > size_max:
            raise OSError(errno.EFBIG, f"larger than {size_max} bytes", str(path))
        return data

    def write_atomically(self, path: Path, data: bytes) -> None:
        """Replaces the content of `path`, durably: after a crash it is the old or the new one, whole.

        Raises: OSError; then the old one is still there.
        """
        temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
        fd = self.create(temporary)
        try:
            self.pwrite(fd, data, 0)
            self.fsync(fd)
        finally:
            self.close(fd)
        self.rename(temporary, path)
        self.sync_directory(path.parent)
