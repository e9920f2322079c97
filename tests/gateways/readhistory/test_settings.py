"""The commented file, the reference page and the C configuration, with the defaults of the code."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateways.readhistory.settings import ReadhistorySettings, load_settings
from tests.gateways.readhistory.samples import c_config
from tests.matchengine.settings.test_default_file_holds_the_defaults import paths_of
from vxutils.settings import SettingsError, setting_paths
from vxutils.store.mysql.settings import MysqlSettings

ROOT = Path(__file__).parents[3]
PACKAGED = ROOT / "gateways" / "readhistory" / "default.toml"


def load_c(directory: Path, config: dict[str, Any], embedded: bool = True) -> ReadhistorySettings:
    path = directory / "config.json"
    path.write_text(json.dumps(config))
    return load_settings(path, embedded).settings


def test_default_file_holds_the_defaults() -> None:
    loaded = load_settings(PACKAGED, embedded=False)
    assert (loaded.settings, loaded.warnings) == (ReadhistorySettings(), [])
    shown = set(paths_of(tomllib.loads(PACKAGED.read_text())))
    assert shown | {"mysql.history"} == set(setting_paths(ReadhistorySettings))
    assert (ROOT / "etc" / "readhistory.toml").read_bytes() == PACKAGED.read_bytes()


def test_reference_page_lists_every_setting_once() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    section = page.partition("\n## readhistory\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)
    assert sorted(listed) == sorted(setting_paths(ReadhistorySettings))


def test_c_configuration(tmp_path: Path) -> None:
    settings = load_c(tmp_path, c_config(worker_num=7, debug=True))
    assert (settings.worker_num, settings.debug, settings.wire_style) == (7, True, "viabtc")
    assert settings.svr.bind == ("tcp@127.0.0.1:0", "udp@127.0.0.1:0")
    assert (settings.svr.max_pkg_size, settings.svr.heartbeat) == (1_000_000, "off")
    assert settings.monitor.address is None
    least = c_config()
    for name in ("worker_num", "debug", "process", "db_history"):
        del least[name]
    least["svr"] = {"bind": "tcp@127.0.0.1:7424", "max_pkg_size": 1000}
    settings = load_c(tmp_path, least)
    assert (settings.worker_num, settings.svr.heartbeat, settings.svr.buf_limit) == (
        10,
        "heartbeats_only",
        100_000,
    )


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"worker_num": "7"}, "worker_num"),
        ({"worker_num": 0}, "worker_num: 0 is outside"),
        ({"db_history": {"host": 1}}, "db_history.host"),
        ({"svr": {"bind": "tcp@127.0.0.1:1"}}, "svr.max_pkg_size: missing"),
        ({"alert": {"host": "x", "addr": "nowhere"}}, "alert.addr"),
    ],
)
def test_a_wrong_c_configuration_is_refused(tmp_path: Path, changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(problem)):
        load_c(tmp_path, c_config(**changed))


def test_a_database_is_used_unless_told_otherwise(tmp_path: Path) -> None:
    settings = load_c(tmp_path, c_config(), embedded=False)
    assert (settings.history.store, settings.mysql.history) == (
        "mysql",
        MysqlSettings(host="127.0.0.1", user="nobody", password="none", name="trade_history"),
    )
    assert load_c(tmp_path, c_config(), embedded=True).history.store == "embedded"
    without = c_config()
    del without["db_history"]
    with pytest.raises(SettingsError, match="db_history: missing"):
        load_c(tmp_path, without, embedded=False)


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("worker_nun = 3", "did you mean worker_num"),
        ("worker_num = 101", "worker_num: 101 is outside 1..100"),
        ("[svr]\nbind = ['tcp@127.0.0.1:99999']", "svr.bind"),
        ("[monitor]\naddress = 'tcp@0.0.0.0:7425'", "monitor.address"),
        ("[history]\nstore = 'mysql'", "mysql.history: missing, but required"),
        ("[mysql.history]\nhost = 'db'\nuser = 'vx'", "mysql.history.name: missing"),
    ],
)
def test_what_can_not_work_is_refused(tmp_path: Path, toml: str, sentence: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(toml)
    with pytest.raises(SettingsError) as caught:
        load_settings(path, embedded=False)
    assert sentence in str(caught.value)
