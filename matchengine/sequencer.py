"""Gives accepted commands their place: sequence, operation id, outcome digest, journal frame.

A turn stamps its commands with one time; each accepted one becomes a record; `commit` writes the records
of the turn as one frame. The digest of a frame chains the outcomes of everything up to it, so a replay
proves that it decided the same. The sequencer owns these counters; it knows no sockets and no replies.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from matchengine.core.commands import KIND_OF, OPERATION_KINDS, Command, JumpIds
from matchengine.journal.format import FRAME_HEADER_BYTES
from matchengine.position import Position, chain_crc, chain_digest
from vxutils.packing import Packer

FRAME_EXTRA_BYTES = FRAME_HEADER_BYTES + 8  # a frame around its records: header, and padding to 8

_fields = msgspec.structs.astuple


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
        self._pack = Packer().pack  # the shape is that of journal/record.py
        self._records: list[bytes] = []
        self._outcomes: list[bytes] = []
        self.pending_bytes = 0

    def accept(self, command: Command, outcome: list[int], params: bytes) -> None:
        """Takes a command that the engine has applied with this (non-empty) outcome."""
        position = self.position
        position.sequence = sequence = position.sequence + 1
        kind = KIND_OF[type(command)]
        if kind in OPERATION_KINDS:
            position.operation_id = operation_id = position.operation_id + 1
        elif type(command) is JumpIds:
            # In its own record too: from there on a replay counts as we do.
            position.operation_id = operation_id = max(position.operation_id, command.operation_id)
        else:
            operation_id = 0
        pack = self._pack
        packed_outcome = pack(outcome)
        position.outcome_crc = crc = chain_crc(position.outcome_crc, packed_outcome)
        position.time_us = command.time_us
        record = pack((kind, sequence, operation_id, crc, params, _fields(command)))
        self._records.append(record)
        self._outcomes.append(packed_outcome)
        self.pending_bytes += len(record)

    @property
    def record_bytes_max(self) -> int:
        """The largest record that can still go into the frame being filled."""
        return self._journal.frame_bytes_max - FRAME_EXTRA_BYTES - self.pending_bytes

    @property
    def room(self) -> int:
        """The largest record that the journal can surely take after what is pending, in this frame or in
        one of its own."""
        return self._journal.room - 2 * FRAME_EXTRA_BYTES - self.pending_bytes

    def write(self) -> int:
        """Writes the pending records as one frame; how many there were. Not durable yet.

        Raises: JournalIOError, NoSpace.
        """
        records = self._records
        if not records:
            return 0
        position = self.position
        position.digest = chain_digest(position.digest, b"".join(self._outcomes))
        first = position.sequence - len(records) + 1
        self._journal.append(records, first, position.time_us, position.digest)
        self._records = []
        self._outcomes = []
        self.pending_bytes = 0
        return len(records)
