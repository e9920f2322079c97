"""Request bodies in, reply bodies out: the JSON around parameters and results.

Source: protocol.md 0.4 (reading), 1.5 (the three members, the id as signed 64 bits), 0.3 (`debug` indents).
"""

from __future__ import annotations

from typing import Any

import msgspec

from vxutils.protocol.codes import ErrorCode

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1

_SIGN_BIT = 2**63

_decoder = msgspec.json.Decoder(list[Any])


class MalformedBody(ValueError):
    """The body is not what the C system's JSON reader accepts as an array."""


def decode_params(body: bytes) -> list[Any]:
    """The parameters in `body`. An integer outside signed 64 bits makes it malformed, at any depth.

    Raises: MalformedBody.
    """
    if b"\\u0000" in body:
        raise MalformedBody("a string holds the character 0")
    try:
        params = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(str(error)) from None
    waiting: list[object] = list(params)
    while waiting:
        item = waiting.pop()
        if type(item) is int:
            if not INTEGER_MIN <= item <= INTEGER_MAX:
                raise MalformedBody("an integer is outside signed 64 bits")
        elif type(item) is list:
            waiting.extend(item)
        elif type(item) is dict:
            waiting.extend(item.values())
    return params


class ReplyFormat:
    """Wraps result texts in one wire style; `debug` writes one member per line."""

    def __init__(self, style: str, debug: bool) -> None:
        comma, colon = (", ", ": ") if style == "viabtc" else (",", ":")
        self._success = f'{{"error"{colon}null{comma}"result"{colon}%s{comma}"id"{colon}%d}}'
        self._error = f'{{"error"{colon}{{%s}}{comma}"result"{colon}null{comma}"id"{colon}%d}}'
        self._names = f'"code"{colon}%d{comma}"message"{colon}%s'
        # The C system has no data member, so its style has none.
        self._data = "" if style == "viabtc" else ',"data":{"reason":%s,"parameter":%s,"rule":%s}'
        self._debug = debug

    def success(self, result: str, request_id: int) -> bytes:
        """The body for a result given as JSON text."""
        return self._body(self._success % (result, _signed(request_id)))

    def error(self, error: ErrorCode, request_id: int) -> bytes:
        """The body for an error."""
        text = self._names % (error.code, _quote(error.message))
        if self._data:
            text += self._data % (_quote(error.reason), _quote(error.parameter), _quote(error.rule))
        return self._body(self._error % (text, _signed(request_id)))

    def _body(self, text: str) -> bytes:
        body = text.encode()
        return msgspec.json.format(body, indent=4) if self._debug else body


def _signed(request_id: int) -> int:
    return request_id if request_id < _SIGN_BIT else request_id - 2**64


def _quote(text: str) -> str:
    return msgspec.json.encode(text).decode()
