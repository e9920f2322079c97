"""JSON is dumped again as the C system's library writes it, however deep it is."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from matchengine.recorder.texts import decode_params, dump, real, time

REALS = [
    (1500000000.0, "1500000000.0"),
    (1492697636.238869, "1492697636.238869"),
    (1795340599.846440, "1795340599.8464401"),
    (0.1, "0.10000000000000001"),
    (0.0, "0.0"),
    (-0.0, "-0.0"),
    (-2.5, "-2.5"),
    (1e16, "10000000000000000.0"),
    (1e17, "1e17"),
    (1e22, "1e22"),
    (1e300, "1.0000000000000001e300"),
    (1e-5, "1.0000000000000001e-5"),
    (0.0001, "0.0001"),
    (2.5e-10, "2.5000000000000002e-10"),
    (5e-324, "4.9406564584124654e-324"),
]

TEXTS = [  # what a client sent, in insertion order, sorted
    ("[]", "[]", "[]"),
    ("[{}, [], [[]]]", "[{}, [], [[]]]", "[{}, [], [[]]]"),
    ("[1,2 ,\n3]", "[1, 2, 3]", "[1, 2, 3]"),
    ("[-0, 9223372036854775807, -9223372036854775808]", "[0, 9223372036854775807, -9223372036854775808]", ""),
    ("[1.0, 1e3, 1E-3, 100.50]", "[1.0, 1000.0, 0.001, 100.5]", ""),
    ("[true,false,null]", "[true, false, null]", ""),
    ('["\\u00e9", "\\/", "a/b", "\\t\\"\\\\"]', '["é", "/", "a/b", "\\t\\"\\\\"]', ""),
    ('["\\u001F", "\\u007f", "\\b\\f\\n\\r"]', '["\\u001F", "\x7f", "\\b\\f\\n\\r"]', ""),
    (
        '[{"b":1,"a":[{"d":1,"c":2}]}]',
        '[{"b": 1, "a": [{"d": 1, "c": 2}]}]',
        '[{"a": [{"c": 2, "d": 1}], "b": 1}]',
    ),
    ('[{"b":1,"a":2,"b":3}]', '[{"b": 3, "a": 2}]', '[{"a": 2, "b": 3}]'),
    ('[{"a":1,"B":2,"":3}]', '[{"a": 1, "B": 2, "": 3}]', '[{"": 3, "B": 2, "a": 1}]'),
    # Bytewise: U+FFFD (EF ..) sorts before U+10000 (F0 ..), which UTF-16 would turn around.
    ('[{"\U00010000":1,"\ufffd":2}]', '[{"\U00010000": 1, "\ufffd": 2}]', '[{"\ufffd": 2, "\U00010000": 1}]'),
    ('[{"k\\"":"v"}]', '[{"k\\"": "v"}]', ""),
]


@pytest.mark.parametrize(("value", "text"), REALS)
def test_reals(value: float, text: str) -> None:
    assert real(value) == text


def test_a_time_is_a_real_of_seconds() -> None:
    assert time(1_795_340_599_846_440) == "1795340599.8464401"
    assert time(1_795_340_599_000_000) == "1795340599.0"
    assert time(0) == "0.0"


@pytest.mark.parametrize(("sent", "kept", "in_order"), TEXTS)
def test_what_a_client_sent_is_written_again(sent: str, kept: str, in_order: str) -> None:
    params = decode_params(sent.encode())
    assert dump(params) == kept
    assert dump(params, sort_keys=True) == (in_order or kept)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"k": ', "}")])
def test_the_deepest_request_of_the_engine_is_written_from_deep_calls(opening: str, closing: str) -> None:
    depth = 900
    text = f"[{opening * depth}1{closing * depth}]"

    def deeper(levels: int) -> Any:
        if levels:
            return deeper(levels - 1)
        return dump(decode_params(text.encode()), sort_keys=True)

    limit = sys.getrecursionlimit()
    assert deeper(300) == text
    assert sys.getrecursionlimit() == limit
