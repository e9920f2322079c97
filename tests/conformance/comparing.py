"""When a reply counts as the recorded one, in each of the two wire styles.

`viabtc`: the same bytes, with the value of the clock masked. `plain`: the same JSON, with decimal texts
compared by value and held to the plain notation (no exponent, no trailing zeros, no blanks between tokens).
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

CLOCK_FIELDS = ("ctime", "mtime")
NAME_FIELDS = ("market", "name", "stock", "money", "source", "status", "message")

_CLOCK = re.compile(r'("[cm]time": )[0-9]{10}\.[0-9]{1,7}\b')
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_BLANK = re.compile(r"\s")
_PLAIN_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?")


def masked(reply: str) -> str:
    """The reply without the value of the clock; a time that is not written as the C system does stays."""
    return _CLOCK.sub(r"\1<time>", reply)


def assert_equal_in_value(got: str, expected: str) -> None:
    """Raises: AssertionError naming the place of the first difference."""
    assert not _BLANK.search(_TEXT.sub('""', got)), f"blanks between tokens: {got}"
    reply = json.loads(got)
    assert type(reply.pop("sequence", 0)) is int, got  # which queries tell it is tested with the engine
    if reply["error"] is not None:
        # Ours says more than the C system's; what it says is checked where the rules are.
        data = reply["error"].pop("data")
        assert list(data) == ["reason", "parameter", "rule"] and data["reason"], data
    _compare(reply, json.loads(expected), "reply")


def _compare(got: Any, expected: Any, place: str) -> None:
    if isinstance(expected, dict):
        assert isinstance(got, dict), f"{place}: {got!r} instead of an object"
        assert list(got) == list(expected), f"{place}: members {list(got)} instead of {list(expected)}"
        for name, value in expected.items():
            if name in CLOCK_FIELDS:
                assert isinstance(got[name], (int, float)), f"{place}.{name}: {got[name]!r} is no time"
            elif name in NAME_FIELDS:
                assert got[name] == value, f"{place}.{name}: {got[name]!r} instead of {value!r}"
            else:
                _compare(got[name], value, f"{place}.{name}")
    elif isinstance(expected, list):
        assert isinstance(got, list), f"{place}: {got!r} instead of an array"
        assert len(got) == len(expected), f"{place}: {len(got)} elements instead of {len(expected)}"
        for index, (ours, theirs) in enumerate(zip(got, expected, strict=True)):
            _compare(ours, theirs, f"{place}[{index}]")
    elif isinstance(expected, str) and (number := _decimal(expected)) is not None:
        assert isinstance(got, str), f"{place}: {got!r} is no text"
        assert _PLAIN_DECIMAL.fullmatch(got), f"{place}: {got!r} is no plain decimal"
        assert Decimal(got) == number, f"{place}: {got} instead of {expected}"
    else:
        assert type(got) is type(expected) and got == expected, f"{place}: {got!r} instead of {expected!r}"


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None
