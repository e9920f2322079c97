"""A table as TOML text; the standard library only reads TOML.

    plain values, [section] for each table, [[section]] for each list of tables; deeper tables are inline

Reading the text gives an equal table. Comments of the file that the table came from are lost.

Source: TOML 1.0.0, sections Keys, String, Table, Array of Tables, Inline Table.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import Any, Final

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(table: Mapping[str, Any]) -> str:
    """The whole file. `table` holds what `tomllib` can return. Raises: TypeError for anything else."""
    plain, sections = [], []
    for name, value in table.items():
        if isinstance(value, Mapping):
            sections.append((f"[{_key(name)}]", value))
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            sections += [(f"[[{_key(name)}]]", item) for item in value]
        else:
            plain.append(_line(name, value))
    for header, section in sections:
        plain += ["", header, *(_line(name, value) for name, value in section.items())]
    return "\n".join(plain) + "\n"


def _line(name: str, value: object) -> str:
    return f"{_key(name)} = {_value(value)}"


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case int() | float():
            return repr(value)
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case Mapping():
            inside = ", ".join(_line(name, item) for name, item in value.items())
            return f"{{{inside}}}"
    raise TypeError(f"TOML has no {type(value).__name__}")


def _text(text: str) -> str:
    """JSON's escapes are TOML's too, except that JSON leaves DEL as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
