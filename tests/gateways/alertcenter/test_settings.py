"""The commented file, the reference page and the C configuration, with the defaults of the code."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from gateways.alertcenter.listing import since_us
from gateways.alertcenter.settings import AlertcenterSettings, ListSettings, load_settings
from tests.matchengine.settings.test_default_file_holds_the_defaults import paths_of
from vxutils.settings import SettingsError, setting_paths

ROOT = Path(__file__).parents[3]
PACKAGED = ROOT / "gateways" / "alertcenter" / "default.toml"


def test_default_file_holds_the_defaults() -> None:
    loaded = load_settings(PACKAGED, embedded=False)
    assert (loaded.settings, loaded.warnings) == (AlertcenterSettings(), [])
    shown = set(paths_of(tomllib.loads(PACKAGED.read_text())))
    assert shown | {"redis.login"} == set(setting_paths(AlertcenterSettings))
    assert (ROOT / "etc" / "alertcenter.toml").read_bytes() == PACKAGED.read_bytes()


def test_reference_page_lists_every_setting_once() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    section = page.partition("\n## alertcenter\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)
    assert sorted(listed) == sorted(setting_paths(AlertcenterSettings))


def test_c_configuration(tmp_path: Path) -> None:
    config = {
        "process": {"file_limit": 1000, "core_limit": 5},
        "log": {"path": "/var/log/trade/alertcenter", "flag": "fatal, error", "shift": "hour", "max": 5000},
        "svr": {"bind": "tcp@127.0.0.1:4444", "max_pkg_size": 1000},
        "redis": {"name": "mymaster", "addr": ["127.0.0.1:26379"]},
        "surprise": 1,
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    loaded = load_settings(path, embedded=True)
    settings = loaded.settings
    assert settings.svr.bind == ("tcp@127.0.0.1:4444",)
    assert settings.svr.max_pkg_size == 1000
    log = settings.log
    assert (log.path, log.flag) == ("/var/log/trade/alertcenter", ("fatal", "error"))
    # only path and flag take effect in the C system
    assert (log.shift, log.max_bytes, log.num, log.keep, log.pid) == ("day", 100 << 20, 10, 7, False)
    assert settings.monitor.address is None and settings.alert.address is None
    assert any("surprise" in warning for warning in loaded.warnings)
    assert any("redis" in warning for warning in loaded.warnings)
    assert settings.redis == ListSettings()
    used = load_settings(path, embedded=False).settings.redis
    assert used == ListSettings(name="mymaster", addr=("127.0.0.1:26379",), end="push")
    del config["redis"]
    path.write_text(json.dumps(config))
    with pytest.raises(SettingsError, match="redis: missing"):
        load_settings(path, embedded=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 910), ("2m", 880), ("1h", -2600), ("1d", -85400), ("1970-01-01T00:00:07+00:00", 7)],
)
def test_times_of_the_list(text: str, expected: int) -> None:
    assert since_us(text, 1000.0) == expected * 1_000_000


@pytest.mark.parametrize("text", ["", "h", "1w", "yesterday", "-1h", "\u0663h"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        since_us(text, 1000.0)


REFUSALS = [
    ("[smtp]\nhost = 'mail'", "smtp.sender: missing"),
    ("[smtp]\nhost = 'mail'\nsender='a@b'\nrecipients=['nobody']", "'nobody' is no mail address"),
    ("[smtp]\nhost='m'\nsender='a@b'\nrecipients=['a@b']\nuser='u'\npassword_file='f'", "smtp.security"),
    ("[webhook]\nurl = 'ftp://x'", "webhook.url"),
    ("[webhook]\nurl = 'http://me:secret@x/'", "webhook.token_file instead"),
    ("[svr]\nbind = ['seqpacket@/tmp/x']", "svr.bind"),
    ("[redis]\nname = 'mymaster'", "redis.addr: empty"),
    ("[redis]\nend = 'middle'", "redis.end"),
    ("interval_ss = 3", "did you mean interval_s"),
]


@pytest.mark.parametrize(("toml", "sentence"), REFUSALS)
def test_what_can_not_work_is_refused(tmp_path: Path, toml: str, sentence: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(toml)
    with pytest.raises(SettingsError) as caught:
        load_settings(path, embedded=False)
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)
