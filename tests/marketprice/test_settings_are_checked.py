"""The commented file, the reference page and the C configuration, with the defaults of the code."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from marketprice.settings import MarketpriceSettings, load_settings
from tests.matchengine.settings.test_default_file_holds_the_defaults import paths_of
from vxutils.settings import SettingsError, setting_paths
from vxutils.store.kafka.settings import DealsTopic
from vxutils.store.mysql.settings import MysqlSettings
from vxutils.store.redis.settings import RedisSettings
from vxutils.zone import UnknownZone, open_zone, resolve_zone

ROOT = Path(__file__).parents[2]
PACKAGED = ROOT / "marketprice" / "default.toml"


def c_config(**changed: object) -> dict[str, Any]:
    return {
        "debug": False,
        "process": {"file_limit": 1000, "core_limit": 0},
        "log": {"path": "", "flag": "fatal,error,warn,info"},
        "alert": {"host": "test", "addr": "127.0.0.1:4444"},
        "svr": {
            "bind": ["tcp@127.0.0.1:0", "udp@127.0.0.1:0"],
            "max_pkg_size": 1000000,
            "heartbeat_check": True,
        },
        "deals": {"brokers": "127.0.0.1:9092", "topic": "deals", "partition": 0},
        "redis": {"name": "mymaster", "addr": ["127.0.0.1:26379"]},
        "sec_max": 86400,
        "cache_timeout": 0.45,
        "accesshttp": "http://127.0.0.1:8080",
        **changed,
    }


def load_c(directory: Path, config: dict[str, Any], embedded: bool = True) -> MarketpriceSettings:
    path = directory / "config.json"
    path.write_text(json.dumps(config))
    return load_settings(path, embedded).settings


def load_toml(directory: Path, text: str, embedded: bool = False) -> MarketpriceSettings:
    path = directory / "config.toml"
    path.write_text(text)
    return load_settings(path, embedded).settings


def test_default_file_holds_the_defaults() -> None:
    loaded = load_settings(PACKAGED, embedded=False)
    assert (loaded.settings, loaded.warnings) == (MarketpriceSettings(), [])
    shown = set(paths_of(tomllib.loads(PACKAGED.read_text())))
    assert shown | {"mysql.history", "deals.login", "redis.login"} == set(setting_paths(MarketpriceSettings))
    assert (ROOT / "etc" / "marketprice.toml").read_bytes() == PACKAGED.read_bytes()


def test_reference_page_lists_every_setting_once() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    section = page.partition("\n## marketprice\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)
    assert sorted(listed) == sorted(setting_paths(MarketpriceSettings))


def test_a_database_for_deals_that_the_topic_lost(tmp_path: Path) -> None:
    database = {"host": "db", "port": 3307, "user": "vx", "pass": "secret", "name": "trade_history"}
    settings = load_c(tmp_path, c_config(db_history=database), embedded=False)
    wanted = MysqlSettings(host="db", port=3307, user="vx", password="secret", name="trade_history")
    assert (settings.mysql.history, settings.history_wait_s) == (wanted, 60.0)
    path = tmp_path / "config.json"
    loaded = load_settings(path, embedded=True)
    assert loaded.settings.mysql.history is None
    assert any("db" in warning and "MySQL" in warning for warning in loaded.warnings)
    with pytest.raises(SettingsError, match=r"db_history\.port"):
        load_c(tmp_path, c_config(db_history=database | {"port": 0}), embedded=False)


def test_c_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    settings = load_c(tmp_path, c_config())
    assert (settings.wire_style, settings.sec_max, settings.min_max, settings.hour_max) == (
        "viabtc", 86_400, 525_600, 87_600,
    )  # fmt: skip
    assert (settings.cache_timeout_s, settings.market_source) == (0.45, "http://127.0.0.1:8080")
    assert (settings.time_zone, settings.zone_name) == ("local", "Asia/Shanghai")
    assert (settings.svr.heartbeat, settings.svr.buf_limit, settings.monitor.address) == (
        "heartbeats_only", 100_000, None,
    )  # fmt: skip
    least = c_config()
    for name in ("debug", "process", "deals", "redis", "sec_max", "cache_timeout"):
        del least[name]
    assert load_c(tmp_path, least).cache_timeout_s == 0


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"sec_max": "7"}, "sec_max"),
        ({"hour_max": 0}, "hour_max: 0 is outside"),
        ({"deals": {"brokers": 1}}, "deals.brokers"),
        ({"redis": {"name": "x", "addr": "127.0.0.1:1"}}, "redis.addr"),
        ({"redis": {"name": "x", "addr": ["127.0.0.1:1"], "db": -1}}, "redis.db: -1 is outside"),
        ({"accesshttp": "nowhere"}, "accesshttp: "),
        ({"accesshttp": 5}, "accesshttp"),
        ({"cache_timeout": True}, "cache_timeout"),
    ],
)
def test_a_wrong_c_configuration_is_refused(tmp_path: Path, changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(problem)):
        load_c(tmp_path, c_config(**changed))


def test_servers_are_never_ignored_silently(tmp_path: Path) -> None:
    redis = {"name": "mymaster", "addr": ["127.0.0.1 26379", "b\t1"], "db": 3}
    settings = load_c(tmp_path, c_config(redis=redis), embedded=False)
    assert (settings.deals.brokers, settings.redis) == (
        "127.0.0.1:9092",
        RedisSettings(name="mymaster", addr=("127.0.0.1:26379", "b:1"), db=3),
    )
    embedded = load_c(tmp_path, c_config())
    assert (embedded.deals, embedded.redis) == (DealsTopic(), RedisSettings())
    for names, problem in (
        ([], "redis.addr: empty"),
        (["127.0.0.1"], "redis.addr: '127.0.0.1' is no address"),
    ):
        with pytest.raises(SettingsError, match=problem):
            load_c(tmp_path, c_config(redis={"name": "x", "addr": names}), embedded=False)
    topic = '[deals]\nbrokers = "a:9092, b"\n'
    assert str(load_toml(tmp_path, topic).deals) == "topic deals at a:9092, b"
    assert load_toml(tmp_path, topic, embedded=True) == MarketpriceSettings()
    without = c_config()
    del without["redis"], without["deals"]
    with pytest.raises(SettingsError, match=r"(?s)deals: missing.*redis: missing"):
        load_c(tmp_path, without, embedded=False)
    redis_toml = '[redis]\nname = "x"\naddr = ["a:1"]\npassword = "geheim"\n'
    assert str(load_toml(tmp_path, redis_toml).redis) == "Redis x at a:1"
    assert load_toml(tmp_path, redis_toml, embedded=True) == MarketpriceSettings()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('time_zone = "Mars/Base"', "time_zone: 'Mars/Base' is no time zone"),
        ('time_zone = "../../etc/passwd"', "time_zone: "),
        ('market_source = "udp@127.0.0.1:1"', "market_source: "),
        ("buckets_max = 5", "buckets_max: 5 is outside"),
        ('[monitor]\naddress = "tcp@0.0.0.0:7417"', "can be reached from other machines"),
        ('[svr]\nbind = ["tcp@nowhere"]', "svr.bind"),
        ("sec_maximum = 5", "sec_max"),
        ('[deals]\nbrokers = "a b"', "deals.brokers: 'a b' is no list of brokers"),
        ('[deals]\ntopic = "a b"', "deals.topic: 'a b'"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(problem)):
        load_toml(tmp_path, text)


def test_all_names_of_utc_are_one_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {resolve_zone(name) for name in ("UTC", "Etc/UTC", "Zulu", "GMT")} == {"UTC"}
    for text, name in ((":Europe/Berlin", "Europe/Berlin"), ("Etc/UTC", "UTC")):
        monkeypatch.setenv("TZ", text)
        assert resolve_zone("local") == name
    monkeypatch.delenv("TZ")
    open_zone(resolve_zone("local"))
    with pytest.raises(UnknownZone):
        open_zone("")
