"""Reply bodies: `{"error": ..., "result": ..., "id": ...}` around what views render.

Source: protocol.md 1.5 (three members in this order; id is the request id as signed 64-bit), 0.3 (the
`debug` option of the C system indents replies by four spaces).
"""

from __future__ import annotations

from matchengine.core.refusals import Refusal
from matchengine.core.views import quote

_SIGN_BIT = 2**63


class ReplyFormat:
    """Wraps result texts in one wire style."""

    def __init__(self, style: str, debug: bool) -> None:
        comma, colon = (", ", ": ") if style == "viabtc" else (",", ":")
        self._head = f'{{"error"{colon}null{comma}"result"{colon}'
        self._middle = f'{comma}"id"{colon}'
        self._error = f'{{"error"{colon}%s{comma}"result"{colon}null{comma}"id"{colon}%d}}'
        self._names = f'"code"{colon}%d{comma}"message"{colon}%s'
        # The C system has no data member, so its style has none.
        self._data = "" if style == "viabtc" else ',"data":{"reason":%s,"parameter":%s,"rule":%s}'
        self._errors: dict[Refusal, str] = {}
        self._debug = debug

    def success(self, result: str, request_id: int) -> bytes:
        """The body for a result given as JSON text."""
        signed = request_id if request_id < _SIGN_BIT else request_id - 2**64
        text = f"{self._head}{result}{self._middle}{signed}}}"
        return (indented(text) if self._debug else text).encode()

    def error(self, refusal: Refusal, request_id: int) -> bytes:
        """The body for a refusal."""
        signed = request_id if request_id < _SIGN_BIT else request_id - 2**64
        error = self._errors.get(refusal) or self._print(refusal)
        text = self._error % (error, signed)
        return (indented(text) if self._debug else text).encode()

    def _print(self, refusal: Refusal) -> str:
        """The error object; there are about fifty different ones."""
        text = self._names % (refusal.code, quote(refusal.message))
        if self._data:
            text += self._data % (quote(refusal.reason), quote(refusal.parameter), quote(refusal.rule))
        error = self._errors[refusal] = f"{{{text}}}"
        return error


def indented(text: str) -> str:
    """JSON text (of ours, well-formed) with one member per line, indented by four spaces per level.

    Numbers and strings stay as they are written. Empty arrays and objects stay on their line.
    """
    parts: list[str] = []
    level = index = 0
    while index < len(text):
        character = text[index]
        index += 1
        if character == '"':
            end = index
            while text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            parts.append(text[index - 1 : end + 1])
            index = end + 1
        elif character in "{[":
            if text[index] in "}]":
                parts.append(character + text[index])
                index += 1
            else:
                level += 1
                parts.append(character + "\n" + "    " * level)
        elif character in "}]":
            level -= 1
            parts.append("\n" + "    " * level + character)
        elif character == ",":
            parts.append(",\n" + "    " * level)
        elif character == ":":
            parts.append(": ")
        elif character != " ":
            parts.append(character)
    return "".join(parts)
