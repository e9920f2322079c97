"""msgpack with integers of any size: the encoding inside journal, slices and rings.

msgpack stops at 64 bits, 0.2 of an asset with 20 decimals does not fit. An integer outside
-2^63 .. 2^64-1 travels as extension type 1 with its shortest big-endian two's complement bytes.
The same object always becomes the same bytes (a dict keeps its own order: whoever needs one order
sorts before). A `Packer` belongs to one owner; nothing here is shared.

It does not know what the objects mean and checks no shapes: that is the reader of each record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgpack

EXT_INTEGER = 1
INTEGER_BYTES_MAX = 1024  # 8,191 bits: far past any amount, a bound for what a damaged length may claim

Buffer = bytes | bytearray | memoryview


class UnpackError(ValueError):
    """The bytes are not exactly the packed objects they should be."""


def _extend_integer(value: object) -> msgpack.ExtType:
    """msgpack asks here for what it cannot pack itself: integers past 64 bits, or our own mistake."""
    if not isinstance(value, int):
        raise TypeError(f"{type(value).__name__} is not packed: {value!r:.100}")
    magnitude = value if value >= 0 else ~value
    length = magnitude.bit_length() // 8 + 1  # the bit more is the sign
    if length > INTEGER_BYTES_MAX:
        raise OverflowError(f"an integer of {length} bytes is over the limit of {INTEGER_BYTES_MAX}")
    return msgpack.ExtType(EXT_INTEGER, value.to_bytes(length, "big", signed=True))


def _take_extension(code: int, data: bytes) -> int:
    if code != EXT_INTEGER:
        raise ValueError(f"extension type {code} is unknown")
    if not 9 <= len(data) <= INTEGER_BYTES_MAX:
        raise ValueError(f"an integer extension of {len(data)} bytes")
    value = int.from_bytes(data, "big", signed=True)
    magnitude = value if value >= 0 else ~value
    if magnitude.bit_length() // 8 + 1 != len(data) or -(2**63) <= value < 2**64:
        raise ValueError("an integer extension that is not the shortest form")
    return value


class Packer:
    """Packs objects to bytes, many times. One per owner: not for two threads, not reentrant.

    `pack(obj) -> bytes` costs 0.3 us for a flat record of 14 fields.

    Raises: TypeError for a type that is not None, bool, int, float, str, bytes, list, tuple or dict;
    OverflowError for an integer past INTEGER_BYTES_MAX. Both are our own faults; the packer stays usable.
    """

    __slots__ = ("pack",)

    def __init__(self) -> None:
        self.pack: Callable[[object], bytes] = msgpack.Packer(use_bin_type=True, default=_extend_integer).pack


def pack(obj: object) -> bytes:
    """The packed bytes of one object. On a hot path keep a `Packer`."""
    data: bytes = msgpack.packb(obj, use_bin_type=True, default=_extend_integer)
    return data


def unpack(data: Buffer) -> object:
    """The one object that `data` holds: arrays become lists, text str, binary bytes.

    No length inside can claim more than `len(data)`.

    Raises: UnpackError when it is cut, has bytes left over, or is not well formed.
    """
    try:
        obj: object = msgpack.unpackb(
            data, use_list=True, raw=False, strict_map_key=False, ext_hook=_take_extension
        )
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise UnpackError(f"{len(data)} bytes do not unpack: {error}") from error
    return obj


class Unpacker:
    """Objects out of a stream that arrives in pieces: `feed` some bytes, then iterate the complete objects.

    `size_bytes_max` bounds what may wait unread (and every length inside).
    """

    __slots__ = ("_fed_bytes", "_taken_bytes", "_unpacker")

    def __init__(self, size_bytes_max: int) -> None:
        assert size_bytes_max > 0, "a bound is needed"
        self._fed_bytes = 0
        self._taken_bytes = 0
        self._unpacker = msgpack.Unpacker(
            None,
            use_list=True,
            raw=False,
            strict_map_key=False,
            ext_hook=_take_extension,
            max_buffer_size=size_bytes_max,
        )

    def feed(self, data: Buffer) -> None:
        """Adds bytes. Raises: UnpackError when more than `size_bytes_max` would wait."""
        try:
            self._unpacker.feed(data)
        except msgpack.BufferFull:
            raise UnpackError("the object is larger than the buffer") from None
        self._fed_bytes += len(data)

    @property
    def pending_bytes(self) -> int:
        """Bytes fed that are not part of an object handed out."""
        return self._fed_bytes - self._taken_bytes

    def __iter__(self) -> Iterator[object]:
        """The complete objects so far. Raises: UnpackError when the bytes are not well formed."""
        try:
            for obj in self._unpacker:
                self._taken_bytes = self._unpacker.tell()
                yield obj
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise UnpackError(f"the stream does not unpack: {error}") from error


def unpack_all(data: Buffer) -> Iterator[object]:
    """The objects packed one after another in `data`, lazily.

    Raises: UnpackError, at the object where it is met, when they are not well formed or the last is cut.
    """
    if not data:
        return
    unpacker = Unpacker(len(data))
    unpacker.feed(data)
    yield from unpacker
    if unpacker.pending_bytes:
        raise UnpackError(f"the last object is cut: {unpacker.pending_bytes} bytes are left over")
