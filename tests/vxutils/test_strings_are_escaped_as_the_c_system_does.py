"""Strings as jansson writes them: few escapes, upper-case digits, UTF-8 as it is."""

from __future__ import annotations

import json

from vxutils.json_text import quote


def test_strings_are_escaped_as_jansson_does() -> None:
    assert quote('é/"\\\b\f\n\r\t\x01\x7f') == '"é/\\"\\\\\\b\\f\\n\\r\\t\\u0001\x7f"'
    assert quote("\x1f") == '"\\u001F"'


def test_every_character_reads_back() -> None:
    text = "".join(map(chr, range(0x3000)))
    assert json.loads(quote(text)) == text
