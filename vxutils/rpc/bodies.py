"""Request bodies: JSON text to a list of parameters, with the C system's idea of well-formed.

A body that is no JSON array is the peer's fault and costs it the connection; a well-formed one with
wrong parameters gets error 1, which is the business of each service. Source: protocol.md 0.4, 1.5.
"""

from __future__ import annotations

from typing import Any

import msgspec

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1

_decoder = msgspec.json.Decoder(list[Any])


class MalformedBody(ValueError):
    """The body is not what the C system's JSON reader accepts as an array."""


def decode(body: bytes) -> list[Any]:
    """The parameters in `body`. Integers past 64 bits are left in; see `refuse_wide_integers`.

    Nesting is limited by the interpreter's recursion limit (about 1000; the C system has 2048).

    Raises: MalformedBody.
    """
    try:
        params = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(str(error)) from None
    if b"\\u0000" in body:  # or a backslash that is escaped itself, so the strings must be looked at
        _refuse_character_0(params)
    return params


def decode_narrow(body: bytes) -> list[Any]:
    """The parameters in `body`, for who does not look at every one of them: no integer is past 64 bits.

    Raises: MalformedBody.
    """
    params = decode(body)
    refuse_wide_integers(params)
    return params


def refuse_wide_integers(value: object) -> None:
    """Raises MalformedBody if `value` holds an integer outside signed 64 bits, at any depth.

    The C reader refuses such a text as a whole. Most requests never need this walk: whoever
    accepts an integer has compared it with a narrower range anyway.
    """
    stack = [value]
    while stack:
        item = stack.pop()
        if type(item) is int:
            if not INTEGER_MIN <= item <= INTEGER_MAX:
                raise MalformedBody("an integer is outside signed 64 bits")
        elif type(item) is list:
            stack.extend(item)
        elif type(item) is dict:
            stack.extend(item.values())


def _refuse_character_0(value: object) -> None:
    """Raises MalformedBody if a string or a member's name holds the character 0, at any depth."""
    stack = [value]
    while stack:
        item = stack.pop()
        if type(item) is str:
            if "\x00" in item:
                raise MalformedBody("a string holds the character 0")
        elif type(item) is list:
            stack.extend(item)
        elif type(item) is dict:
            stack.extend(item)
            stack.extend(item.values())
