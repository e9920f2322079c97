"""JSON requests of clients: `{"id": 1, "method": "order.depth", "params": [...]}` to a packet's body.

    text -> decode_request -> Request -> encode_params -> body that every backend accepts

Codec only; it knows no method. What it lets through is always well-formed for a backend: these close a
connection over which a malformed body comes, and that connection carries the requests of everybody.

Source: protocol.md 8.2, 0.3, 0.4.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import UNSET

from vxutils.rpc.bodies import INTEGER_MAX, INTEGER_MIN

NESTING_MAX: Final = 64
"""Levels of params. No request needs more than three; backends take some hundreds."""

KEY_CHARACTERS_MAX: Final = 36

_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_NUL = b"\\u0000"


class BadRequest(ValueError):
    """The text is no request. `parameter` names the member at fault, `rule` says what is right.

    `request_id` is the id of the request if that much could be read.
    """

    def __init__(self, reason: str, parameter: str, rule: str, request_id: int | None = None) -> None:
        super().__init__(f"{reason}: {rule}")
        self.reason = reason
        self.parameter = parameter
        self.rule = rule
        self.request_id = request_id


class Request(msgspec.Struct, gc=False):
    """One request. `key` is whatever was given as idempotency key, or UNSET; see `read_key`."""

    id: int
    method: str
    params: list[Any]
    key: object


class _Wire(msgspec.Struct, gc=False):
    id: Any = UNSET
    method: Any = UNSET
    params: Any = UNSET
    idempotency_key: Any = UNSET


_decode = msgspec.json.Decoder(_Wire).decode
_encode = msgspec.json.Encoder().encode


def decode_request(text: bytes | str) -> Request:
    """The request in `text`; members with other names are ignored, of repeated ones the last counts.

    Raises: BadRequest.
    """
    try:
        wire = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("not_a_json_object", "", f"the body is one JSON object ({error})") from None
    request_id, method, params = wire.id, wire.method, wire.params
    if type(request_id) is not int or not INTEGER_MIN <= request_id <= INTEGER_MAX:
        raise BadRequest("invalid_id", "id", "an integer of signed 64 bits")
    if type(method) is not str:
        raise BadRequest("invalid_method", "method", "text", request_id)
    if type(params) is not list:
        raise BadRequest("invalid_params", "params", "a JSON array", request_id)
    return Request(request_id, method, params, wire.idempotency_key)


def encode_params(request: Request) -> bytes:
    """The params as the body of a packet: one line, comma and colon each with a space behind.

    Raises: BadRequest for what no backend takes: integers beyond 64 bits, the character 0 in a text,
    more than `NESTING_MAX` levels.
    """
    compact = _encode(request.params)
    if compact.count(b"[") + compact.count(b"{") > NESTING_MAX and not _is_shallow(request.params):
        raise BadRequest("invalid_params", "params", f"at most {NESTING_MAX} levels", request.id)
    # Refused wherever these six characters stand, even behind another backslash: no request needs them.
    if _NUL in compact:
        raise BadRequest("invalid_params", "params", "no text with the character 0", request.id)
    if _LONG_NUMBER.search(compact) is not None and _has_wide_integer(request.params):
        raise BadRequest("invalid_params", "params", "integers of signed 64 bits", request.id)
    return msgspec.json.format(compact, indent=0)


def read_key(key: object) -> bytes | None:
    """An idempotency key as the ext of a packet; empty if none was given, None if it is not a legal one."""
    if key is UNSET:
        return b""
    if type(key) is not str or not 1 <= len(key) <= KEY_CHARACTERS_MAX:
        return None
    return key.encode() if key.isascii() and key.isprintable() else None


def _is_shallow(params: list[Any]) -> bool:
    level: list[Any] = [params]
    for _ in range(NESTING_MAX):
        level = [member for container in level for member in _members(container)]
        level = [member for member in level if type(member) is list or type(member) is dict]
        if not level:
            return True
    return False


def _members(container: Any) -> list[Any]:
    return container if type(container) is list else list(container.values())


def _has_wide_integer(params: list[Any]) -> bool:
    waiting: list[Any] = [params]
    while waiting:
        value = waiting.pop()
        if type(value) is int:
            if not INTEGER_MIN <= value <= INTEGER_MAX:
                return True
        elif type(value) is list or type(value) is dict:
            waiting.extend(_members(value))
    return False
