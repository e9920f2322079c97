"""Why a process ended: the fatal lines at the end of its log, as sentences for the terminal.

Reads log files of either format of `vxutils.log_line`; the log belongs to the process that writes it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

READ_BYTES_MAX: Final = 64 * 1024
SENTENCES_MAX: Final = 5

_TEXT_LINE: Final = re.compile(r"\[[^]]+\] (?:\[\d+\] )?\[fatal\][^ ]*?\(\w*\): (.*)")


def log_size(path: Path) -> int:
    """Bytes in the log now, 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def fatal_sentences(path: Path, from_offset: int) -> list[str]:
    """The last fatal messages written after `from_offset` bytes; none if the file can not be read.

    Cost: reads at most 64 KiB. A file that is shorter than the offset has been rolled and is read whole.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = from_offset if from_offset <= size else 0
            file.seek(max(start, size - READ_BYTES_MAX))
            text = file.read(READ_BYTES_MAX).decode(errors="replace")
    except OSError:
        return []
    sentences = [sentence for line in text.splitlines() if (sentence := _fatal_message(line))]
    return sentences[-SENTENCES_MAX:]


def _fatal_message(line: str) -> str:
    if line.startswith("{"):
        try:
            fields = json.loads(line)
        except ValueError:
            return ""
        return str(fields.get("message", "")) if fields.get("level") == "fatal" else ""
    match = _TEXT_LINE.match(line)
    return match[1].replace("\\n", "\n") if match else ""
