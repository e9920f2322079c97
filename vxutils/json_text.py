"""Strings as JSON text, the way the C system writes them.

Pure: whoever prints JSON by hand may use it, the deterministic core too. What surrounds the strings
(members, spacing, numbers) is the business of who prints. Source: protocol.md 0.3.
"""

from __future__ import annotations

import re

_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_SHORT_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def quote(text: str) -> str:
    """`text` as a JSON string the way the C system writes it: UTF-8 as it is, `/` not escaped."""
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    return _SHORT_ESCAPES.get(character) or f"\\u{ord(character):04X}"
