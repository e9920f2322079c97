"""The commented file and the reference page know every setting, with the defaults of the code."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from matchengine.settings import MatchengineSettings, load_settings
from vxutils.settings import setting_paths

ROOT = Path(__file__).parents[3]
PACKAGED = ROOT / "matchengine" / "default.toml"


def paths_of(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in table.items():
        match value:
            case dict():
                yield from paths_of(value, f"{prefix}{name}.")
            case [dict(), *_]:
                for row in value:
                    yield from paths_of(row, f"{prefix}{name}[].")
            case _:
                yield prefix + name


def test_values_equal_the_built_in_defaults() -> None:
    loaded = load_settings(PACKAGED, embedded=False)
    assert loaded.warnings == []
    assert msgspec.structs.replace(loaded.settings, asset=(), market=()) == MatchengineSettings()


def test_every_setting_is_given() -> None:
    shown = set(paths_of(tomllib.loads(PACKAGED.read_text())))
    assert shown | {"mysql.log", "mysql.history", "kafka.login"} == set(setting_paths(MatchengineSettings))


def test_example_file_is_the_packaged_file() -> None:
    assert (ROOT / "etc" / "matchengine.toml").read_bytes() == PACKAGED.read_bytes()


def test_no_fee_of_the_default_markets_is_truncated() -> None:
    rules = load_settings(PACKAGED, embedded=False).settings.rules
    assert {market.name for market in rules.markets} == {"BTCUSDT", "ETHUSDT", "ETHBTC", "BTCUSDC"}
    saved = {asset.name: asset.prec_save for asset in rules.assets}
    for market in rules.markets:
        assert market.stock_prec + market.money_prec + market.fee_prec <= saved[market.money]
        assert market.stock_prec + market.fee_prec <= saved[market.stock]


def test_reference_page_lists_every_setting_once() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    section = page.partition("\n## matchengine\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)
    assert sorted(listed) == sorted(setting_paths(MatchengineSettings))
