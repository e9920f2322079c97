"""A wrong JSON type of any key the C system knows is an error, also of an optional or unused key."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.matchengine.settings.samples import c_config, load, problems

# The only number that may be written with or without a fraction.
FRACTIONAL = {"cache_timeout"}


def every_key(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The place of each section, list and value of a file; of a list only the first entry."""
    if path:
        yield path
    if isinstance(value, dict):
        for name, member in value.items():
            yield from every_key(member, (*path, name))
    elif isinstance(value, list):
        yield from every_key(value[0], (*path, 0))


def complete() -> dict[str, Any]:
    config = c_config()
    config["markets"][0]["fee_prec"] = 4
    return config


def text_of(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def with_value(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    config = copy.deepcopy(complete())
    at: Any = config
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return config


def wrong_values(path: tuple[str | int, ...]) -> list[object]:
    at: Any = complete()
    for part in path:
        at = at[part]
    right = {type(at)} | ({int, float} if path[-1] in FRACTIONAL else set())
    right |= {str, list} if path == ("svr", "bind") else set()
    samples: list[object] = [None, True, 1, 1.5, "x", [], {}]
    return [value for value in samples if type(value) not in right]


@pytest.mark.parametrize("path", list(every_key(complete())), ids=text_of)
def test_wrong_type(tmp_path: Path, path: tuple[str | int, ...]) -> None:
    for value in wrong_values(path):
        found = problems(tmp_path, with_value(path, value))
        assert len(found) == 1 and found[0].startswith(f"{text_of(path)}: "), (value, found)
        assert "but must be" in found[0]


REQUIRED = [
    ("log", "path"), ("log", "flag"), ("alert", "host"), ("alert", "addr"), ("svr", "bind"),
    ("svr", "max_pkg_size"), ("cli",), ("assets",), ("markets",), ("log",), ("alert",), ("svr",),
    ("assets", 0, "name"), ("assets", 0, "prec_save"), ("markets", 0, "name"), ("markets", 0, "stock"),
    ("markets", 0, "stock", "name"), ("markets", 0, "stock", "prec"), ("markets", 0, "money"),
    ("markets", 0, "money", "name"), ("markets", 0, "money", "prec"), ("db_log", "host"),
    ("db_log", "user"), ("db_log", "pass"), ("db_history", "name"),
]  # fmt: skip
OPTIONAL = [
    path
    for path in every_key(complete())
    if path not in REQUIRED and path[0] not in ("db_log", "db_history") and path[-1] != 0
]


def without(path: tuple[str | int, ...]) -> dict[str, Any]:
    config = copy.deepcopy(complete())
    at: Any = config
    for part in path[:-1]:
        at = at[part]
    del at[path[-1]]
    return config


@pytest.mark.parametrize("path", REQUIRED, ids=text_of)
def test_required_key(tmp_path: Path, path: tuple[str | int, ...]) -> None:
    assert problems(tmp_path, without(path)) == [f"{text_of(path)}: missing, but required"]


@pytest.mark.parametrize("path", OPTIONAL, ids=text_of)
def test_optional_key(tmp_path: Path, path: tuple[str | int, ...]) -> None:
    load(tmp_path, without(path))


BOUNDS = [
    (("svr", "max_pkg_size"), 255, "svr.max_pkg_size: 255 is outside 256..67108864"),
    (("svr", "buf_limit"), -1, "svr.buf_limit: -1 is outside 1..100000"),
    (("log", "max"), 1, "log.max: 1 is outside 4096..1099511627776"),
    (("svr", "bind"), [], "svr.bind: 0 entries, but must have 1..64"),
    (("process", "file_limit"), -1, "process.file_limit: -1 is outside 0..9223372036854775807"),
    (("cache_timeout",), 1e9, "cache_timeout: 1000000000.0 is outside -86400..86400"),
]


@pytest.mark.parametrize(("path", "value", "sentence"), BOUNDS)
def test_bound_is_told_with_the_key_of_the_file(
    tmp_path: Path, path: tuple[str, ...], value: object, sentence: str
) -> None:
    assert problems(tmp_path, with_value(path, value)) == [sentence]


def test_broken_json_is_told_with_its_line(tmp_path: Path) -> None:
    text = msgspec.json.format(msgspec.json.encode(complete()).decode(), indent=1)
    (problem,) = problems(tmp_path, text[:-2])
    assert "not valid JSON" in problem and "line" in problem
