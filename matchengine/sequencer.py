"""Gives accepted commands their place: sequence, operation id, outcome digest, journal frame.

A turn stamps its commands with one time; each accepted one becomes a record; `commit` writes the records
of the turn as one frame. The digest of a frame chains the outcomes of everything up to it, so a replay
proves that it decided the same. The sequencer owns these counters; it knows no sockets and no replies.
"""

from __future__ import annotations

from typing import Protocol

from matchengine.core.commands import Command
from matchengine.journal.format import FRAME_HEADER_BYTES
from matchengine.journal.record import RecordWriter, is_operation
from matchengine.position import Position, chain_crc, chain_digest, outcome_text

class Journal(Protocol):
    """What the sequencer needs of a journal writer."""

    frame_bytes_max: int

    @property
    def room(self) -> int: ...
    def append(self, records: list[bytes], first_sequence: int, time_us: int, digest: bytes) -> None: ...
    def sync(self) -> int: ...


class Sequencer:
    """Numbers, chains and journals accepted commands. One per engine."""

    def __init__(self, position: Position, journal: Journal) -> None:
        self.position = position
        self._journal = journal
        self._encode = RecordWriter().encode
        self._records: list[bytes] = []
        self._outcomes: list[bytes] = []
        self.pending_bytes = 0

    def accept(self, command: Command, outcome: list[int], params: bytes) -> None:
        """Takes a command that the engine has applied with this (non-empty) outcome."""
        position = self.position
        position.sequence += 1
        operation_id = 0
        if is_operation(command):
            position.operation_id = operation_id = position.operation_id + 1
        text = outcome_text(outcome)
        position.outcome_crc = crc = chain_crc(position.outcome_crc, text)
        position.time_us = command.time_us
        record = self._encode(command, position.sequence, operation_id, crc, params)
        self._records.append(record)
        self._outcomes.append(text)
        self.pending_bytes += len(record)

    def fits(self, record_bytes: int) -> bool:
        """Whether a record of at most this size can still go into the frame that is being filled."""
        frame_bytes = self.pending_bytes + record_bytes + FRAME_HEADER_BYTES + 8
        return frame_bytes <= self._journal.frame_bytes_max

    def has_room(self, record_bytes: int) -> bool:
        """Whether the journal can surely take a record of at most this size after what is pending."""
        return self.pending_bytes + record_bytes + 2 * (FRAME_HEADER_BYTES + 8) <= self._journal.room

    def write(self) -> bool:
        """Writes the pending records as one frame; False if there are none. Not durable yet.

        Raises: JournalIOError, NoSpace.
        """
        records = self._records
        if not records:
            return False
        position = self.position
        position.digest = chain_digest(position.digest, b"".join(self._outcomes))
        first = position.sequence - len(records) + 1
        self._journal.append(records, first, position.time_us, position.digest)
        self._records = []
        self._outcomes = []
        self.pending_bytes = 0
        return True
