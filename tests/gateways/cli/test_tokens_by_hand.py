"""`vx token`: what it prints once, what it lists, and which words it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gateways.cli.main import main
from gateways.cli.token import parse_when
from gateways.common import credentials
from vxutils.exits import ExitCode, ProcessExit

Output = pytest.CaptureFixture[str]
NOW_US = 1_795_340_731_000_000  # 2026-11-22T09:45:31Z
DAY_US = 86_400_000_000


def run(directory: Path, *words: str) -> int:
    return main(["token", words[0], "--data-dir", str(directory), *words[1:]])


def listed(directory: Path, capfd: Output) -> list[dict[str, object]]:
    capfd.readouterr()
    assert run(directory, "list", "--json") == 0
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_token_is_shown_once(tmp_path: Path, capfd: Output) -> None:
    assert run(tmp_path, "add", "7", "--read-only", "--expires", "30d", "--label", "a bot") == 0
    text = capfd.readouterr().out.strip()
    parts = credentials.split_token(text)
    assert parts is not None
    (fact,) = listed(tmp_path, capfd)
    assert fact.pop("created") and fact.pop("expires")
    assert fact == {
        "id": parts.id,
        "kind": "token",
        "user_id": 7,
        "read_only": True,
        "state": "valid",
        "revoked": None,
        "label": "a bot",
    }
    assert run(tmp_path, "list") == 0
    table = capfd.readouterr().out
    assert f"{parts.id}  7     token, read-only  valid" in table and parts.secret.hex() not in table


def test_key_has_two_parts(tmp_path: Path, capfd: Output) -> None:
    assert run(tmp_path, "add", "8", "--api-key") == 0
    shown = capfd.readouterr().out
    found = re.fullmatch(r"access id: ([0-9a-f]{16})\nsecret:    [0-9a-f]{64}\n", shown)
    assert found is not None
    (fact,) = listed(tmp_path, capfd)
    assert (fact["id"], fact["kind"], fact["expires"]) == (found[1], "api_key", None)


def test_revoke(tmp_path: Path, capfd: Output) -> None:
    run(tmp_path, "add", "7")
    account_id = str(listed(tmp_path, capfd)[0]["id"])
    assert run(tmp_path, "revoke", account_id) == 0
    assert "is revoked; gateways know within a second" in capfd.readouterr().out
    assert run(tmp_path, "revoke", account_id) == 0
    assert "was revoked already" in capfd.readouterr().out
    assert listed(tmp_path, capfd)[0]["state"] == "revoked"
    assert run(tmp_path, "revoke", "0123456789abcdef") == 1
    assert "there is no token" in capfd.readouterr().err


def test_nothing_there_yet(tmp_path: Path, capfd: Output) -> None:
    assert run(tmp_path, "list") == 0
    assert run(tmp_path, "revoke", "x") == 1
    assert not list(tmp_path.iterdir())
    assert run(tmp_path / "no", "add", "1") == ExitCode.USAGE
    assert "does not exist" in capfd.readouterr().err


WHEN = [
    ("90s", NOW_US + 90_000_000),
    ("30m", NOW_US + 1_800_000_000),
    ("36500d", NOW_US + 36_500 * DAY_US),
    ("2026-11-23", 1_795_392_000_000_000),
    ("2026-11-22T12:00Z", 1_795_348_800_000_000),
    ("2026-11-22T12:00+02:00", 1_795_348_800_000_000 - 7_200_000_000),
    ("0d", None),
    ("36501d", None),
    ("1w", None),
    ("-1d", None),
    ("soon", None),
    ("2026-11-22", None),  # has begun already
    ("9999-12-31", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "when_us"), WHEN)
def test_when(text: str, when_us: int | None) -> None:
    if when_us is not None:
        assert parse_when(text, NOW_US) == when_us
        return
    with pytest.raises(ProcessExit) as ended:
        parse_when(text, NOW_US)
    assert ended.value.code == ExitCode.USAGE and "--expires" in ended.value.sentence


@pytest.mark.parametrize(
    "words",
    [["add"], ["add", "0"], ["add", "-7"], ["add", "4294967296"], ["add", "me"], ["revoke"], ["cook"], []],
)
def test_wrong_words(words: list[str], capfd: Output) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["token", *words])
    assert ended.value.code == ExitCode.USAGE
    assert "usage: vx token" in capfd.readouterr().err


def test_a_label_is_one_line(tmp_path: Path, capfd: Output) -> None:
    for label in ("two\nlines", "x" * 101, "\x1b[31m"):
        assert run(tmp_path, "add", "7", "--label", label) == ExitCode.USAGE
    assert not list(tmp_path.iterdir())
