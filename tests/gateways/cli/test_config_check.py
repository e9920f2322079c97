"""`vx config check`: whose file it is, and everything that is wrong in it at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateways.cli.main import main
from gateways.cli.programs import CONFIGURED, packaged_settings
from tests.support.configs import c_config, toml_config

Output = pytest.CaptureFixture[str]

BACKEND = {"name": "x", "addr": "tcp@127.0.0.1:7316", "max_pkg_size": 2000000}
C_GATEWAY = {
    "log": {"path": "", "flag": "fatal"},
    "alert": {"host": "x", "addr": "127.0.0.1:1"},
    "svr": {"bind": "tcp@127.0.0.1:8080", "max_pkg_size": 102400},
    "monitor": {"bind": "tcp@127.0.0.1:8081", "max_pkg_size": 1000},
    "matchengine": BACKEND,
    "marketprice": BACKEND,
    "readhistory": BACKEND,
}
OPEN_GATEWAY = C_GATEWAY | {"svr": {"bind": "tcp@0.0.0.0:8080", "max_pkg_size": 102400}}
C_LOG = {"path": "", "flag": "fatal"}
C_SERVER = {"bind": "tcp@127.0.0.1:4444", "max_pkg_size": 10240}
C_COMMON = {"log": C_LOG, "alert": {"host": "x", "addr": "127.0.0.1:1"}, "svr": C_SERVER}
C_REDIS = {"name": "x", "addr": ["127.0.0.1:26379"]}
C_ALERTCENTER = {"log": C_LOG, "svr": C_SERVER, "redis": C_REDIS}
C_READHISTORY = C_COMMON | {
    "db_history": {"host": "127.0.0.1", "user": "nobody", "pass": "none", "name": "trade_history"}
}
C_MARKETPRICE = C_COMMON | {
    "redis": C_REDIS,
    "deals": {"brokers": "127.0.0.1:9092", "topic": "deals"},
    "accesshttp": "http://127.0.0.1:8080",
}

FINE: list[tuple[str, str, list[str], str]] = [
    ("x.toml", toml_config(), [], "matchengine"),
    ("x.json", json.dumps(c_config()), ["--embedded"], "matchengine"),
    ("x.json", json.dumps(c_config()), [], "matchengine"),
    ("x.json", json.dumps(C_GATEWAY), [], "accesshttp"),
    ("x.json", json.dumps(OPEN_GATEWAY), ["--allow-open-bind"], "accesshttp"),
    ("x.toml", 'wire_style = "viabtc"\n[http]\nkeep_alive_s = 5\n', [], "accesshttp"),
    ("accesshttp-2.toml", "", [], "accesshttp"),
    ("x.toml", 'time_zone = "UTC"\n', [], "marketprice"),
    ("x.toml", "query_timeout_s = 5\n", [], "readhistory"),
    ("x.toml", "interval_s = 5\n", [], "alertcenter"),
    ("x.json", json.dumps(C_ALERTCENTER), ["--embedded"], "alertcenter"),
    ("x.json", json.dumps(C_ALERTCENTER), [], "alertcenter"),
    ("x.json", json.dumps(C_MARKETPRICE), [], "marketprice"),
    ("x.json", json.dumps(C_READHISTORY), ["--embedded"], "readhistory"),
    ("x.json", json.dumps(C_MARKETPRICE), ["--embedded"], "marketprice"),
    ("x.toml", "timeout_s = 2\n", ["--process", "accesshttp"], "accesshttp"),
]


@pytest.mark.parametrize(("name", "text", "words", "process"), FINE)
def test_files_that_can_be_used(
    tmp_path: Path, capfd: Output, name: str, text: str, words: list[str], process: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert main(["config", "check", str(path), *words]) == 0
    assert capfd.readouterr().out == f"{path} can be used by {process}\n"


def test_the_packaged_settings_can_be_used(capfd: Output) -> None:
    for program in CONFIGURED:
        assert main(["config", "check", str(packaged_settings(program)), "--process", program.name]) == 0


REFUSED: list[tuple[str, list[str], list[str]]] = [
    (
        "repeat_ago_s = 1\n[journal]\ndurability = 5\n",
        [],
        ["did you mean repeat_age_s?", "journal.durability"],
    ),
    (json.dumps(c_config(brokers="")), [], ["brokers: missing, but required; give --embedded"]),
    (json.dumps(OPEN_GATEWAY), [], ["tcp@0.0.0.0:8080 can be reached from other machines"]),
    ("[http]\nheaders = 1\n[[listener]]\nbind = [5]\n", [], ["http.headers", "listener"]),
    ("[svr\n", [], ["not valid TOML"]),
    ("timeout_s = 0\n", ["--process", "accesshttp"], ["timeout_s"]),
]


@pytest.mark.parametrize(("text", "words", "sentences"), REFUSED)
def test_everything_wrong_is_said_at_once(
    tmp_path: Path, capfd: Output, text: str, words: list[str], sentences: list[str]
) -> None:
    path = tmp_path / "x.settings"
    path.write_text(text)
    assert main(["config", "check", str(path), *words]) == 78
    shown = capfd.readouterr()
    assert shown.out == "" and f"{path} can not be used:\n" in shown.err
    assert not [sentence for sentence in sentences if sentence not in shown.err], shown.err


def test_a_file_of_nobody_is_asked_about(tmp_path: Path, capfd: Output) -> None:
    path = tmp_path / "x.toml"
    path.write_text("[process]\ntitle = 'x'\n")
    assert main(["config", "check", str(path)]) == 64
    assert (
        "--process alertcenter or matchengine or readhistory or marketprice or accesshttp or accessws"
        in capfd.readouterr().err
    )
    assert main(["config", "check", str(tmp_path / "none.toml")]) == 78
    assert "No such file" in capfd.readouterr().err
