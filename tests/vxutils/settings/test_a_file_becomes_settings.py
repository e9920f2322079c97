"""A settings file through all steps of loading: TOML or C JSON, servers it names, problems, warnings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from vxutils.settings import SettingsError
from vxutils.settings.c_sections import Translated
from vxutils.settings.loading import SettingsFile, load


class Tea(msgspec.Struct, frozen=True, kw_only=True):
    """`cups` of one kind."""

    cups: int = 1
    kind: str = "green"


def translate(table: dict[str, Any]) -> Translated:
    if "mug" not in table:
        raise SettingsError(["mug: is missing"])
    return Translated({"cups": table["mug"]}, ["mug: is called cups here"])


def check(settings: Tea, names: Mapping[str, str]) -> list[str]:
    return [] if settings.cups < 10 else [f"{names.get('cups', 'cups')}: {settings.cups} are too many"]


FILE = SettingsFile(
    kind=Tea,
    translate=translate,
    check=check,
    toml_stores={"kafka": "Kafka"},
    c_stores={"brokers": "Kafka"},
    c_names={"cups": "mug"},
)


def loaded(directory: Path, content: str | dict[str, Any], embedded: bool = False) -> tuple[Tea, list[str]]:
    path = directory / "settings"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return load(FILE, path, embedded)


def test_toml(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") == (Tea(), [])
    assert loaded(tmp_path, 'cups = 3\nkind = "black"\n') == (Tea(cups=3, kind="black"), [])


def test_a_c_file_is_translated_and_its_stores_are_only_warned_about_when_embedded(tmp_path: Path) -> None:
    settings, warnings = loaded(tmp_path, {"mug": 4, "brokers": "127.0.0.1:9092"}, embedded=True)
    assert settings == Tea(cups=4)
    assert len(warnings) == 2 and "Kafka" in warnings[0] and "mug: is called cups here" in warnings[1]


REFUSED: list[tuple[str | dict[str, Any], bool, list[str]]] = [
    ("cups = 10\n", False, ["cups: 10 are too many"]),
    ({"mug": 11, "brokers": "x:1"}, True, ["mug: 11 are too many"]),
    ({"brokers": "x:1"}, True, ["mug: is missing"]),
    ({"mug": 1, "brokers": "x:1"}, False, ["brokers", "Kafka"]),
    ({"mug": 1}, False, ["brokers"]),
    ('kafka = "x:1"\n', False, ["kafka", "Kafka"]),
    ('kafka = "x:1"\ncups = 10\n', False, ["cups: 10 are too many", "Kafka"]),
    ("cupz = 1\n", False, ["cupz"]),
    ("cups = \n", False, ["line 1"]),
    ('{"mug": ', True, ["JSON"]),
]


@pytest.mark.parametrize(("content", "embedded", "words"), REFUSED)
def test_refused(tmp_path: Path, content: str | dict[str, Any], embedded: bool, words: list[str]) -> None:
    with pytest.raises(SettingsError) as refused:
        loaded(tmp_path, content, embedded)
    text = "\n".join(refused.value.problems)
    assert all(word in text for word in words), text


def test_a_named_server_is_a_warning_and_no_unknown_setting_when_embedded(tmp_path: Path) -> None:
    settings, warnings = loaded(tmp_path, 'kafka = "x:1"\n', embedded=True)
    assert settings == Tea() and len(warnings) == 1 and "Kafka" in warnings[0]
