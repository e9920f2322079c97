"""A call as it will be sent: parameters made exact and encoded once, before anything leaves.

Whether a market exists or an amount is large enough is for the exchange to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from vxutils.protocol import commands

KEY_CHARACTERS_MAX: Final = 36
INTEGER_BITS: Final = 63

Parameter = (
    str
    | int
    | Decimal
    | bool
    | None
    | Mapping[str, "Parameter"]
    | list["Parameter"]
    | tuple["Parameter", ...]
)


class Request(msgspec.Struct, frozen=True):
    """`parameters` is a JSON array. `command` is the id for raw RPC, None for a method that we do not know,
    which counts as one that changes something."""

    method: str
    command: int | None
    is_mutating: bool
    parameters: bytes
    key: str | None


def make_request(method: str, parameters: Sequence[Parameter], key: str | None) -> Request:
    """Raises: TypeError for a float or anything else that has no exact form, ValueError for a bad key or
    number; the text names the position, from 1."""
    exact = [_exact(value, f"parameter {number}") for number, value in enumerate(parameters, 1)]
    return make_encoded_request(method, msgspec.json.encode(exact), key)


def make_encoded_request(method: str, parameters: bytes, key: str | None) -> Request:
    """As `make_request`, for a JSON array that is sent as it is. Raises: ValueError for a bad key."""
    command = commands.BY_NAME.get(method)
    if command is not None and command.id == commands.HEARTBEAT:
        command = None  # its name serves logs only
    is_mutating = command is None or command.mutating
    if key is not None:
        if not is_mutating:
            raise ValueError(f"an idempotency key has no meaning for {method}, which changes nothing")
        if not (0 < len(key) <= KEY_CHARACTERS_MAX and key.isascii() and key.isprintable()):
            raise ValueError(f"an idempotency key is 1 to {KEY_CHARACTERS_MAX} printable ASCII characters")
    return Request(method, command.id if command else None, is_mutating, parameters, key)


def _exact(value: object, where: str) -> object:
    match value:
        case None | str() | bool():
            return value
        case int():
            if not -(2**INTEGER_BITS) <= value < 2**INTEGER_BITS:
                raise ValueError(f"{where}: {value} does not fit 64 bits; amounts are texts or Decimal")
            return value
        case float():
            raise TypeError(
                f"{where}: the float {value!r} is not exact; give a text or a Decimal, as in Decimal('0.1')"
            )
        case Decimal():
            if not value.is_finite():
                raise ValueError(f"{where}: {value} is no amount")
            return format(value, "f")
        case Mapping():
            return {_name(name, where): _exact(inner, f"{where}, {name!r}") for name, inner in value.items()}
        case list() | tuple():
            return [_exact(inner, where) for inner in value]
    raise TypeError(f"{where}: a {type(value).__name__} can not be sent")


def _name(name: object, where: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{where}: the name {name!r} is no text")
    return name
