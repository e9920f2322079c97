"""A file that is no settings file is refused in words, whatever is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vxutils.settings import SettingsError, is_c_config, parse_c_json, parse_toml, read_text
from vxutils.settings.files import FILE_SIZE_BYTES_MAX


def refusal(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        read_text(path)
    (problem,) = caught.value.problems
    return problem


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    assert refusal(path) == f"the settings file {path} cannot be read: No such file or directory"


def test_directory(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in refusal(tmp_path)


def test_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.toml"
    path.write_bytes(b"#" * (FILE_SIZE_BYTES_MAX + 1))
    assert "is larger than 4194304 bytes" in refusal(path)


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# caf\xe9")
    assert "is not UTF-8: byte 5" in refusal(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = ", "Invalid value"),
        ("a = 1\na = 2\n", "line 2"),
        ("[a]\n[a]", "line 2"),
        ("a = " + "9" * 5000, "not valid TOML"),
        ("a = " + "[" * 100_000, "not valid TOML"),
    ],
)
def test_broken_toml(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match="not valid TOML") as caught:
        parse_toml(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": }',
        '{"a": 1} x',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": ' + "9" * 5000 + "}",
        '{"a": ' + "[" * 100_000,
    ],
)
def test_broken_json(text: str) -> None:
    with pytest.raises(SettingsError, match="not valid JSON"):
        parse_c_json(text)


def test_repeated_json_key_is_pointed_out_and_the_last_one_counts() -> None:
    table, warnings = parse_c_json('{"a": 1, "b": {"c": 1, "c": 2}, "a": 3}')
    assert table == {"a": 3, "b": {"c": 2}}
    assert warnings == ["c: given twice, the last one counts", "a: given twice, the last one counts"]


def test_language_is_told_by_the_first_character_that_is_not_blank() -> None:
    assert is_c_config(' \n\t{"a": 1}')
    assert not is_c_config('a = "{"')
    assert not is_c_config("")
