"""Each wrong value gives one sentence with its full path, what is there and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.vxutils.settings.declared import Whole
from vxutils.settings import decode

CASES: list[tuple[dict[str, Any], str]] = [
    ({"svr": 3}, "svr: 3 is a whole number, but must be a table"),
    ({"svr": {"bind": "x"}}, "svr.bind: 'x' is text, but must be a list, each text"),
    ({"svr": {"bind": []}}, "svr.bind: 0 entries, but must have 1..3"),
    ({"svr": {"bind": ["a"] * 4}}, "svr.bind: 4 entries, but must have 1..3"),
    ({"svr": {"bind": ["a", 7]}}, "svr.bind[1]: 7 is a whole number, but must be text"),
    ({"svr": {"max_pkg_size": 255}}, "svr.max_pkg_size: 255 is outside 256..1024"),
    ({"svr": {"max_pkg_size": 1025}}, "svr.max_pkg_size: 1025 is outside 256..1024"),
    (
        {"svr": {"max_pkg_size": "big"}},
        "svr.max_pkg_size: 'big' is text, but must be a whole number in 256..1024",
    ),
    (
        {"svr": {"max_pkg_size": 300.0}},
        "svr.max_pkg_size: 300.0 is a fractional number, but must be a whole number in 256..1024",
    ),
    (
        {"svr": {"max_pkg_size": True}},
        "svr.max_pkg_size: true is true/false, but must be a whole number in 256..1024",
    ),
    ({"svr": {"mode": "quick"}}, "svr.mode: 'quick' is not one of fast, safe"),
    ({"svr": {"mode": 1}}, "svr.mode: 1 is a whole number, but must be one of fast, safe"),
    ({"debug": 1}, "debug: 1 is a whole number, but must be true or false"),
    ({"debug": None}, "debug: it is null, but must be true or false"),
    ({"ratio": 1.5}, "ratio: 1.5 is outside 0..1"),
    ({"ratio": float("nan")}, "ratio: nan is not a finite number"),
    ({"free": float("-inf")}, "free: -inf is not a finite number"),
    ({"ratio": "1"}, "ratio: '1' is text, but must be a number in 0..1"),
    ({"title": ""}, "title: '' is too short, but must have 1..8 characters"),
    ({"title": "x" * 9}, "title: 9 characters is too long, but must have 1..8 characters"),
    ({"title": "a\0b"}, r"title: 'a\x00b' holds a character that no text may hold"),
    ({"title": "\ud800"}, r"title: '\ud800' holds a character that no text may hold"),
    ({"place": 3}, "place: 3 is a whole number, but must be text"),
    ({"many": 3}, "many: 3 is a whole number, but must be text or a list, each text"),
    ({"row": [{"name": "a"}, {}]}, "row[1].name: missing, but required"),
    ({"row": [[]]}, "row[0]: it is a list, but must be a table"),
    ({"row": {"name": "a"}}, "row: it is a table, but must be a list, each a table"),
    ({"login": {}}, "login.pass: missing, but required"),
]


@pytest.mark.parametrize(("table", "sentence"), CASES)
def test_wrong_value_is_told(table: dict[str, Any], sentence: str) -> None:
    decoded = decode(Whole, table)
    assert decoded.value is None
    assert [str(problem) for problem in decoded.problems] == [sentence]


def test_all_problems_are_told_at_once() -> None:
    table = {"svr": {"bind": [1], "max_pkg_size": 1}, "debug": "no", "unknown": 1, "row": [{}, {}]}
    paths = {problem.path for problem in decode(Whole, table).problems}
    assert paths == {"svr.bind[0]", "svr.max_pkg_size", "debug", "unknown", "row[0].name", "row[1].name"}


def test_integer_too_large_for_a_float_is_refused() -> None:
    (problem,) = decode(Whole, {"free": 10**400}).problems
    assert str(problem).endswith("is too large a number")


def test_integer_without_bounds_may_have_any_size() -> None:
    decoded = decode(Whole, {"count": 10**30})
    assert decoded.value is not None and decoded.value.count == 10**30


def test_long_value_is_shown_shortened() -> None:
    (problem,) = decode(Whole, {"debug": "x" * 10_000}).problems
    assert len(str(problem)) < 200


def test_password_is_never_shown() -> None:
    (problem,) = decode(Whole, {"login": {"pass": 12345}}).problems
    assert "12345" not in str(problem)
    assert str(problem) == "login.pass: the value given is a whole number, but must be text"


def test_name_with_control_characters_is_shown_escaped() -> None:
    (problem,) = decode(Whole, {"a\nb": 1}).problems
    assert "\n" not in str(problem)


def test_path_is_told_in_the_words_of_the_file() -> None:
    (problem,) = decode(
        Whole, {"svr": {"max_pkg_size": 1}}, names={"svr.max_pkg_size": "server.size"}
    ).problems
    assert str(problem) == "server.size: 1 is outside 256..1024"
