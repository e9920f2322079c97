"""Which exchange a data directory belongs to, for processes beside the engine: the id in its SYSTEM file.

Shared memory is named by it. Nothing is checked here and nothing written; that is the engine's business
(`matchengine.system`).

Source: design, "Shared memory".
"""

from __future__ import annotations

import binascii
from pathlib import Path
from typing import Final

import msgspec

SYSTEM_FILE: Final = "SYSTEM"
SYSTEM_BYTES_MAX: Final = 64 * 1024


class _System(msgspec.Struct):
    system_id: str


_decode = msgspec.json.Decoder(_System).decode


def read_system_id(data_directory: Path) -> bytes | None:
    """The id in the SYSTEM file; None if there is none, or none that can be read."""
    try:
        with (data_directory / SYSTEM_FILE).open("rb") as file:
            text = file.read(SYSTEM_BYTES_MAX)
        return binascii.unhexlify(_decode(text).system_id)
    except (OSError, msgspec.MsgspecError, ValueError):
        return None
