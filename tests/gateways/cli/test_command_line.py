"""The command line as a whole: help, wrong words, and the engine's own subcommands. Never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateways.cli.main import main
from tests.gateways.cli.running import json_of, vx
from tests.support.configs import toml_config

WRONG = [
    [],
    ["nonsense"],
    ["init"],
    ["matchengine", "--data-dir", "x"],
    ["config"],
    ["config", "diff", "x"],
    ["call"],
    ["call", "market.list", "--timeout", "soon"],
    ["call", "market.list", "--timeout", "0"],
    ["up", "--port-offset", "x"],
    ["up", "extra"],
    ["audit", "--data-dir", "x", "--js"],
    ["accesshttp", "--data-dir", "x"],
    ["accesshttp", "c.toml", "--data-dir", "x", "--role", "cook"],
    ["config", "check"],
    ["config", "check", "c.toml", "--process", "cook"],
    ["status", "--port-offset", "x"],
    ["recorder", "c.toml"],
    ["candles"],
    ["prune"],
    ["alerts", "--limit", "x"],
    ["demo", "--makers", "0"],
    ["demo", "--rate", "fast"],
    ["watch"],
]


@pytest.mark.parametrize("words", WRONG)
def test_wrong_words_end_with_the_usage_code(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 64
    shown = capfd.readouterr()
    assert shown.out == "" and "usage: vx" in shown.err and "--help` tells more" in shown.err


HELP = ["", "up", "demo", "watch", "call", "init", "adopt", "matchengine", "accesshttp", "status", "audit"]
HELP += [
    "recorder",
    "readhistory",
    "marketprice",
    "alertcenter",
    "alerts",
    "candles",
    "candles rebuild",
    "prune",
]
HELP += ["config", "config check", "config diff", "config apply"]


@pytest.mark.parametrize("words", HELP)
def test_everything_has_a_help(words: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words.split(), "--help"])
    assert ended.value.code == 0
    assert "usage: vx" in capfd.readouterr().out


def test_help_of_call_names_every_parameter(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["call", "--help"])
    expected = "order.put_limit USER MARKET SIDE AMOUNT PRICE TAKER_FEE MAKER_FEE SOURCE"
    assert expected in capfd.readouterr().out


def test_a_data_directory_is_made_audited_and_never_made_twice(tmp_path: Path) -> None:
    made = vx("init", "--data-dir", "data", cwd=tmp_path)
    assert made.returncode == 0 and "made in data" in made.stdout
    again = vx("init", "--data-dir", "data", cwd=tmp_path)
    assert again.returncode == 65 and "already" in again.stderr and "Traceback" not in again.stderr
    audit = json_of(vx("audit", "--data-dir", "data", "--json", cwd=tmp_path))
    assert audit["sequence"] == 0 and audit["is_sound"]


def test_the_engine_refuses_in_its_own_words_and_code(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(toml_config())
    (tmp_path / "bad.toml").write_text("[svr]\nbnd = 1\n")
    (tmp_path / "none").mkdir()
    missing = vx("matchengine", "c.toml", "--data-dir", "none", cwd=tmp_path)
    assert missing.returncode == 65 and "vx init --data-dir none" in missing.stderr
    bad = vx("matchengine", "bad.toml", "--data-dir", "none", cwd=tmp_path)
    assert bad.returncode == 78 and "did you mean svr.bind?" in bad.stderr
    assert vx("adopt", "--data-dir", "none", cwd=tmp_path).returncode == 65
    assert vx("config", "diff", "c.toml", "--data-dir", "none", cwd=tmp_path).returncode == 65
    assert vx("config", "apply", "bad.toml", "--data-dir", "none", cwd=tmp_path).returncode == 78


def test_the_working_directory_lends_no_modules(tmp_path: Path) -> None:
    """`python -m` looks there first, and people start exchanges where their own files are."""
    (tmp_path / "matchengine.py").write_text("raise SystemExit(99)\n")
    assert vx("init", "--data-dir", "data", cwd=tmp_path).returncode == 0
