"""How far a state has come, and the chain of outcomes that proves it."""

from __future__ import annotations

import hashlib
from zlib import crc32

import msgspec

DIGEST_BYTES = 8


class Position(msgspec.Struct):
    """Everything besides the engine that the next journal record depends on.

    `digest` is the outcome digest of the last frame, `outcome_crc` the running crc32 after the last
    record, `time_us` journal time.
    """

    sequence: int = 0
    operation_id: int = 0
    time_us: int = 0
    outcome_crc: int = 0
    digest: bytes = bytes(DIGEST_BYTES)


def outcome_text(outcome: list[int]) -> bytes:
    """The form in which outcomes are chained: decimal integers, "[1, 2, 3]"."""
    return repr(outcome).encode()


def chain_crc(outcome_crc: int, text: bytes) -> int:
    """The running crc32 after one more record."""
    return crc32(text, outcome_crc)


def chain_digest(digest: bytes, texts: bytes) -> bytes:
    """The digest of a frame from that of the one before and the outcome texts of its records."""
    return hashlib.blake2b(digest + texts, digest_size=DIGEST_BYTES).digest()
