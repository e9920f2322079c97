"""Slices: the whole state at one sequence, in one file, so that a start needs only the journal after it.

    slices/<sequence:020d>.slice        all integers little-endian
    +------------+---------+---------+-----+-----------+
    | header 128 | block 1 | block 2 | ... | footer 64 |
    +------------+---------+---------+-----+-----------+

    header                                       block
      0  magic "VXSLICE\\0"      8                   0  payload length, at most 1 MiB   u32
      8  format version       u16                   4  crc32 of the payload            u32
     10  logic version        u16                   8  packed items, one after another
     12  epoch                u32
     16  system id             16                footer
     32  sequence             u64                   0  magic "VXSLCEND"                  8
     40  operation id         u64                   8  item count                      u64
     48  time, microseconds   u64                  16  payload bytes of all blocks     u64
     56  outcome digest         8                  24  state hash                       32
     64  rules hash            32                  56  zeros                             4
     96  zeros  124  crc32    u32                  60  crc32 of bytes 0..59            u32

The crc32 of blocks and footer continue from that of the header, so parts of two slices never mix. The state
hash is blake2b-256 over the payload bytes of all blocks: it follows from the items alone. An item never
spans blocks. What the items are, and their one canonical order, is the state's own matter.

A slice has its name only once it was synced, read back and found right.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from matchengine.journal.format import LOGIC_VERSION
from vxutils.disk import Disk
from vxutils.packing import Packer, UnpackError, unpack_all

FORMAT_VERSION = 1
BLOCK_BYTES_MAX = 1024 * 1024
HEADER_BYTES = 128
FOOTER_BYTES = 64
NEEDED_FILE = "NEEDED"
NEEDED_BYTES_MAX = 4096

_HEADER_MAGIC = b"VXSLICE\0"
_FOOTER_MAGIC = b"VXSLCEND"
_HEADER = struct.Struct("<8sHHI16sQQQ8s32s")
_FOOTER = struct.Struct("<8sQQ32s")
_BLOCK = struct.Struct("<II")
_NAME = re.compile(r"(\d{20})\.slice")
_UNFINISHED = ".writing"


class SliceError(Exception):
    """A slice can not be written or used. The text is a sentence for the operator."""


class SliceDamaged(SliceError):
    """Its bytes are not those that were written."""

    def __init__(self, path: Path, offset: int, what: str) -> None:
        super().__init__(f"the slice {path} is damaged at offset {offset}: {what}")
        self.path = path
        self.offset = offset


class SliceNewer(SliceError):
    """A later version wrote it."""


class SliceForeign(SliceError):
    """It belongs to another system."""


class SliceIOError(SliceError):
    """The disk failed or is full. What was there before is unchanged."""


class SliceHeader(msgspec.Struct, frozen=True):
    """The moment of the state: after `sequence`. `time_us` is journal time; `digest` the frame's 8 bytes."""

    system_id: bytes
    epoch: int
    sequence: int
    operation_id: int
    time_us: int
    digest: bytes
    rules_hash: bytes
    logic_version: int = LOGIC_VERSION
    format_version: int = FORMAT_VERSION


class Slice(msgspec.Struct, frozen=True):
    """A slice that was read through and found right."""

    path: Path
    header: SliceHeader
    item_count: int
    state_hash: bytes


class SliceFile(msgspec.Struct, frozen=True):
    """A slice as its name tells it."""

    sequence: int
    path: Path


def slice_name(sequence: int) -> str:
    return f"{sequence:020d}.slice"


def state_hash(items: Iterable[object]) -> bytes:
    """The hash that a slice of these items carries, without writing one. O(size of the state)."""
    packer = Packer()
    digest = hashlib.blake2b(digest_size=32)
    for item in items:
        digest.update(packer.pack(item))
    return digest.digest()


def write_slice(disk: Disk, directory: Path, header: SliceHeader, items: Iterable[object]) -> Slice:
    """Writes the state that `items` are, verified and durable; makes `directory` when it is missing.

    An item packs to at most BLOCK_BYTES_MAX bytes. A slice of the same sequence is replaced.

    Raises: SliceIOError; SliceDamaged when reading it back finds something else. Then nothing is left of it.
    """
    path = directory / slice_name(header.sequence)
    unfinished = path.with_name(path.name + _UNFINISHED)
    try:
        disk.make_directory(directory)
        try:
            fd = disk.create(unfinished)
            try:
                _write_all(disk, fd, header, items)
                disk.fsync(fd)
                disk.drop_cache(fd)  # so that the reading below reads the disk, not our own pages
            finally:
                disk.close(fd)
            written = verify_slice(disk, unfinished)
            disk.rename(unfinished, path)
        except BaseException:
            if disk.exists(unfinished):
                disk.unlink(unfinished)
            raise
        disk.sync_directory(directory)
    except OSError as error:
        raise SliceIOError(f"the slice {path} can not be written: {error}") from error
    return msgspec.structs.replace(written, path=path)


def verify_slice(disk: Disk, path: Path) -> Slice:
    """Reads a slice through: every checksum, the state hash, nothing missing, nothing left over.

    Raises: SliceDamaged, SliceNewer, SliceIOError.
    """
    try:
        fd = disk.open_to_read(path)
        try:
            size = disk.size(fd)
            header, seed = _decode_header(disk.pread(fd, HEADER_BYTES, 0), path)
            count, payload_bytes, expected = _decode_footer(disk, fd, size, seed, path)
            digest = hashlib.blake2b(digest_size=32)
            total = 0
            for _, payload in _blocks(disk, fd, size, seed, path):
                digest.update(payload)
                total += len(payload)
        finally:
            disk.close(fd)
    except OSError as error:
        raise SliceIOError(f"the slice {path} can not be read: {error}") from error
    if (total, digest.digest()) != (payload_bytes, expected):
        raise SliceDamaged(path, HEADER_BYTES, "the state hash is not that of its content")
    return Slice(path, header, count, expected)


def read_items(disk: Disk, good: Slice) -> Iterator[object]:
    """The items of a slice that was verified, lazily, one block in memory at a time.

    Raises: SliceDamaged when it has changed since, or holds another number of items; SliceIOError.
    """
    count = 0
    try:
        fd = disk.open_to_read(good.path)
        try:
            _, seed = _decode_header(disk.pread(fd, HEADER_BYTES, 0), good.path)
            for offset, payload in _blocks(disk, fd, disk.size(fd), seed, good.path):
                try:
                    for item in unpack_all(payload):
                        count += 1
                        yield item
                except UnpackError as error:
                    raise SliceDamaged(good.path, offset, str(error)) from error
        finally:
            disk.close(fd)
    except OSError as error:
        raise SliceIOError(f"the slice {good.path} can not be read: {error}") from error
    if count != good.item_count:
        raise SliceDamaged(good.path, HEADER_BYTES, f"{count} items where {good.item_count} were written")


def read_slice(disk: Disk, path: Path) -> tuple[SliceHeader, Iterator[object]]:
    """Verifies the whole file, then gives header and items. Raises: as `verify_slice` and `read_items`."""
    good = verify_slice(disk, path)
    return good.header, read_items(disk, good)


def list_slices(disk: Disk, directory: Path) -> list[SliceFile]:
    """What the directory holds, oldest first; empty when it is not there. Raises: SliceIOError."""
    try:
        names = disk.names(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SliceIOError(f"{directory} can not be read: {error}") from error
    return [
        SliceFile(int(match[1]), directory / name)
        for name in names
        if (match := _NAME.fullmatch(name)) is not None
    ]


def newest_good_slice(
    disk: Disk, directory: Path, system_id: bytes, sequence_max: int | None = None
) -> tuple[Slice | None, list[str]]:
    """The newest slice (at or before `sequence_max`) that verifies, and a sentence for each that did not.

    None when no slice is good: then the state comes from the first journal record on.

    Raises: SliceNewer, SliceForeign: not damage, so nothing older is used instead.
    """
    warnings: list[str] = []
    for file in reversed(list_slices(disk, directory)):
        if sequence_max is not None and file.sequence > sequence_max:
            continue
        try:
            good = verify_slice(disk, file.path)
            if good.header.sequence != file.sequence:
                raise SliceDamaged(file.path, 32, f"its header says sequence {good.header.sequence}")
        except (SliceDamaged, SliceIOError) as error:
            warnings.append(f"{error}; the one before is used")
            continue
        if good.header.system_id != system_id:
            raise SliceForeign(
                f"the slice {file.path} belongs to system {good.header.system_id.hex()}, this data directory "
                f"is system {system_id.hex()}: move the file to where it came from"
            )
        return good, warnings
    return None, warnings


def newest_at(files: list[SliceFile], sequence: int) -> SliceFile | None:
    """The newest of these slices, oldest first, that is at or before `sequence`."""
    return next((file for file in reversed(files) if file.sequence <= sequence), None)


def declare_needed(disk: Disk, directory: Path, sequences: Iterable[int]) -> None:
    """Has `remove_older` keep, for each of these sequences, the newest slice at or before it.

    Said by whoever starts from slices besides the engine; replaces what was said before. Durable on return.

    Raises: SliceIOError.
    """
    text = "".join(f"{sequence}\n" for sequence in sorted(set(sequences)))
    try:
        disk.make_directory(directory)
        disk.write_atomically(directory / NEEDED_FILE, text.encode())
    except OSError as error:
        raise SliceIOError(f"{directory / NEEDED_FILE} can not be written: {error}") from error


def needed(disk: Disk, directory: Path) -> list[int]:
    """What `declare_needed` was told last. Raises: SliceIOError: then no slice may be removed."""
    path = directory / NEEDED_FILE
    try:
        text = disk.read_file(path, NEEDED_BYTES_MAX)
        return [int(line) for line in text.split()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise SliceIOError(f"{path} can not be read: {error}; no slice is removed") from error


def remove_older(disk: Disk, directory: Path, keep: int = 2, unfinished: bool = True) -> list[Path]:
    """Removes all slices but the newest `keep` and those that are `needed`; returns what went.

    With `unfinished` also what an interrupted writing left: never while a slice is being written here.
    Raises: SliceIOError.
    """
    assert keep >= 1, "one slice is always kept"
    files = list_slices(disk, directory)
    wanted = {newest_at(files, sequence) for sequence in needed(disk, directory)}
    old = [file.path for file in files[:-keep] if file not in wanted]
    try:
        if unfinished and disk.is_directory(directory):
            old += [directory / name for name in disk.names(directory) if name.endswith(_UNFINISHED)]
        for path in old:
            disk.unlink(path)
        if old:
            disk.sync_directory(directory)
    except OSError as error:
        raise SliceIOError(f"old slices in {directory} can not be removed: {error}") from error
    return old


def _write_all(disk: Disk, fd: int, header: SliceHeader, items: Iterable[object]) -> None:
    head = _encode_header(header)
    seed = _seed(head)
    disk.pwrite(fd, head, 0)
    offset = len(head)
    packer = Packer()
    digest = hashlib.blake2b(digest_size=32)
    count = total = size = 0
    waiting: list[bytes] = []

    def write_block() -> None:
        nonlocal offset, total, size
        payload = b"".join(waiting)
        digest.update(payload)
        block = _BLOCK.pack(len(payload), zlib.crc32(payload, seed)) + payload
        disk.pwrite(fd, block, offset)
        offset += len(block)
        total += len(payload)
        size = 0
        waiting.clear()

    for item in items:
        packed = packer.pack(item)
        assert len(packed) <= BLOCK_BYTES_MAX, "an item is larger than a block"
        if size + len(packed) > BLOCK_BYTES_MAX:
            write_block()
        waiting.append(packed)
        size += len(packed)
        count += 1
    if waiting:
        write_block()
    footer = _FOOTER.pack(_FOOTER_MAGIC, count, total, digest.digest()).ljust(FOOTER_BYTES - 4, b"\0")
    disk.pwrite(fd, footer + zlib.crc32(footer, seed).to_bytes(4, "little"), offset)


def _seed(head: bytes) -> int:
    """The checksum in the header; not one over it too, that is the same number for every header."""
    return int.from_bytes(head[-4:], "little")


def _encode_header(header: SliceHeader) -> bytes:
    assert len(header.system_id) == 16, "a system id is 16 bytes"
    assert len(header.digest) == 8, "an outcome digest is 8 bytes"
    assert len(header.rules_hash) == 32, "a rules hash is 32 bytes"
    head = _HEADER.pack(
        _HEADER_MAGIC,
        header.format_version,
        header.logic_version,
        header.epoch,
        header.system_id,
        header.sequence,
        header.operation_id,
        header.time_us,
        header.digest,
        header.rules_hash,
    ).ljust(HEADER_BYTES - 4, b"\0")
    return head + zlib.crc32(head).to_bytes(4, "little")


def _decode_header(head: bytes, path: Path) -> tuple[SliceHeader, int]:
    """The header and the seed for the checksums after it."""
    if len(head) < HEADER_BYTES or not head.startswith(_HEADER_MAGIC):
        raise SliceDamaged(path, 0, "it does not begin like a slice")
    if zlib.crc32(head[:-4]) != int.from_bytes(head[-4:], "little"):
        raise SliceDamaged(path, 0, "the checksum of its header is wrong")
    _, version, logic, epoch, system_id, sequence, operation_id, time_us, digest, rules_hash = (
        _HEADER.unpack_from(head)
    )
    for what, found, known in (("format", version, FORMAT_VERSION), ("logic version", logic, LOGIC_VERSION)):
        if found > known:
            raise SliceNewer(
                f"the slice {path} has {what} {found}, this version knows up to {known}: start the newer "
                "version of VX Exchange that wrote it"
            )
    header = SliceHeader(
        system_id=system_id,
        epoch=epoch,
        sequence=sequence,
        operation_id=operation_id,
        time_us=time_us,
        digest=digest,
        rules_hash=rules_hash,
        logic_version=logic,
        format_version=version,
    )
    return header, _seed(head)


def _decode_footer(disk: Disk, fd: int, size: int, seed: int, path: Path) -> tuple[int, int, bytes]:
    offset = size - FOOTER_BYTES
    if offset < HEADER_BYTES:
        raise SliceDamaged(path, size, "the file ends before its footer")
    footer = disk.pread(fd, FOOTER_BYTES, offset)
    if not footer.startswith(_FOOTER_MAGIC):
        raise SliceDamaged(path, offset, "it does not end like a slice: it is cut, or something was added")
    if zlib.crc32(footer[:-4], seed) != int.from_bytes(footer[-4:], "little"):
        raise SliceDamaged(path, offset, "the checksum of its footer is wrong")
    _, count, payload_bytes, digest = _FOOTER.unpack_from(footer)
    return count, payload_bytes, digest


def _blocks(disk: Disk, fd: int, size: int, seed: int, path: Path) -> Iterator[tuple[int, bytes]]:
    """(offset, payload) of each block between header and footer, its checksum verified."""
    offset = HEADER_BYTES
    end = size - FOOTER_BYTES
    while offset < end:
        head = disk.pread(fd, _BLOCK.size, offset)
        if len(head) < _BLOCK.size:
            raise SliceDamaged(path, offset, "the file ends inside a block")
        length, crc = _BLOCK.unpack(head)
        if not 0 < length <= min(BLOCK_BYTES_MAX, end - offset - _BLOCK.size):
            raise SliceDamaged(path, offset, f"a block claims {length} bytes")
        payload = disk.pread(fd, length, offset + _BLOCK.size)
        if len(payload) != length or zlib.crc32(payload, seed) != crc:
            raise SliceDamaged(path, offset, "the checksum of a block is wrong")
        yield offset, payload
        offset += _BLOCK.size + length
