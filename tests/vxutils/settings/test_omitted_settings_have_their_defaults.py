"""What a file leaves out is as declared, also inside a section of which it gives a part."""

from __future__ import annotations

from typing import Any

from tests.vxutils.settings.declared import Row, Whole
from vxutils.settings import decode, setting_paths


def decoded(table: dict[str, Any]) -> Whole:
    result = decode(Whole, table)
    assert result.value is not None, result.problems
    return result.value


def test_empty_file_is_all_defaults() -> None:
    assert decoded({}) == Whole()


def test_section_given_in_part_keeps_the_rest_of_the_section() -> None:
    svr = decoded({"svr": {"mode": "fast"}}).svr
    assert (svr.mode, svr.bind, svr.max_pkg_size) == ("fast", ("tcp@127.0.0.1:1",), 1000)


def test_empty_text_means_none_where_text_is_optional() -> None:
    assert decoded({"place": ""}).place is None
    assert decoded({"place": "here"}).place == "here"


def test_whole_number_is_accepted_for_a_fractional_one() -> None:
    assert decoded({"ratio": 1}).ratio == 1.0


def test_text_or_list() -> None:
    assert decoded({"many": "a"}).many == "a"
    assert decoded({"many": ["a", "b"]}).many == ("a", "b")


def test_list_of_tables() -> None:
    assert decoded({"row": [{"name": "a"}, {"name": "b"}]}).row == (Row(name="a"), Row(name="b"))


def test_paths_of_all_settings() -> None:
    assert list(setting_paths(Whole)) == [
        "svr.bind",
        "svr.max_pkg_size",
        "svr.mode",
        "login.pass",
        "debug",
        "ratio",
        "free",
        "count",
        "title",
        "place",
        "many",
        "row[].name",
    ]
