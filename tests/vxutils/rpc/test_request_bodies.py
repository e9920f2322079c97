"""Which bodies are arrays of parameters, and which cost their sender the connection."""

from __future__ import annotations

from typing import Any

import pytest

from vxutils.rpc.bodies import INTEGER_MAX, INTEGER_MIN, MalformedBody, decode, decode_narrow

GOOD: list[tuple[bytes, list[Any]]] = [
    (b"[]", []),
    (b' [1, "a", null, true, {"b": [2]}]\n', [1, "a", None, True, {"b": [2]}]),
    (b"[1.0, 1e3]", [1.0, 1000.0]),
    (b'[{"a": 1, "a": 2}]', [{"a": 2}]),
    (b'["\\\\u0000"]', ["\\u0000"]),  # a backslash and five characters
    (b"[%d, %d]" % (INTEGER_MIN, INTEGER_MAX), [INTEGER_MIN, INTEGER_MAX]),
]

MALFORMED = [
    b"",
    b"{}",
    b"1",
    b"[1",
    b"[1]x",
    b"\xff",
    b'["\xff"]',
    b'["\\u0000"]',
    b'[{"a": ["b\\u0000"]}]',
    b'[{"\\u0000": 1}]',
    b'["\\\\\\u0000"]',
    b"[" * 5000,
]

WIDE = [
    b"[9223372036854775808]",
    b"[-9223372036854775809]",
    b'["M", [{"a": -9223372036854775809}]]',
]


@pytest.mark.parametrize(("body", "params"), GOOD)
def test_arrays_become_parameters(body: bytes, params: list[Any]) -> None:
    assert repr(decode(body)) == repr(decode_narrow(body)) == repr(params)


@pytest.mark.parametrize("body", MALFORMED)
def test_anything_else_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        decode(body)
    with pytest.raises(MalformedBody):
        decode_narrow(body)


@pytest.mark.parametrize("body", WIDE)
def test_integers_past_64_bits_are_refused_by_who_asks_for_it(body: bytes) -> None:
    decode(body)
    with pytest.raises(MalformedBody, match="64 bits"):
        decode_narrow(body)
