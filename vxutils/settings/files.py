"""A settings file as text and as a parsed table, whichever of the two languages it is written in.

Our files are TOML. A file whose first non-blank byte is `{` is a `config.json` of the C system, read
as that system reads it (protocol.md 0.4), except that a key given twice is pointed out.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FILE_SIZE_BYTES_MAX = 4 << 20  # a settings file with thousands of markets is still far below this


class SettingsError(Exception):
    """The settings may not be used; `problems` are whole sentences, one for each thing to mend."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


def read_text(path: Path) -> str:
    """The text of a settings file.

    Raises: SettingsError when it cannot be read, is too large or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_SIZE_BYTES_MAX + 1)
    except OSError as error:
        raise SettingsError([f"the settings file {path} cannot be read: {error.strerror}"]) from error
    if len(data) > FILE_SIZE_BYTES_MAX:
        raise SettingsError([f"the settings file {path} is larger than {FILE_SIZE_BYTES_MAX} bytes"])
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise SettingsError([f"the settings file {path} is not UTF-8: byte {error.start}"]) from error


def is_c_config(text: str) -> bool:
    """Whether this is a `config.json` of the C system rather than TOML."""
    return text.lstrip().startswith("{")


def parse_toml(text: str) -> dict[str, Any]:
    """Raises: SettingsError with line and column; a key given twice is such an error."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError([f"the settings file is not valid TOML: {error}"]) from error


def parse_c_json(text: str) -> tuple[dict[str, Any], list[str]]:
    """The object of a C `config.json`, and a sentence for each key given twice (the last one counts).

    Raises: SettingsError with line and column. Source: protocol.md 0.4, 10.3.
    """
    repeated: list[str] = []

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            counts = Counter(key for key, _ in pairs)
            repeated.extend(f"{key}: given twice, the last one counts" for key in counts if counts[key] > 1)
        return table

    try:
        table = json.loads(text, object_pairs_hook=build, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise SettingsError([f"the settings file is not valid JSON: {error}"]) from error
    assert isinstance(table, dict)
    return table, repeated


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not JSON")
