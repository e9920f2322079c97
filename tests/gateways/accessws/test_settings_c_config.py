"""A `config.json` of the C system's accessws means the same here."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from gateways.accessws.settings import load_settings
from tests.gateways.accessws.running import c_websocket
from vxutils.entry import LoadedSettings
from vxutils.settings import SettingsError

ENGINE = "tcp@127.0.0.1:7316"


def load(directory: Path, config: dict[str, Any], *flags: bool) -> LoadedSettings[Any]:
    path = directory / "config.json"
    path.write_text(json.dumps(config))
    return load_settings(path, *(flags or (False, True)))


def problems(directory: Path, config: dict[str, Any], *flags: bool) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(directory, config, *flags)
    return caught.value.problems


def test_defaults_are_those_of_the_c_system(tmp_path: Path) -> None:
    loaded = load(tmp_path, c_websocket(ENGINE))
    settings = loaded.settings
    assert settings.wire_style == "viabtc" and settings.push.timing == "interval"
    assert (settings.timeout_s, settings.cache_timeout_s, settings.worker_num) == (1.0, 0.5, 1)
    assert (settings.push.depth_interval_s, settings.push.kline_interval_s) == (0.5, 0.5)
    assert settings.push.depth_limit == (1, 5, 10, 20, 30, 50, 100)
    assert settings.push.depth_merge[:2] == ("0", "0.00000001")
    assert settings.websocket.keep_alive_s == 3_600 and settings.websocket.protocol == "chat"
    assert settings.websocket.message_size_bytes_max == 102_400
    assert settings.listener[0].origins == ()
    assert settings.authentication.mode == "service"
    assert settings.authentication.auth_url == "http://127.0.0.1:1/auth"
    assert [warning.partition(":")[0] for warning in loaded.warnings] == ["orders", "balances"]


def test_what_the_file_says_counts(tmp_path: Path) -> None:
    config = c_websocket(ENGINE, backend_timeout=2.5, cache_timeout=10, deals_interval=0.25, worker_num=3)
    config["svr"] |= {"keep_alive": 60, "protocol": "trade", "origin": "example.com", "buf_limit": 200}
    settings = load(tmp_path, config).settings
    assert (settings.timeout_s, settings.authentication.timeout_s, settings.cache_timeout_s) == (2.5, 2.5, 10)
    assert (settings.push.deals_interval_s, settings.push.price_interval_s) == (0.25, 0.5)
    assert settings.websocket.protocol == "trade" and settings.websocket.keep_alive_s == 60
    assert settings.websocket.unsent_size_bytes_max == 200 * 102_400
    assert settings.listener[0].origins == ("example.com",)
    assert settings.worker_num == 3


def changed(path: str, value: object) -> dict[str, Any]:
    config = copy.deepcopy(c_websocket(ENGINE))
    *sections, name = path.split(".")
    inside = config
    for section in sections:
        inside = inside[section]
    if value is None:
        del inside[name]
    else:
        inside[name] = value
    return config


REFUSED = [
    ("auth_url", None, "auth_url: missing"),
    ("depth_limit", None, "depth_limit: missing"),
    ("depth_merge", [1], "depth_merge[0]"),
    ("depth_limit", [0], "depth_limit[0]: 0 is outside 1..1000000"),
    ("depth_merge", ["x"], "depth_merge: 'x' is no number"),
    ("auth_url", "ftp://x", "auth_url"),
    ("svr.keep_alive", -1, "svr.keep_alive: -1 is outside 0..315360000"),
    ("svr.bind", "tcp@0.0.0.0:1", "svr.bind: tcp@0.0.0.0:1 can be reached from other machines"),
    ("svr.bind", 5, "svr.bind"),
    ("price_interval", "x", "price_interval"),
    ("deals", {"brokers": 1, "topic": "deals"}, "deals.brokers"),
]


@pytest.mark.parametrize(("path", "value", "sentence"), REFUSED)
def test_refusals(tmp_path: Path, path: str, value: object, sentence: str) -> None:
    assert sentence in "\n".join(problems(tmp_path, changed(path, value)))


def test_topics_are_used_unless_told_otherwise(tmp_path: Path) -> None:
    used = load(tmp_path, c_websocket(ENGINE), False, False)
    assert used.warnings == []
    topics = used.settings.topics
    assert {name: str(topic) for name, topic in topics.items()} == {
        name: f"topic {name} at {topics['orders'].brokers}" for name in ("orders", "balances", "deals")
    }
    assert load(tmp_path, c_websocket(ENGINE)).settings.topics is None
    assert problems(tmp_path, changed("orders", None), False, False)[0].startswith("orders: missing")
    assert load(tmp_path, changed("orders", None)).settings.wire_style == "viabtc"
