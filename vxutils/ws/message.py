"""A message that comes in fragments, until it is whole.

Text is checked as UTF-8 with each fragment, so that nonsense is refused as soon as it can be seen. The sum
of the fragments is bounded by the protocol below. Owned by one connection, made with the first fragment.

Source: RFC 6455 5.4, 8.1.
"""

from __future__ import annotations

import codecs
from typing import Final

_utf8 = codecs.getincrementaldecoder("utf-8")


class PartialMessage:
    """Begins empty."""

    __slots__ = ("_bytes", "_check", "is_text")

    def __init__(self, *, is_text: bool) -> None:
        self.is_text: Final = is_text
        self._bytes = bytearray()
        self._check = _utf8()

    def append(self, data: bytes) -> None:
        """Raises: UnicodeDecodeError when this can not become UTF-8 any more."""
        if self.is_text:
            self._check.decode(data)
        self._bytes += data

    def finish(self) -> str | bytes:
        """The whole message. Raises: UnicodeDecodeError when its text ends within a character."""
        if self.is_text:
            self._check.decode(b"", final=True)
            return self._bytes.decode()
        return bytes(self._bytes)
