"""An unknown name is refused (TOML) or warned about (C files), with the nearest known one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.vxutils.settings.declared import Whole
from vxutils.settings import decode

CASES: list[tuple[dict[str, Any], str]] = [
    (
        {"svr": {"max_pkg_siez": 300}},
        "svr.max_pkg_siez: unknown setting; did you mean svr.max_pkg_size?",
    ),
    ({"debgu": True}, "debgu: unknown setting; did you mean debug?"),
    ({"max_pkg_size": 300}, "max_pkg_size: unknown setting; did you mean svr.max_pkg_size?"),
    ({"svr": {"titel": "x"}}, "svr.titel: unknown setting; did you mean title?"),
    ({"row": [{"name": "a", "nme": "b"}]}, "row[0].nme: unknown setting; did you mean row[0].name?"),
    ({"zzz": 1}, "zzz: unknown setting"),
]


@pytest.mark.parametrize(("table", "sentence"), CASES)
def test_unknown_name_is_refused(table: dict[str, Any], sentence: str) -> None:
    decoded = decode(Whole, table)
    assert decoded.value is None
    assert [str(problem) for problem in decoded.problems] == [sentence]


def test_unknown_name_of_a_c_file_is_a_warning() -> None:
    decoded = decode(Whole, {"debgu": True, "svr": {"max_pkg_size": 300}}, unknown="warn")
    assert decoded.problems == ()
    assert decoded.value is not None and decoded.value.svr.max_pkg_size == 300
    assert [str(w) for w in decoded.warnings] == ["debgu: unknown setting, ignored; did you mean debug?"]
