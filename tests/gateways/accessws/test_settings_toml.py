"""accessws' TOML: the commented file has the defaults, what can not be right is refused in words."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateways.accessws.settings import AccesswsSettings, load_settings
from gateways.accessws.worker import websocket_limits
from vxutils.entry import LoadedSettings
from vxutils.settings import SettingsError, setting_paths

ROOT = Path(__file__).parents[3]
PACKAGED = ROOT / "gateways" / "accessws" / "default.toml"


def load(directory: Path, text: str, allow_open_bind: bool = False) -> LoadedSettings[AccesswsSettings]:
    path = directory / "settings"
    path.write_text(text)
    return load_settings(path, allow_open_bind)


def problems(directory: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(directory, text)
    return caught.value.problems


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
    assert load_settings(PACKAGED) == LoadedSettings(AccesswsSettings(), [])


def test_every_setting_is_given() -> None:
    shown = set(paths_of(tomllib.loads(PACKAGED.read_text())))
    logins = {f"{topic}.login" for topic in ("orders", "balances", "deals")}
    assert shown | logins == set(setting_paths(AccesswsSettings))


def test_example_file_is_the_packaged_file() -> None:
    assert (ROOT / "etc" / "accessws.toml").read_bytes() == PACKAGED.read_bytes()


def test_reference_page_lists_every_setting_once() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    section = page.partition("\n## accessws\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)
    assert sorted(listed) == sorted(setting_paths(AccesswsSettings))


OPEN = 'bind = ["tcp@0.0.0.0:8090"]\n'
UNENCRYPTED = "tcp@0.0.0.0:8090 can be reached from other machines, and logins would travel unencrypted"

REFUSED = [
    ("worker_num = 0\n", "worker_num: 0 is outside 1..64"),
    ("[websocket]\nprotocol = 'a b'\n", "websocket.protocol"),
    ("[websocket]\nping = 1\n", "websocket.ping: unknown setting"),
    ("[push]\ndepth_merge = ['x']\n", "push.depth_merge: 'x' is no number"),
    ("[push]\ndepth_limit = []\n", "push.depth_limit: 0 entries"),
    (f"[[listener]]\n{OPEN}", f"listener[0].bind: {UNENCRYPTED}; set listener[0].tls_certificate"),
    ("[[listener]]\nbind = ['udp@127.0.0.1:1']\n", "must be an address of kind tcp or stream"),
    ("[[listener]]\nbind = ['tcp@127.0.0.1:1']\n" * 2, "listener[1].bind: tcp@127.0.0.1:1 is given twice"),
    (f"[[listener]]\n{OPEN}allow_cidrs = ['x']\n", "listener[0].allow_cidrs: 'x' is no network"),
    (f"[[listener]]\n{OPEN}tls_certificate = '/c'\n", "listener[0].tls_key: missing"),
    ("[monitor]\naddress = 'tcp@0.0.0.0:1'\n", "monitor.address: tcp@0.0.0.0:1 can be reached"),
    ("[authentication]\nmode = 'service'\n", 'authentication: mode "service" needs auth_url or sign_url'),
    ("[matchengine]\naddress = ['tcp@127.0.0.1:0']\n", "matchengine.address: tcp@127.0.0.1:0 has port 0"),
    ("[orders]\nbrokers = 'x'\n", "balances.brokers: missing; orders and balances both come from Kafka"),
    ("[deals]\nbrokers = 'x'\n", "deals.brokers: orders.brokers and balances.brokers are missing"),
    ("[orders]\nbrokers = 'x y'\n", "orders.brokers: 'x y' is no list of brokers"),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED, ids=range(len(REFUSED)))
def test_refusals(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in "\n".join(problems(tmp_path, text))


def test_open_addresses_that_somebody_answers_for(tmp_path: Path) -> None:
    for more in ("allow_cidrs = ['10.0.0.0/8']\n", "tls_certificate = '/c'\ntls_key = '/k'\n"):
        assert load(tmp_path, f"[[listener]]\n{OPEN}{more}").warnings == []
    loaded = load(tmp_path, f"[[listener]]\n{OPEN}", allow_open_bind=True)
    assert loaded.warnings == [
        "tcp@0.0.0.0:8090 can be reached from other machines by anybody (--allow-open-bind)"
    ]


def test_pings_belong_to_the_plain_style(tmp_path: Path) -> None:
    assert websocket_limits(load(tmp_path, "").settings).ping_interval_s == 30
    assert websocket_limits(load(tmp_path, "wire_style = 'viabtc'\n").settings).ping_interval_s == 0
