"""One journal record: a command with its place in the order of all commands, and what came of it.

    [kind, sequence, operation id, outcome crc32, params, [command fields ...]]

`kind` numbers the command type (`core.commands.KINDS`); `operation id` is gapless over the four C
commands and 0 for all others, but a jump of the ids holds the one after which they go on; `params` are
the client's original bytes (the operation log is made of them); the outcome crc32 runs over the packed
outcomes of all records so far, so a replay that decides anything differently is found at the record where
it does.

The outcome of a record is the packed list of integers that the engine left; records are encoded by the
sequencer, where they are numbered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from matchengine.core.commands import KINDS, Command
from matchengine.journal.format import JournalNewer
from vxutils.packing import unpack_all


class Record(msgspec.Struct, gc=False):
    """A decoded record."""

    sequence: int
    operation_id: int
    outcome_crc: int
    params: bytes
    command: Command


def decode_records(payload: bytes) -> Iterator[Record]:
    """The records of one frame.

    Raises: JournalNewer for a kind of record that a later version added; UnpackError or TypeError for what no
    release of ours has written: the frame's checksum held, so that is a fault of the program, not the disk.
    """
    fields: Any
    for fields in unpack_all(payload):
        kind, sequence, operation_id, outcome_crc, params, values = fields
        make = KINDS.get(kind)
        if make is None:
            raise JournalNewer(
                f"record {sequence} is of kind {kind}, which this version does not know: the journal was "
                "written by a later one; start that one"
            )
        yield Record(sequence, operation_id, outcome_crc, params, make(*values))
