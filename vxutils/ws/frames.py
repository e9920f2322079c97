"""A message of ours as bytes: encoded once, sent to any number of clients.

    text_frame(payload) --> .plain      FIN, not masked, length of 7, 16 or 64 bits
                        `-> .deflated   the same message compressed, made when the first client needs it

All clients that negotiated compression share the same bytes, because each message is compressed for itself
(`server_no_context_takeover`) and for the same window. Knows no connection.

Source: RFC 6455 5.2; RFC 7692 7.2.1; protocol 9.2.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from websockets.frames import Opcode

WINDOW_BITS: Final = 12
"""Window of the compressor. The memory it costs is cleared for each message: a window of 15 bits makes a
message of 200 bytes four times as dear, and saves less than a tenth of a large one."""

MEMORY_LEVEL: Final = 5
DEFLATE_BYTES_MIN: Final = 128
"""A shorter message is sent as it is: compressing it saves less than a packet's head."""

_TAIL: Final = b"\x00\x00\xff\xff"
_FIN: Final = 0x80
_COMPRESSED: Final = 0x40
_SHORT = struct.Struct("!BB")
_MEDIUM = struct.Struct("!BBH")
_LONG = struct.Struct("!BBQ")


class Frame:
    """One whole message. Immutable to its users."""

    __slots__ = ("_deflated", "_opcode", "_payload", "plain")

    def __init__(self, opcode: Opcode, payload: bytes) -> None:
        self.plain: Final = _head(_FIN | opcode, len(payload)) + payload
        """The bytes for a client without compression."""
        self._opcode = opcode
        self._payload = payload
        self._deflated = b""

    @property
    def deflated(self) -> bytes:
        """The bytes for a client with permessage-deflate; `plain` if that is shorter (RFC 7692 6)."""
        if not self._deflated:
            self._deflated = self._deflate()
        return self._deflated

    def _deflate(self) -> bytes:
        payload = self._payload
        if len(payload) < DEFLATE_BYTES_MIN:
            return self.plain
        deflater = zlib.compressobj(wbits=-WINDOW_BITS, memLevel=MEMORY_LEVEL)
        body = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
        body = body.removesuffix(_TAIL)
        if len(body) >= len(payload):
            return self.plain
        return _head(_FIN | _COMPRESSED | self._opcode, len(body)) + body


def text_frame(payload: bytes | str) -> Frame:
    """A text message; bytes must be UTF-8."""
    return Frame(Opcode.TEXT, payload.encode() if isinstance(payload, str) else payload)


def binary_frame(payload: bytes) -> Frame:
    """A binary message."""
    return Frame(Opcode.BINARY, payload)


def _head(first: int, length: int) -> bytes:
    if length < 126:
        return _SHORT.pack(first, length)
    if length < 1 << 16:
        return _MEDIUM.pack(first, 126, length)
    return _LONG.pack(first, 127, length)
