"""A named shared-memory segment: who makes it, who looks at it, and how its death is noticed.

    cell 0  magic and kind     1  format version     2  size in bytes      3  generation, 0 = not in use
    cell 4  heartbeat, monotonic us                  5..7  constants of the kind (slots, ...)
    cell 8..15  cursors of the kind                  byte 128: data of the kind

All cells are native, aligned, 8 bytes and unsigned: one store, so a reader sees the old or the new value.
The owner (whoever holds the lock of the data directory) makes a segment, with every page allocated, and
removes it. Making one marks a stale segment of that name as out of use before it unlinks it, so a reader
that still has the stale one mapped knows at once. Readers map it read-only.

What lies in a segment is the business of `snapshot` and `message`.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import re
from pathlib import Path

import posix_ipc

HEADER_BYTES = 128
FORMAT_VERSION = 1
MODE = 0o600  # the user of the owner: books and orders are nobody else's to read or to stop
SHM_DIRECTORY = Path("/dev/shm")  # noqa: S108 - where Linux shows the names of shm_open
NAME_BYTES_MAX = 200
SIZE_BYTES_MAX = 1 << 40

MAGIC_CELL = 0
VERSION_CELL = 1
SIZE_CELL = 2
GENERATION_CELL = 3
HEARTBEAT_CELL = 4
CONSTANT_CELL = 5  # and two more
CURSOR_CELL = 8  # and seven more

_UNSAFE = re.compile(rb"[^A-Za-z0-9._-]")


class RingError(Exception):
    """A ring can not be made or attached. The text is a sentence for the operator."""


def ring_name(system_id: bytes, data_directory: Path, what: str) -> str:
    """The name of one ring of one exchange, for owner and readers alike.

    `what` says which ring: `book.BTCUSDT`, `messages.orders`. Two exchanges on a host, a copied data
    directory, or the same one used by another user never share a name. Other bytes than letters, digits, `.`,
    `_` and `-` are escaped; a name too long for a file is cut and carries a hash.
    """
    owner = f"{os.getuid()}:{data_directory.resolve()}".encode()
    place = hashlib.blake2b(system_id + owner, digest_size=6).hexdigest()
    encoded = what.encode("utf-8", "surrogatepass")
    safe = _UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], encoded).decode()
    if len(safe) > NAME_BYTES_MAX:
        safe = f"{safe[:100]}~{hashlib.blake2b(encoded, digest_size=16).hexdigest()}"
    return f"/vx-{place}-{safe}"


class Segment:
    """One mapped segment: `view` its bytes, `cells` the same as 8-byte cells, `identity` its inode."""

    __slots__ = ("_map", "cells", "identity", "name", "view")

    def __init__(self, name: str, mapping: mmap.mmap, identity: int) -> None:
        self.name = name
        self.identity = identity
        self._map = mapping
        self.view = memoryview(mapping)
        self.cells = self.view.cast("Q")

    @classmethod
    def create(cls, name: str, kind: bytes, data_bytes: int, constants: tuple[int, ...] = ()) -> Segment:
        """A new segment with room for `data_bytes` behind the header; a stale one of the name is removed.

        `kind` is 8 bytes. It is not in use before `begin`. Raises: RingError when the memory is not there;
        nothing is left behind then.
        """
        assert len(kind) == 8 and len(constants) <= CURSOR_CELL - CONSTANT_CELL
        page = mmap.PAGESIZE
        size = -(-(HEADER_BYTES + data_bytes) // page) * page
        if size > SIZE_BYTES_MAX:
            raise RingError(f"shared memory {name}: {size} bytes are over the limit of {SIZE_BYTES_MAX}")
        try:
            _retire(name)
            handle = posix_ipc.SharedMemory(name, posix_ipc.O_CREX, mode=MODE)
        except (posix_ipc.Error, OSError, ValueError) as error:
            raise RingError(f"shared memory {name} can not be made: {error}") from error
        try:
            # Every page now: a full /dev/shm would kill a writer by SIGBUS later.
            os.posix_fallocate(handle.fd, 0, size)
            mapping = mmap.mmap(handle.fd, size)
            identity = os.fstat(handle.fd).st_ino
        except (OSError, ValueError) as error:
            _unlink(name)
            raise RingError(f"shared memory {name} of {size} bytes can not be had: {error}") from error
        finally:
            handle.close_fd()
        segment = cls(name, mapping, identity)
        cells = segment.cells
        cells[MAGIC_CELL] = int.from_bytes(kind, "little")
        cells[VERSION_CELL] = FORMAT_VERSION
        cells[SIZE_CELL] = size
        for index, value in enumerate(constants):
            cells[CONSTANT_CELL + index] = value
        return segment

    @classmethod
    def attach(cls, name: str, kind: bytes) -> Segment:
        """The segment of that name, read-only.

        Raises: RingError when there is none, it is not in use yet or any more, or is not of this kind.
        """
        try:
            handle = posix_ipc.SharedMemory(name, read_only=True)
        except (posix_ipc.Error, OSError, ValueError) as error:
            raise RingError(f"shared memory {name} is not there: {error}") from error
        try:
            status = os.fstat(handle.fd)
            if status.st_size < HEADER_BYTES:
                raise RingError(f"shared memory {name} is being made")
            mapping = mmap.mmap(handle.fd, status.st_size, prot=mmap.PROT_READ)
        except (OSError, ValueError) as error:
            raise RingError(f"shared memory {name} can not be mapped: {error}") from error
        finally:
            handle.close_fd()
        segment = cls(name, mapping, status.st_ino)
        cells = segment.cells
        if not cells[GENERATION_CELL]:
            wrong = "is not in use"
        elif cells[MAGIC_CELL] != int.from_bytes(kind, "little"):
            wrong = f"is not a ring of kind {kind.decode()}"
        elif cells[VERSION_CELL] != FORMAT_VERSION:
            wrong = f"has format {cells[VERSION_CELL]}, this version reads {FORMAT_VERSION}"
        elif cells[SIZE_CELL] != status.st_size:
            wrong = f"has {status.st_size} bytes and says {cells[SIZE_CELL]}"
        else:
            return segment
        segment.close()
        raise RingError(f"shared memory {name} {wrong}")

    def begin(self, now_us: int) -> int:
        """Puts the segment in use, once its cells are filled; the new generation, never 0."""
        generation = int.from_bytes(os.urandom(8), "little") >> 1 | 1
        self.cells[HEARTBEAT_CELL] = now_us
        self.cells[GENERATION_CELL] = generation
        return generation

    def is_named(self) -> bool:
        """Whether the name still leads to this segment. One system call."""
        try:
            return (SHM_DIRECTORY / self.name[1:]).stat().st_ino == self.identity
        except OSError:
            return False

    def retire(self) -> None:
        """Puts it out of use: whoever has it mapped looks for another one."""
        self.cells[GENERATION_CELL] = 0

    def unlink(self) -> None:
        """Removes the name if it still leads here. The memory goes when the last one has closed it."""
        if self.is_named():
            _unlink(self.name)

    def close(self) -> None:
        """Unmaps. Repeating does nothing."""
        self.cells.release()
        self.view.release()
        self._map.close()


def _unlink(name: str) -> None:
    try:
        posix_ipc.unlink_shared_memory(name)
    except posix_ipc.ExistentialError:
        pass  # somebody was faster


def _retire(name: str) -> None:
    """Marks a stale segment as out of use and removes its name. Raises: posix_ipc.Error, OSError."""
    try:
        handle = posix_ipc.SharedMemory(name)
    except posix_ipc.ExistentialError:
        return
    try:
        size = os.fstat(handle.fd).st_size
        if size >= HEADER_BYTES:
            mapping = mmap.mmap(handle.fd, size)
            offset = GENERATION_CELL * 8
            mapping[offset : offset + 8] = bytes(8)
            mapping.close()
    finally:
        handle.close_fd()
    _unlink(name)
