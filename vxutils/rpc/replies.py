"""Reply bodies: `{"error": ..., "result": ..., "id": ...}` around what a service prints.

Knows no method and no result; those come as JSON text in the same wire style. Source: protocol.md 1.5
(three members in this order; id is the request id as signed 64-bit), 0.3 (the `debug` option of the C
system indents replies by four spaces).
"""

from __future__ import annotations

import msgspec

from vxutils.json_text import quote
from vxutils.protocol.codes import ErrorCode

_SIGN_BIT = 2**63
_DEBUG_INDENT = 4


class ReplyFormat:
    """Wraps result texts in one wire style, `viabtc` or `plain`; `debug` writes one member per line.

    It keeps the text of every different error, so errors must be drawn from a fixed set. Threads may
    share it.
    """

    def __init__(self, style: str, debug: bool) -> None:
        comma, colon = (", ", ": ") if style == "viabtc" else (",", ":")
        self._head = f'{{"error"{colon}null{comma}"result"{colon}'
        self._middle = f'{comma}"id"{colon}'
        # Nor has the C system a sequence.
        self._tail = "" if style == "viabtc" else ',"sequence":%d'
        self._error = f'{{"error"{colon}%s{comma}"result"{colon}null{comma}"id"{colon}%d}}'
        self._names = f'"code"{colon}%d{comma}"message"{colon}%s'
        # The C system has no data member, so its style has none.
        self._data = "" if style == "viabtc" else ',"data":{"reason":%s,"parameter":%s,"rule":%s}'
        self._errors: dict[ErrorCode, str] = {}
        self._debug = debug

    def success(self, result: str, request_id: int, sequence: int | None = None) -> bytes:
        """The body for a result given as JSON text.

        `sequence`: of the last command whose effect the result shows; a fourth member in plain style.
        """
        signed = request_id if request_id < _SIGN_BIT else request_id - 2**64
        tail = "" if sequence is None or not self._tail else self._tail % sequence
        text = f"{self._head}{result}{self._middle}{signed}{tail}}}"
        return (indented(text) if self._debug else text).encode()

    def error(self, error: ErrorCode, request_id: int) -> bytes:
        """The body for an error."""
        signed = request_id if request_id < _SIGN_BIT else request_id - 2**64
        printed = self._errors.get(error) or self._print(error)
        text = self._error % (printed, signed)
        return (indented(text) if self._debug else text).encode()

    def _print(self, error: ErrorCode) -> str:
        """The error object; a service has at most about fifty different ones."""
        text = self._names % (error.code, quote(error.message))
        if self._data:
            text += self._data % (quote(error.reason), quote(error.parameter), quote(error.rule))
        printed = self._errors[error] = f"{{{text}}}"
        return printed


def indented(text: str) -> str:
    """JSON text (of ours, well-formed) with one member per line, indented by four spaces per level.

    Numbers and strings stay as they are written. Empty arrays and objects stay on their line.
    """
    return msgspec.json.format(text, indent=_DEBUG_INDENT)
