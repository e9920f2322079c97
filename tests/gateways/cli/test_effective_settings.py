"""What `vx up` changes in a settings file: the ports and the log, and nothing else."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateways.cli.effective import EffectiveSettings, effective_settings
from gateways.cli.programs import (
    ACCESSHTTP,
    ALERTCENTER,
    ENGINE,
    MARKETPRICE,
    READHISTORY,
    Program,
    packaged_settings,
)
from tests.support.configs import c_config
from vxutils.exits import ExitCode, ProcessExit

DEFAULTS = packaged_settings(ENGINE)
LOG = Path("/data/log/matchengine")


def made_from(tmp_path: Path, text: str, offset: int = 0) -> EffectiveSettings:
    path = tmp_path / "given.settings"
    path.write_text(text)
    return effective_settings(ENGINE, path, offset, LOG)


def table_of(settings: EffectiveSettings) -> dict[str, Any]:
    return json.loads(settings.text) if settings.text.startswith("{") else tomllib.loads(settings.text)


def test_the_defaults_change_in_ports_and_log_only() -> None:
    expected = tomllib.loads(DEFAULTS.read_text())
    expected["svr"]["bind"] = ["tcp@127.0.0.1:8316", "udp@127.0.0.1:8316"]
    expected["cli"]["address"] = "tcp@127.0.0.1:8317"
    expected["monitor"]["address"] = "tcp@127.0.0.1:8318"
    expected["recorder"]["monitor_address"] = "tcp@127.0.0.1:8319"
    expected["recorder"]["messages_monitor_address"] = "tcp@127.0.0.1:8320"
    expected["alert"]["address"] = "127.0.0.1:5444"
    expected["log"]["path"] = str(LOG)
    for path in (DEFAULTS, None):
        settings = effective_settings(ENGINE, path, 1000, LOG)
        assert table_of(settings) == settings.table == expected
        assert settings.log_path == str(LOG)


def test_the_gateway_moves_with_its_backends() -> None:
    expected = tomllib.loads(packaged_settings(ACCESSHTTP).read_text())
    expected["listener"][0]["bind"] = ["tcp@127.0.0.1:9080"]
    expected["monitor"]["address"] = "tcp@127.0.0.1:9081"
    expected["alert"]["address"] = "127.0.0.1:5444"
    for backend, port in (("matchengine", 8316), ("marketprice", 8416), ("readhistory", 8424)):
        expected[backend]["address"] = [f"tcp@127.0.0.1:{port}"]
    expected["log"]["path"] = str(LOG)
    assert table_of(effective_settings(ACCESSHTTP, None, 1000, LOG)) == expected


IMPLIED = {("wire_style",): "viabtc", ("matchengine", "address"): ["tcp@127.0.0.1:5"]}

GIVEN = [
    ("", "viabtc", ["tcp@127.0.0.1:5"]),
    ('wire_style = "plain"\n', "plain", ["tcp@127.0.0.1:5"]),
    ('matchengine.address = ["tcp@127.0.0.1:70"]\n', "viabtc", ["tcp@127.0.0.1:80"]),
    ("matchengine.buf_limit = 7\n", "viabtc", ["tcp@127.0.0.1:5"]),
]


@pytest.mark.parametrize(("text", "style", "address"), GIVEN)
def test_what_neighbours_imply_stands_in_for_what_is_left_out(
    tmp_path: Path, text: str, style: str, address: list[str]
) -> None:
    path = tmp_path / "given.toml"
    path.write_text(text)
    table = table_of(effective_settings(ACCESSHTTP, path, 10, LOG, IMPLIED))
    assert (table["wire_style"], table["matchengine"]["address"]) == (style, address)
    assert table["listener"][0]["bind"] == ["tcp@127.0.0.1:8090"]


SERVERS = [(ALERTCENTER, 4444), (READHISTORY, 7424), (MARKETPRICE, 7416)]


@pytest.mark.parametrize(("program", "port"), SERVERS)
def test_services_move_and_their_alerts_go_to_the_alert_centre(program: Program, port: int) -> None:
    expected = tomllib.loads(packaged_settings(program).read_text())
    expected["svr"]["bind"] = [f"{kind}@127.0.0.1:{port + 1000}" for kind in ("tcp", "udp")]
    expected["monitor"]["address"] = f"tcp@127.0.0.1:{port + 1001}"
    expected["log"]["path"] = str(LOG)
    expected["alert"]["address"] = "127.0.0.1:9"
    if program is MARKETPRICE:
        expected["market_source"] = "tcp@127.0.0.1:8316"
    assert table_of(effective_settings(program, None, 1000, LOG, None, "127.0.0.1:9")) == expected


ALERTS = [
    ("", "127.0.0.1:9"),
    ('[alert]\naddress = ""\n', "127.0.0.1:9"),
    ('[alert]\naddress = "127.0.0.1:4444"\n', "127.0.0.1:9"),
    ('[alert]\naddress = "10.0.0.1:5"\n', "10.0.0.1:5"),
    ('{"alert": {"host": "x", "addr": ""}}', "127.0.0.1:9"),
    ('{"alert": {"host": "x", "addr": "10.0.0.1:5"}}', "10.0.0.1:5"),
]


@pytest.mark.parametrize(("text", "address"), ALERTS)
def test_alerts_that_go_somewhere_stay_there(tmp_path: Path, text: str, address: str) -> None:
    path = tmp_path / "given.settings"
    path.write_text(text)
    table = table_of(effective_settings(ENGINE, path, 0, LOG, None, "127.0.0.1:9"))
    assert table["alert"].get("addr") == address or table["alert"]["address"] == address


def test_several_listeners_are_moved(tmp_path: Path) -> None:
    path = tmp_path / "given.toml"
    path.write_text('[[listener]]\nbind = ["tcp@127.0.0.1:1"]\n[[listener]]\nbind = ["stream@/s"]\n')
    table = table_of(effective_settings(ACCESSHTTP, path, 10, LOG))
    assert [one["bind"] for one in table["listener"]] == [["tcp@127.0.0.1:11"], ["stream@/s"]]


def test_a_gateway_of_the_c_system_is_moved_as_a_whole(tmp_path: Path) -> None:
    backend = {"name": "x", "addr": "tcp@127.0.0.1:7316", "max_pkg_size": 1}
    config = {
        "svr": {"bind": "tcp@0.0.0.0:8080"},
        "monitor": {"bind": ["tcp@127.0.0.1:8081"]},
        "matchengine": backend,
        "log": {"path": ""},
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    settings = effective_settings(ACCESSHTTP, path, 10, LOG, IMPLIED)
    assert settings.is_c
    assert table_of(settings) == {
        "svr": {"bind": "tcp@0.0.0.0:8090"},
        "monitor": {"bind": ["tcp@127.0.0.1:8091"]},
        "matchengine": backend | {"addr": "tcp@127.0.0.1:7326"},
        "log": {"path": str(LOG)},
    }


def test_addresses_left_out_of_a_file_are_moved_too(tmp_path: Path) -> None:
    table = table_of(made_from(tmp_path, "[svr]\nbuf_limit = 5\n", 10))
    assert table["svr"] == {"buf_limit": 5, "bind": ["tcp@127.0.0.1:7326", "udp@127.0.0.1:7326"]}
    assert table["cli"] == {"address": "tcp@127.0.0.1:7327"}


BINDS = [
    ("tcp@127.0.0.1:0", "tcp@127.0.0.1:0"),  # any free port
    ("udp@[::1]:20", "udp@[::1]:30"),
    ("stream@/tmp/x.sock", "stream@/tmp/x.sock"),
    ("tcp@nonsense", "tcp@nonsense"),  # for the engine to refuse
]


@pytest.mark.parametrize(("given", "expected"), BINDS)
def test_only_ports_are_moved(tmp_path: Path, given: str, expected: str) -> None:
    table = table_of(made_from(tmp_path, f'svr.bind = ["{given}"]\ncli.address = ""\n', 10))
    assert table["svr"]["bind"] == [expected]
    assert table["cli"]["address"] == ""


def test_a_c_config_stays_one(tmp_path: Path) -> None:
    config = c_config(
        bind=["tcp@127.0.0.1:7316"], server={"bind": "tcp@0.0.0.0:7316"}, cli="tcp@127.0.0.1:7317"
    )
    settings = made_from(tmp_path, json.dumps(config), 100)
    expected = config | {
        "svr": config["svr"] | {"bind": "tcp@0.0.0.0:7416"},
        "cli": "tcp@127.0.0.1:7417",
        "log": config["log"] | {"path": str(LOG)},
    }
    assert table_of(settings) == expected


def test_a_key_given_twice_is_still_pointed_out(tmp_path: Path) -> None:
    settings = made_from(tmp_path, '{"debug": true, "debug": false}')
    assert settings.warnings == ["debug: given twice, the last one counts"]


def test_a_log_that_goes_somewhere_stays_there(tmp_path: Path) -> None:
    settings = made_from(tmp_path, '[log]\npath = "127.0.0.1:9000"\n')
    assert table_of(settings)["log"] == {"path": "127.0.0.1:9000"}
    assert settings.log_path == "127.0.0.1:9000"


SHAPELESS = [
    "svr = 5\nlog = 1\ncli = []\n",
    "[svr]\nbind = 7\n[cli]\naddress = 1\n[log]\npath = 3\n",
    '{"log": []}',
]


@pytest.mark.parametrize("text", SHAPELESS)
def test_wrong_shapes_are_left_to_the_engine(tmp_path: Path, text: str) -> None:
    changed, given = (
        table_of(made_from(tmp_path, text, 1)),
        table_of(EffectiveSettings(text, False, "", [], {})),
    )
    assert {name: changed[name] for name in given} == given


REFUSED = [
    ("svr.bind = [", 0, ExitCode.CONFIG, "not valid TOML"),
    ("{", 0, ExitCode.CONFIG, "not valid JSON"),
    ("", 58220, ExitCode.USAGE, "--port-offset 58220 makes port 65536 of tcp@127.0.0.1:7316"),
    ("", -7316, ExitCode.USAGE, "makes port 0 of"),
]


@pytest.mark.parametrize(("text", "offset", "code", "sentence"), REFUSED)
def test_what_cannot_be_is_refused(
    tmp_path: Path, text: str, offset: int, code: ExitCode, sentence: str
) -> None:
    with pytest.raises(ProcessExit) as refused:
        made_from(tmp_path, text, offset)
    assert refused.value.code is code
    assert sentence in refused.value.sentence


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProcessExit) as refused:
        effective_settings(ENGINE, tmp_path / "none.toml", 0, LOG)
    assert refused.value.code is ExitCode.CONFIG
    assert "No such file" in refused.value.sentence


def test_a_package_without_settings_is_an_installation_fault() -> None:
    for package in ("vxnet", "no_such_package"):
        with pytest.raises(ProcessExit) as refused:
            packaged_settings(Program("none", package))
        assert refused.value.code is ExitCode.CONFIG
