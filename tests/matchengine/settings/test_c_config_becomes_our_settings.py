"""A `config.json` of the C system gives the same frozen Struct as a TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from matchengine.core.rules import AssetRule, MarketRule
from matchengine.settings import (
    AssetSettings,
    ConsoleSettings,
    MarketSettings,
    MatchengineSettings,
    load_settings,
)
from matchengine.settings_c import C_DEFAULTS
from tests.matchengine.settings.samples import c_config, least_c_config, load
from vxutils.log import LogSettings
from vxutils.settings import AlertSettings, ProcessSettings, ServerSettings, setting_paths
from vxutils.settings.sections import BUF_LIMIT_MAX


def test_whole_file(tmp_path: Path) -> None:
    settings = load(tmp_path, c_config()).settings
    assert settings.process == ProcessSettings(
        title="matchengine", file_limit=1_000_000, core_limit=1_000_000_000
    )
    assert settings.log == LogSettings(
        path="/var/log/trade/matchengine",
        flag=("fatal", "error", "warn", "info", "debug"),
        shift="hour",
        pid=False,
        fork=False,
        max_bytes=50_000_000,
        num=10,
        keep=3,
        format="text",
    )
    assert settings.alert == AlertSettings(host="matchengine", address="127.0.0.1:4444")
    assert settings.svr == ServerSettings(
        bind=("tcp@0.0.0.0:7316", "udp@0.0.0.0:7316"),
        max_pkg_size=10_240,
        buf_limit=50,
        read_mem=4_096,
        write_mem=8_192,
        heartbeat="off",
    )
    assert settings.cli == ConsoleSettings(address="tcp@127.0.0.1:7317")
    assert (settings.history.slice_interval_s, settings.history.slice_keep_s) == (86_400, 259_200)
    assert (settings.wire_style, settings.debug, settings.cache_timeout_s) == ("viabtc", False, -1.0)


def test_recorded_rules(tmp_path: Path) -> None:
    rules = load(tmp_path, c_config()).settings.rules
    assert rules.repeat_age_s == 86_400
    assert len(rules.assets) == 9 and len(rules.markets) == 9
    assert rules.assets[0] == AssetRule("BCH", 20, 8)
    assert rules.markets[0] == MarketRule("BTCBCH", "BTC", 8, "BCH", 8, 4, "0.001")


def test_rules_left_out_have_the_defaults_of_both_systems(tmp_path: Path) -> None:
    rules = load(tmp_path, least_c_config()).settings.rules
    assert rules.assets == (AssetRule("BTC", 14, 14), AssetRule("CNY", 8, 2))
    assert rules.markets == (MarketRule("BTCCNY", "BTC", 4, "CNY", 2, 4, "0.01"),)


def test_defaults_differ_from_toml_as_the_table_says_and_nowhere_else(tmp_path: Path) -> None:
    """Besides what a C file must give, only the settings of `C_DEFAULTS` differ when left out."""
    must_be_given = {"log.path", "log.flag", "alert.host", "alert.address", "svr.bind"}
    ours, theirs = MatchengineSettings(), load(tmp_path, least_c_config()).settings

    def value(settings: object, path: str) -> object:
        for name in path.split("."):
            settings = getattr(settings, name)
        return settings

    paths = [path for path in setting_paths(MatchengineSettings) if "[]" not in path]
    differing = {path: value(theirs, path) for path in paths if value(ours, path) != value(theirs, path)}
    assert {path: v for path, v in differing.items() if path not in must_be_given} == C_DEFAULTS


@pytest.mark.parametrize(
    ("section", "key", "given", "attribute", "expected"),
    [
        ("log", "shift", "size", "shift", "size"),
        ("log", "shift", "min", "shift", "min"),
        ("log", "shift", "weekly", "shift", "day"),
        ("log", "flag", "FATAL,error\twarn", "flag", ("fatal", "error", "warn")),
        ("alert", "addr", "127.0.0.1 4444", "address", "127.0.0.1:4444"),
        ("alert", "addr", "127.0.0.1\t4444", "address", "127.0.0.1:4444"),
        ("svr", "bind", "tcp@127.0.0.1:7316", "bind", ("tcp@127.0.0.1:7316",)),
        ("svr", "buf_limit", 0, "buf_limit", BUF_LIMIT_MAX),
        ("svr", "heartbeat_check", True, "heartbeat", "heartbeats_only"),
        ("svr", "heartbeat_check", False, "heartbeat", "off"),
    ],
)
def test_key_that_is_spelled_otherwise(
    tmp_path: Path, section: str, key: str, given: object, attribute: str, expected: object
) -> None:
    config = c_config()
    config[section][key] = given
    assert getattr(getattr(load(tmp_path, config).settings, section), attribute) == expected


@pytest.mark.parametrize(("given", "expected"), [(0.45, 0.45), (1, 1.0), (-1, -1.0), (0, 0.0)])
def test_cache_timeout_is_taken_as_given(tmp_path: Path, given: float, expected: float) -> None:
    settings = load(tmp_path, c_config() | {"cache_timeout": given}).settings
    assert settings.cache_timeout_s == expected


def test_cache_timeout_left_out_means_no_cache(tmp_path: Path) -> None:
    assert load(tmp_path, least_c_config()).settings.cache_timeout_s == 0.0


def warnings_with(directory: Path, change: dict[str, Any]) -> list[str]:
    return load(directory, least_c_config() | change).warnings


def test_doubtful_things_are_warned_about(tmp_path: Path) -> None:
    assert warnings_with(tmp_path, {}) == []
    assert warnings_with(tmp_path, {"debgu": 1}) == ["debgu: unknown setting, ignored; did you mean debug?"]
    assert warnings_with(tmp_path, {"log": {"path": "x", "flag": "fatal,loud"}}) == [
        "log.flag: 'loud' is no level, ignored"
    ]
    assert warnings_with(tmp_path, {"cli": "tcp@0.0.0.0:7317"}) == [
        "cli: tcp@0.0.0.0:7317 can be reached from other machines, and the console asks nobody who he is"
    ]


def test_key_given_twice_is_warned_about_and_the_last_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    text = msgspec.json.encode(least_c_config()).decode()
    path.write_text('{"debug": false, "debug": true, ' + text[1:])
    loaded = load_settings(path, embedded=True)
    assert loaded.settings.debug is True
    assert loaded.warnings == ["debug: given twice, the last one counts"]


def test_structs_of_the_rules_have_the_same_fields() -> None:
    """The properties `rule` hand over every field by name."""
    assert set(MarketSettings.__struct_fields__) == set(MarketRule.__struct_fields__)
    assert set(AssetSettings.__struct_fields__) == set(AssetRule.__struct_fields__)
