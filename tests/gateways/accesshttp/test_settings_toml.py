"""accesshttp's TOML: the commented file has the defaults, what can not be right is refused in words."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateways.accesshttp.settings import AccesshttpSettings, load_settings
from vxutils.entry import LoadedSettings
from vxutils.settings import SettingsError, setting_paths

ROOT = Path(__file__).parents[3]
PACKAGED = ROOT / "gateways" / "accesshttp" / "default.toml"
TOKENS = {"listener[].token[].name", "listener[].token[].token", "listener[].token[].file"}


def load(directory: Path, text: str, allow_open_bind: bool = False) -> LoadedSettings[AccesshttpSettings]:
    path = directory / "settings"
    path.write_text(text)
    return load_settings(path, allow_open_bind)


def problems(directory: Path, text: str, allow_open_bind: bool = False) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(directory, text, allow_open_bind)
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
    loaded = load_settings(PACKAGED)
    assert loaded == LoadedSettings(AccesshttpSettings(), [])


def test_every_setting_is_given() -> None:
    given = set(paths_of(tomllib.loads(PACKAGED.read_text())))
    assert given == set(setting_paths(AccesshttpSettings)) - TOKENS


def test_example_file_is_the_packaged_file() -> None:
    assert (ROOT / "etc" / "accesshttp.toml").read_bytes() == PACKAGED.read_bytes()


def test_reference_page_lists_every_setting_once() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    section = page.partition("\n## accesshttp\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)
    assert sorted(listed) == sorted(setting_paths(AccesshttpSettings))


def test_empty_file_has_all_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "").settings == AccesshttpSettings()


OPEN = 'bind = ["tcp@0.0.0.0:8080"]\n'
TOKEN = '[[listener.token]]\nname = "office"\n'

REFUSED = [
    ("worker_nun = 1\n", "worker_nun: unknown setting; did you mean worker_num?"),
    ("worker_num = 0\n", "worker_num: 0 is outside 1..64"),
    (
        "[[listener]]\nbind = ['tcp@127.0.0.1:1']\ntls_certificate = 'a'\n",
        "listener[0].tls_key: missing, but TLS needs both",
    ),
    (
        "[[listener]]\nbind = ['tcp@127.0.0.1:1']\ntrusted_proxies = ['proxy']\n",
        "listener[0].trusted_proxies: 'proxy' is no network",
    ),
    ("timeout_s = 0\n", "timeout_s: 0 is outside 0.01..3600"),
    ("wire_style = 'C'\n", "wire_style: 'C' is not one of plain, viabtc"),
    ("listener = []\n", "listener: 0 entries, but must have 1..16"),
    ("[[listener]]\nbind = []\n", "listener[0].bind: 0 entries"),
    ("[[listener]]\nbind = ['udp@127.0.0.1:1']\n", "listener[0].bind: udp@127.0.0.1:1 must be an address of"),
    ("[[listener]]\nbind = ['here']\n", "listener[0].bind: address 'here': "),
    ("[[listener]]\n" + OPEN, "listener[0].bind: tcp@0.0.0.0:8080 can be reached from other machines"),
    ("[[listener]]\nbind = ['tcp@[::]:1']\n", "listener[0].bind: tcp@[::]:1 can be reached"),
    ("[[listener]]\nbind = ['tcp@127.0.0.1:1', 'tcp@127.0.0.1:1']\n", "listener[0].bind: tcp@127.0.0.1:1 is"),
    (
        "[[listener]]\nbind = ['tcp@127.0.0.1:1']\n[[listener]]\nbind = ['tcp@127.0.0.1:1']\n",
        "listener[1].bind: tcp@127.0.0.1:1 is given twice",
    ),
    (
        "[[listener]]\nbind = ['tcp@127.0.0.1:1']\nmethods = ['order.put']\n",
        "listener[0].methods: 'order.put' is no method",
    ),
    ("[[listener]]\nbind = ['tcp@127.0.0.1:1']\nmethods = []\n", "listener[0].methods: the list is empty"),
    (
        "[[listener]]\nbind = ['tcp@127.0.0.1:1']\nmethods = 'all'\n",
        "listener[0].methods: 'all' is not one of internal, public",
    ),
    ("[[listener]]\n" + OPEN + "allow_cidrs = ['10.0.0.1/8']\n", "listener[0].allow_cidrs: '10.0.0.1/8' is"),
    ("[[listener]]\n" + OPEN + TOKEN, "listener[0].token[0]: token office: give either `token` or `file`"),
    (
        "[[listener]]\n" + OPEN + TOKEN + "token = 'short'\n",
        "listener[0].token[0]: token office must have 16..512 characters",
    ),
    (
        "[[listener]]\n" + OPEN + TOKEN + "token = 'a space in the middle'\n",
        "listener[0].token[0]: token office may hold printable",
    ),
    ("[monitor]\naddress = 'tcp@0.0.0.0:8081'\n", "monitor.address: tcp@0.0.0.0:8081 can be reached"),
    ("[matchengine]\naddress = ['tcp@127.0.0.1:0']\n", "matchengine.address: tcp@127.0.0.1:0 has port 0"),
    (
        "[matchengine]\naddress = ['tcp@127.0.0.1:1', 'stream@/x']\n",
        "matchengine.address: alternatives must be of one kind, not stream and tcp",
    ),
    ("[marketprice]\naddress = ['x']\n", "marketprice.address: address 'x': "),
    ("[http]\nhead_size_bytes_max = 1\n", "http.head_size_bytes_max: 1 is outside 256..1048576"),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED, ids=range(len(REFUSED)))
def test_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(sentence)


@pytest.mark.parametrize(
    "text",
    [
        "[[listener]]\n" + OPEN + "allow_cidrs = ['10.0.0.0/8']\n",
        "[[listener]]\n" + OPEN + TOKEN + "token = '0123456789abcdef'\n",
        "[[listener]]\n" + OPEN + TOKEN + "file = '/etc/vx/token'\n",
        "[[listener]]\nbind = ['stream@/run/vx/http.sock', 'tcp@127.0.0.1:0', 'tcp@[::1]:0']\n",
        "[[listener]]\nbind = ['tcp@127.0.0.1:1']\nmethods = ['order.depth', 'balance.update']\n",
        "[monitor]\naddress = ''\n",
        "[marketprice]\naddress = []\n",
    ],
)
def test_accepted(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text).warnings == []


def test_open_addresses_are_allowed_on_purpose_and_warned_about(tmp_path: Path) -> None:
    text = "[[listener]]\n" + OPEN + "[monitor]\naddress = 'tcp@0.0.0.0:8081'\n"
    assert len(problems(tmp_path, text)) == 2
    warnings = load(tmp_path, text, allow_open_bind=True).warnings
    assert [warning.split()[0] for warning in warnings] == ["tcp@0.0.0.0:8080", "tcp@0.0.0.0:8081"]
