"""Results of market data queries, for a moment: thousands of clients ask the same.

    command, params text --> Cached(result, sequence), not older than the timeout

Only results which are not null are kept. The cache is bounded: when it is full of fresh entries, the oldest
ones go. The caller tells the time.

Source: protocol.md 9.4 (there unbounded between two clearings, 12.6 number 90).
"""

from __future__ import annotations

from typing import Final

import msgspec

ENTRIES_MAX: Final = 1_000
RESULT_BYTES_MAX: Final = 64 * 1024
"""A larger result is not kept: it is asked for rarely, and a full cache stays below 64 MB."""

Key = tuple[int, bytes]
"""Command, and the params as they are sent."""


class Cached(msgspec.Struct, frozen=True, gc=False):
    """A result as JSON text, and the sequence it shows (None: none was told)."""

    result: str
    sequence: int | None


class _Reply(msgspec.Struct, gc=False):
    error: msgspec.Raw
    result: msgspec.Raw
    sequence: int | None = None


_decode = msgspec.json.Decoder(_Reply).decode


def read_result(body: bytes) -> Cached | None:
    """What of a reply body may be repeated: None for an error, a null result, and what is no reply."""
    try:
        reply = _decode(body)
    except msgspec.MsgspecError:
        return None
    result = bytes(reply.result)
    if result == b"null":
        return None
    return Cached(result.decode(), reply.sequence)


class QueryCache:
    """Entries younger than `timeout_s`; with 0 it keeps nothing. `hits` and `misses` are counted."""

    def __init__(self, timeout_s: float) -> None:
        self.hits = 0
        self.misses = 0
        self._timeout_s = timeout_s
        self._entries: dict[Key, tuple[float, Cached]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key, now: float) -> Cached | None:
        """The result that was stored for the key at most `timeout_s` before."""
        found = self._entries.get(key)
        if found is None or now - found[0] > self._timeout_s:
            self.misses += 1
            return None
        self.hits += 1
        return found[1]

    def store(self, key: Key, body: bytes, now: float) -> None:
        """Keep the result in a reply body, if there is one worth keeping."""
        if self._timeout_s <= 0 or len(body) > RESULT_BYTES_MAX:
            return
        cached = read_result(body)
        if cached is None:
            return
        entries = self._entries
        entries.pop(key, None)  # so that they stay in the order of their time
        if len(entries) >= ENTRIES_MAX:
            self._make_room(now)
        entries[key] = (now, cached)

    def _make_room(self, now: float) -> None:
        """The old ones go; without any, one that is still fresh."""
        entries = self._entries
        for key in list(entries):
            if now - entries[key][0] <= self._timeout_s and len(entries) < ENTRIES_MAX:
                return
            del entries[key]
