"""Rings that tests leave behind: engines are killed, and nobody starts them again."""

from __future__ import annotations

import json
from pathlib import Path

from matchengine.system import SYSTEM_FILE
from vxutils.ring.segment import SHM_DIRECTORY, ring_name


def remove_rings(directory: Path, what: str = "") -> None:
    """Removes the shared memory of the data directories at or below `directory`, and of no other one.

    Of all rings, or of those whose name begins with `what`.
    """
    for path in directory.rglob(SYSTEM_FILE):
        try:
            system_id = bytes.fromhex(json.loads(path.read_bytes())["system_id"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a damaged one, made by a test of damage
        prefix = ring_name(system_id, path.parent, what)[1:]
        for ring in SHM_DIRECTORY.glob(f"{prefix}*"):
            if ring.is_file():
                ring.unlink(missing_ok=True)
