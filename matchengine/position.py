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


def chain_crc(outcome_crc: int, packed_outcome: bytes) -> int:
    """The running crc32 after one more record."""
    return crc32(packed_outcome, outcome_crc)


def chain_digest(digest: bytes, packed_outcomes: bytes) -> bytes:
    """The digest of a frame from that of the one before and the packed outcomes of its records."""
    return hashlib.blake2b(digest + packed_outcomes, digest_size=DIGEST_BYTES).digest()
