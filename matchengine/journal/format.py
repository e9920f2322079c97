"""The bytes of the journal: the header block of a segment and the header of a frame.

A codec: bytes in, values out; it opens no file. All integers are little-endian.

    segment file   <number:010d>-<first sequence:020d>.journal
    +-------------+---------+---------+-----+---------+------------------------+
    | header 4096 | frame 1 | frame 2 | ... | frame n | zeros up to the end    |
    +-------------+---------+---------+-----+---------+------------------------+
                  '-- each starts at a multiple of 8 --'

    segment header (one block of 4096 bytes)
      0  magic "VXJOURNL"        8     32  segment number            u64
      8  format version        u16     40  first sequence            u64
     10  logic version         u16     48  rules hash                 32
     12  epoch                 u32     80  hash of previous segment   32
     16  system id              16    112  created, microseconds     u64
                                      120  zeros      4092  crc32 of bytes 0..4091  u32

    frame
      0  magic "VXFR"          u32     24  record count              u32
      4  payload length        u32     28  unsynced records          u32
      8  crc32                 u32     32  time, microseconds        u64
     12  epoch                 u32     40  outcome digest              8
     16  first sequence        u64     48  payload, then zeros to a multiple of 8

The crc32 of a frame is taken over the whole frame, padding included, with its own field zero, and
continues from the crc32 of the segment's header: a frame is valid only in its own segment, and what a
client sends inside a record can not pass for a frame. `unsynced records` counts the records before
this frame which were not yet synced when it was written (0 always with durability `group`), so a
reader can tell a hole that a power cut may leave from damage to something that had been synced.

The place of the magic, of both versions and of the header's crc32 never changes in later versions.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib

import msgspec

FORMAT_VERSION = 1
LOGIC_VERSION = 1  # of the matching logic whose outcomes the frames pin

SEGMENT_MAGIC = b"VXJOURNL"
SEGMENT_HEADER_BYTES = 4096
SEGMENT_BYTES_MIN = 32 * 1024
SEGMENT_BYTES_MAX = 1024 * 1024 * 1024  # a reader takes a segment into memory whole
SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024

FRAME_MAGIC = b"VXFR"
FRAME_HEADER = struct.Struct("<4sIIIQIIQ8s")
FRAME_HEADER_BYTES = FRAME_HEADER.size
FRAME_ALIGNMENT = 8
DIGEST_BYTES = 8
HASH_BYTES = 32
SYSTEM_ID_BYTES = 16
NO_HASH = bytes(HASH_BYTES)

_SEGMENT_HEADER = struct.Struct("<8sHHI16sQQ32s32sQ")
_CRC_OFFSET = SEGMENT_HEADER_BYTES - 4
_ZERO_CRC = bytes(4)
_NAME = re.compile(r"(\d{10})-(\d{20})\.journal")
_U32_MAX = 2**32 - 1

assert FRAME_HEADER_BYTES == 48


class JournalError(Exception):
    """The journal can not be used as it is. The text is a sentence for the operator."""


class JournalDamaged(JournalError):
    """Bytes that were written are missing or changed: `file` and `offset` say where."""

    def __init__(self, file: str, offset: int, what: str) -> None:
        super().__init__(f"the journal is damaged: {file}, offset {offset}: {what}")
        self.file = file
        self.offset = offset


class JournalNewer(JournalError):
    """Written by a later version than this one."""


class JournalForeign(JournalError):
    """A file of another system is in this directory."""


class JournalMissing(JournalError):
    """The directory holds no journal, or not the part that is needed."""


class JournalIOError(JournalError):
    """The disk failed: what was written last may or may not be there. The process must end."""


class NoSpace(JournalError):
    """There is no room for another segment. Nothing was written; the journal stays usable."""


class SegmentHeader(msgspec.Struct, frozen=True):
    """What the header block says. `created_us` is wall clock; hashes are blake2b-256."""

    system_id: bytes
    epoch: int
    number: int
    first_sequence: int
    rules_hash: bytes
    previous_hash: bytes
    created_us: int
    format_version: int = FORMAT_VERSION
    logic_version: int = LOGIC_VERSION


def segment_name(number: int, first_sequence: int) -> str:
    """The file name of a segment."""
    return f"{number:010d}-{first_sequence:020d}.journal"


def parse_segment_name(name: str) -> tuple[int, int] | None:
    """(number, first sequence) of a segment's file name; None when it is no such name."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


def encode_segment_header(header: SegmentHeader) -> bytes:
    """The block of 4096 bytes."""
    assert len(header.system_id) == SYSTEM_ID_BYTES, "a system id is 16 bytes"
    assert len(header.rules_hash) == HASH_BYTES, "a rules hash is 32 bytes"
    assert len(header.previous_hash) == HASH_BYTES, "a segment hash is 32 bytes"
    block = _SEGMENT_HEADER.pack(
        SEGMENT_MAGIC,
        header.format_version,
        header.logic_version,
        header.epoch,
        header.system_id,
        header.number,
        header.first_sequence,
        header.rules_hash,
        header.previous_hash,
        header.created_us,
    ).ljust(_CRC_OFFSET, b"\0")
    return block + zlib.crc32(block).to_bytes(4, "little")


def decode_segment_header(block: bytes | memoryview, file: str) -> SegmentHeader:
    """The header in the first 4096 bytes of `file` (named for the error only).

    Raises: JournalDamaged when it is not a whole header; JournalNewer when a later version wrote it.
    """
    restore = "put the file back from a backup, with all files after it"
    if len(block) < SEGMENT_HEADER_BYTES:
        raise JournalDamaged(file, 0, f"the file ends after {len(block)} bytes, inside its header; {restore}")
    if bytes(block[:8]) != SEGMENT_MAGIC:
        raise JournalDamaged(file, 0, f"it does not begin like a segment of the journal; {restore}")
    if zlib.crc32(block[:_CRC_OFFSET]) != segment_seed(block):
        raise JournalDamaged(file, 0, f"the checksum of its header is wrong; {restore}")
    (_, format_version, logic_version, epoch, system_id, number, first_sequence, rules, previous, created) = (
        _SEGMENT_HEADER.unpack_from(block)
    )
    if format_version > FORMAT_VERSION:
        raise JournalNewer(
            f"{file} has journal format {format_version}, this version reads up to {FORMAT_VERSION}: "
            "start the newer version of VX Exchange that wrote it"
        )
    if logic_version > LOGIC_VERSION:
        raise JournalNewer(
            f"{file} was matched by logic version {logic_version}, this version knows up to {LOGIC_VERSION}: "
            "start the newer version of VX Exchange that wrote it"
        )
    return SegmentHeader(
        system_id=system_id,
        epoch=epoch,
        number=number,
        first_sequence=first_sequence,
        rules_hash=rules,
        previous_hash=previous,
        created_us=created,
        format_version=format_version,
        logic_version=logic_version,
    )


def segment_seed(block: bytes | memoryview) -> int:
    """The crc32 of a header block: from it the crc32 of every frame of that segment continues."""
    return int.from_bytes(block[_CRC_OFFSET:SEGMENT_HEADER_BYTES], "little")


def segment_hash(data: bytes | memoryview = b"") -> hashlib.blake2b:
    """A running hash over the used bytes of a segment, header included."""
    return hashlib.blake2b(data, digest_size=HASH_BYTES)


def frame_bytes(payload_bytes: int) -> int:
    """How many bytes of a segment a frame with so many bytes of records takes."""
    return (FRAME_HEADER_BYTES + payload_bytes + FRAME_ALIGNMENT - 1) // FRAME_ALIGNMENT * FRAME_ALIGNMENT


def encode_frame(
    seed: int,
    epoch: int,
    first_sequence: int,
    records: list[bytes],
    unsynced: int,
    time_us: int,
    digest: bytes,
) -> bytes:
    """One frame with its padding. `seed` is the `segment_seed` of the segment it is for."""
    assert len(digest) == DIGEST_BYTES, "an outcome digest is 8 bytes"
    payload = b"".join(records)
    length = len(payload)
    padding = bytes(-length % FRAME_ALIGNMENT)
    head = FRAME_HEADER.pack(
        FRAME_MAGIC,
        length,
        0,
        epoch,
        first_sequence,
        len(records),
        min(unsynced, _U32_MAX),
        time_us,
        digest,
    )
    crc = zlib.crc32(padding, zlib.crc32(payload, zlib.crc32(head, seed)))
    return b"".join((head[:8], crc.to_bytes(4, "little"), head[12:], payload, padding))


def frame_is_whole(data: memoryview, offset: int, end: int, crc: int, seed: int) -> bool:
    """Whether the bytes `offset`..`end` of a segment are the frame that this crc32 was computed for."""
    computed = zlib.crc32(_ZERO_CRC, zlib.crc32(data[offset : offset + 8], seed))
    return zlib.crc32(data[offset + 12 : end], computed) == crc
