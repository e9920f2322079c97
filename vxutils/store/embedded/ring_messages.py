"""A message of a topic as it lies on its shared-memory ring: numbers first, then the text.

    0  sequence  u64      8  number within the record  u32      12  payload, UTF-8

The number of the ring's entry is the message's offset. Who writes and who reads such rings, and what happens
without one, is said in `feed` and by the recorder.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from vxutils.ring.segment import ring_name
from vxutils.store.embedded.schema import Message

_HEAD: Final = struct.Struct("<QI")


def message_ring_name(system_id: bytes, data_directory: Path, topic: str) -> str:
    """The name of the ring of a topic of the exchange in `data_directory`."""
    return ring_name(system_id, data_directory, f"messages.{topic}")


def pack_message(sequence: int, idx: int, payload: str) -> bytes:
    """The entry of a message."""
    return _HEAD.pack(sequence, idx) + payload.encode()


def unpack_message(offset: int, entry: bytes) -> Message:
    """The message with that offset. Raises: struct.error, UnicodeDecodeError for what we never write."""
    sequence, idx = _HEAD.unpack_from(entry)
    return Message(offset, sequence, idx, entry[_HEAD.size :].decode())
