"""TOML that we write gives the table that it was made from."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.cli.programs import CONFIGURED, Program, packaged_settings
from gateways.cli.toml_text import toml_text

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), TEXTS)
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_any_table_reads_back(table: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(table)) == table


@pytest.mark.parametrize("program", CONFIGURED)
def test_the_packaged_settings_read_back(program: Program) -> None:
    table = tomllib.loads(packaged_settings(program).read_text())
    assert tomllib.loads(toml_text(table)) == table


def test_dates_read_back() -> None:
    table = tomllib.loads("at = 2020-01-02T03:04:05Z\nday = 2020-01-02\n")
    assert tomllib.loads(toml_text(table)) == table


def test_what_toml_has_no_word_for_is_refused() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        toml_text({"a": None})
