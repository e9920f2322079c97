"""JSON text as the C system's library writes it: any decoded value, real numbers, times, original params.

Neither reading nor writing recurses without bound, so the deepest request that the engine once accepted can
never be one that the recorder dies of. Knows no event and no row. Source: protocol.md 0.3, 0.4.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from matchengine.core.views import quote

# A record's params passed the engine's reader, whose limit is the interpreter's usual one (1000 levels). The
# recorder may stand deeper in its own calls when it reads them again.
EXTRA_RECURSION = 2000

_decoder = msgspec.json.Decoder(list[Any])


def decode_params(params: bytes) -> list[Any]:
    """The parameters of a record: what the client sent and the engine accepted."""
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
    """A value of `decode_params` as text: blanks after `,` and `:`, members in insertion order, or sorted
    bytewise at every level."""
    parts: list[str] = []
    open_values: list[tuple[Iterator[tuple[str, object]], str]] = []
    prefix = ""
    while True:
        if type(value) is dict and value:
            # The order of code points is the order of their UTF-8 bytes.
            members = sorted(value.items()) if sort_keys else value.items()
            open_values.append((iter([(f"{quote(name)}: ", member) for name, member in members]), "}"))
            parts.append(prefix + "{")
        elif type(value) is list and value:
            open_values.append((iter([("", item) for item in value]), "]"))
            parts.append(prefix + "[")
        else:
            parts.append(prefix + _scalar(value))
        # On to the next item of the innermost open array or object; close those that have no more.
