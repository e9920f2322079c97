"""JSON text as the C system's library writes it: any decoded value, real numbers, and original parameters.

Neither reading nor writing runs into the interpreter's recursion limit, so the deepest request that the
engine once accepted is never one that the recorder dies of. Knows no event and no row.
Source: protocol.md 0.3, 0.4.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from vxutils.json_text import quote

# A record's parameters passed the engine's reader, which stops at the interpreter's usual limit of 1000
# levels. The recorder may stand deeper in calls of its own when it reads them again.
EXTRA_RECURSION = 2000

_decoder = msgspec.json.Decoder(list[Any])
_CONSTANTS = {None: "null", True: "true", False: "false"}


class _End:
    """Stands in the list of work where an array or object is closed."""


_END = _End()


def decode_params(params: bytes) -> list[Any]:
    """The parameters of a record: what the client sent and the engine accepted.

    Raises: msgspec.DecodeError for what the engine can not have accepted.
    """
    try:
        return _decoder.decode(params)
    except RecursionError:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + EXTRA_RECURSION)
        try:
            return _decoder.decode(params)
        finally:
            sys.setrecursionlimit(limit)


def dump(value: object, *, sort_keys: bool = False) -> str:
    """A decoded JSON value as text: a blank after `,` and `:`, members in insertion order, or sorted bytewise
    at every level."""
    parts: list[str] = []
    work: list[tuple[str, object]] = [("", value)]  # a text, and the value to write after it; last first
    while work:
        text, value = work.pop()
        parts.append(text)
        if type(value) is dict:
            parts.append("{")
            work.append(("}", _END))
            # Code points sort as their UTF-8 bytes do.
            members = sorted(value.items()) if sort_keys else list(value.items())
            texts = [f"{quote(name)}: " for name, _ in members]
            _add_items(work, texts, [member for _, member in members])
        elif type(value) is list:
            parts.append("[")
            work.append(("]", _END))
            _add_items(work, [""] * len(value), value)
        elif value is not _END:
            parts.append(_scalar(value))
    return "".join(parts)


def flat(values: list[Any]) -> str:
    """As `dump`, for a list that holds no array and no object. Half its cost."""
    return f"[{', '.join([_scalar(value) for value in values])}]"


def _add_items(work: list[tuple[str, object]], texts: list[str], values: list[Any]) -> None:
    for index in range(len(values) - 1, 0, -1):
        work.append((f", {texts[index]}", values[index]))
    if values:
        work.append((texts[0], values[0]))


def _scalar(value: object) -> str:
    if type(value) is str:
        return quote(value)
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return real(value)
    return _CONSTANTS[value]  # type: ignore[index]


def real(value: float) -> str:
    """A finite double: 17 significant digits, always with a dot or a short exponent, which marks a real."""
    text = f"{value:.17g}"
    mantissa, mark, exponent = text.partition("e")
    if mark:
        return f"{mantissa}e{int(exponent)}"
    return text if "." in mantissa else text + ".0"


def time(time_us: int) -> str:
    """Whole microseconds since 1970 as seconds, the way the C system prints its clock."""
    return real(time_us / 1_000_000)
