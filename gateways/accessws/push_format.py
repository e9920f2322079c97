"""Pushes as JSON text in one wire style: `{"method": ..., "params": [...], "id": null}`.

The plain style adds members behind `id` which old clients skip: the journal sequence that a push shows, and
the mark of a gap. Texts of a backend are put in as they came: it prints in the same style. Keeps nothing.

Source: protocol.md 9.3, 0.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateways.common.errors import WireStyle
from vxutils import fixed
from vxutils.json_text import quote
from vxutils.ws import Frame, text_frame


class PushFormat:
    """Prints in one style. `decimal` prints a scaled number as the engine does in results."""

    def __init__(self, style: WireStyle) -> None:
        self.is_plain = style == "plain"
        self.decimal: Callable[[int, int], str] = fixed.plain if self.is_plain else fixed.stripped
        self.comma, self.colon = (",", ":") if self.is_plain else (", ", ": ")
        self._template = self.object(("method", '"%s"'), ("params", "%s"), ("id", "null"))[:-1]

    def object(self, *members: tuple[str, str]) -> str:
        """A JSON object of member names and JSON texts."""
        return "{" + self.comma.join(f'"{name}"{self.colon}{value}' for name, value in members) + "}"

    def array(self, items: Iterable[str]) -> str:
        """A JSON array of JSON texts."""
        return f"[{self.comma.join(items)}]"

    def push(self, method: str, params: str, sequence: int | None = None, *, gap: bool = False) -> Frame:
        """One push; `params` is the JSON array. `sequence` and `gap` are told in the plain style only."""
        text = self._template % (method, params)
        if self.is_plain:
            if sequence is not None:
                text += f',"sequence":{sequence}'
            if gap:
                text += ',"gap":true'
        return text_frame(text + "}")

    def seconds(self, time_us: int) -> str:
        """A time in seconds: six decimals in plain style, a double of 17 digits in the other."""
        if self.is_plain:
            seconds, microseconds = divmod(time_us, 1_000_000)
            return f"{seconds}.{microseconds:06d}"
        text = f"{time_us / 1_000_000:.17g}"
        return text if "." in text or "e" in text else text + ".0"

    def number(self, text: str) -> str:
        """A decimal text of a message, which is in the C system's form, as results show it."""
        parsed = fixed.parse_exact(text)
        return text if parsed is None else self.decimal(*parsed)


def name_text(name: str) -> str:
    """A market or asset as JSON."""
    return quote(name)
