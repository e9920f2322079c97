"""The file DURABLE: the highest sequence that is synced, in memory shared with whoever follows.

    0  magic "VXDURABL"  8      8  format version u16   10 zeros 2   12  epoch u32
   16  system id        16     32  durable sequence, one aligned native 8-byte cell
   40  zeros            20     60  crc32 of bytes 0..31  u32

The writer stores into the mapped cell after each sync of the journal; no sync of this file is made for
it. So the value survives the death of the process, and after a loss of power it is at worst too low,
never too high: it is a floor under what recovery must find. It also marks the directory as one that
was made for a journal: without it and without segments a start refuses, because an unmounted disk must
not look like a new exchange.

Made once by `create_journal`; written by the process that owns the journal; anyone may read.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from pathlib import Path

from matchengine.journal import format as layout
from vxutils.disk import Disk

FILE_NAME = "DURABLE"
FILE_BYTES = 64
FORMAT_VERSION = 1

_MAGIC = b"VXDURABL"
_HEAD = struct.Struct("<8sHHI16s")
_CELL = 32
_CRC = 60


def _encode(system_id: bytes, epoch: int, sequence: int) -> bytes:
    assert len(system_id) == layout.SYSTEM_ID_BYTES, "a system id is 16 bytes"
    head = _HEAD.pack(_MAGIC, FORMAT_VERSION, 0, epoch, system_id)
    cell = struct.pack("=Q", sequence)
    return (head + cell).ljust(_CRC, b"\0") + zlib.crc32(head).to_bytes(4, "little")


def create_journal(disk: Disk, directory: Path, system_id: bytes) -> None:
    """Makes `directory` an empty journal of this system: for `vx init`, and only for it. May be repeated.

    Raises: JournalForeign when anything of a journal is there already; OSError.
    """
    disk.make_directory(directory)
    names = disk.names(directory)
    if any(layout.parse_segment_name(name) for name in names):
        raise layout.JournalForeign(f"{directory} already holds a journal; choose an empty directory")
    if FILE_NAME in names and read_durable(disk, directory, system_id):
        raise layout.JournalMissing(
            f"{directory} had a journal whose segments are gone; choose an empty directory, or put them back"
        )
    disk.write_atomically(directory / FILE_NAME, _encode(system_id, 0, 0))


def read_durable(disk: Disk, directory: Path, system_id: bytes) -> int | None:
    """The sequence up to which operations were acknowledged as durable; None when it is not known.

    Not known: no file, or one that a loss of power left unreadable.

    Raises: JournalForeign when it belongs to another system; JournalNewer; JournalIOError.
    """
    path = directory / FILE_NAME
    try:
        data = disk.read_file(path, FILE_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise layout.JournalIOError(f"{path} can not be read: {error}") from error
    if len(data) != FILE_BYTES or int.from_bytes(data[_CRC:], "little") != zlib.crc32(data[:_CELL]):
        return None
    magic, version, _, _, owner = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        return None
    if version > FORMAT_VERSION:
        raise layout.JournalNewer(f"{path} has format {version}, this version reads up to {FORMAT_VERSION}")
    if owner != system_id:
        raise layout.JournalForeign(
            f"{path} belongs to system {owner.hex()}, this data directory is system {system_id.hex()}"
        )
    sequence: int = struct.unpack_from("=Q", data, _CELL)[0]
    return sequence


def check_floor(disk: Disk, directory: Path, system_id: bytes, end: tuple[str, int, int] | None) -> None:
    """Refuses a journal that ends before what was acknowledged, or that is not there at all.

    `end` is (file, offset, last sequence) of the end that was found, None when there is no segment.

    Raises: JournalDamaged, JournalMissing, and what `read_durable` raises.
    """
    floor = read_durable(disk, directory, system_id)
    if floor is None and end is None:
        raise layout.JournalMissing(
            f"{directory} holds no journal (no {FILE_NAME} file, no segment): a disk that is not mounted? "
            "`vx init` makes a new, empty one"
        )
    file, offset, last_sequence = end if end is not None else (str(directory / FILE_NAME), _CELL, 0)
    if floor is not None and floor > last_sequence:
        raise layout.JournalDamaged(
            file,
            offset,
            f"acknowledged operations {last_sequence + 1}..{floor} are missing: the journal ends at "
            f"{last_sequence}. Put the missing files back from a backup; removing the file "
            f"{directory / FILE_NAME} accepts that these operations are lost",
        )


class DurableCell:
    """The mapped file. The owner of the journal makes it writable, a follower only reads.

    `sequence` reads and stores the cell; one native aligned store, so a reader sees the old or the new.
    """

    __slots__ = ("_cell", "_map")

    def __init__(self, mapping: mmap.mmap) -> None:
        self._map = mapping
        self._cell = memoryview(mapping)[_CELL : _CELL + 8].cast("Q")

    @property
    def sequence(self) -> int:
        return self._cell[0]

    @sequence.setter
    def sequence(self, value: int) -> None:
        self._cell[0] = value

    @property
    def epoch(self) -> int:
        """The epoch of the writer that has opened it last."""
        epoch: int = _HEAD.unpack_from(self._map)[3]
        return epoch

    def close(self) -> None:
        self._cell.release()
        self._map.close()


def own_durable(disk: Disk, directory: Path, system_id: bytes, epoch: int, sequence: int) -> DurableCell:
    """Takes the file for a new writer: everything up to `sequence` is synced already.

    An existing file is changed in place, for those who have it mapped. Raises: JournalIOError,
    JournalForeign, JournalNewer.
    """
    known = read_durable(disk, directory, system_id)
    data = _encode(system_id, epoch, sequence)
    path = directory / FILE_NAME
    try:
        if known is None:
            disk.write_atomically(path, data)
        else:
            fd = disk.open_to_write(path)
            try:
                disk.pwrite(fd, data, 0)
                disk.fdatasync(fd)
            finally:
                disk.close(fd)
        return DurableCell(disk.map_shared(path, FILE_BYTES, writable=True))
    except OSError as error:
        raise layout.JournalIOError(f"{path} can not be written: {error}") from error


def follow_durable(disk: Disk, directory: Path) -> DurableCell:
    """Maps the file for reading. Raises: OSError, ValueError when it is not there or too short."""
    return DurableCell(disk.map_shared(directory / FILE_NAME, FILE_BYTES, writable=False))
