"""What `vx up` refuses, and what it says when the engine refuses: the reason and the code."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.gateways.cli.running import VxUp, anywhere, free_port_offset, json_of, vx
from tests.support.configs import toml_config
from tests.support.processes import create_data_directory
from vxutils.protocol import commands

WRONG_SETTINGS = [
    ("svr = 5\n[log]\npaht = 1\n", ["did you mean log.path?", "svr: 5 is a whole number"]),
    ("[svr\n", ["the settings file is not valid TOML"]),
    ('{"brokers": "db:9092"}', ["svr: missing, but required", "cli: missing, but required"]),
    ("", ["asset"]),
]


@pytest.mark.parametrize(("text", "sentences"), WRONG_SETTINGS)
def test_a_wrong_settings_file_is_named_as_it_was_given(
    tmp_path: Path, text: str, sentences: Sequence[str]
) -> None:
    (tmp_path / "mine.toml").write_text(text)
    done = vx("up", "--config", "mine.toml", cwd=tmp_path)
    assert done.returncode == 78
    assert "mine.toml can not be used:" in done.stderr
    assert not [sentence for sentence in sentences if sentence not in done.stderr]
    assert "Traceback" not in done.stderr and "vx-data/up" not in done.stderr


def test_a_taken_port_is_named_with_a_way_out(tmp_path: Path) -> None:
    """And the demo users of the directory that was made come with the first start that succeeds."""
    offset = free_port_offset()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 7316 + offset))
        taken.listen()
        done = vx("up", "--port-offset", offset, cwd=tmp_path)
    assert done.returncode == 69
    assert f"tcp@127.0.0.1:{7316 + offset}: address already in use" in done.stderr
    assert "--port-offset" in done.stderr
    with VxUp(tmp_path, "--port-offset", free_port_offset()) as up:
        up.wait_for_line("demo users 1, 2 and 3 were given")
        assert up.call(commands.BALANCE_QUERY, [2, "BTC"])["BTC"]["available"] == "1000000"


def test_only_the_reason_of_this_start_is_shown(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(toml_config())
    create_data_directory(tmp_path / "data")
    with VxUp(tmp_path, "--config", "c.toml", "--data-dir", "data") as up:
        up.wait_ready()
        up.stop()
    log = tmp_path / "data" / "log" / "matchengine.log"
    log.write_text(log.read_text() + "[2020-01-01 00:00:00.000000] [1] [fatal]a.py:1(b): an older reason\n")
    (tmp_path / "c.toml").write_text(toml_config(repeat_age_s=77))
    words = ["--config", "c.toml", "--data-dir", "data"]
    done = vx("up", *words, *anywhere(tmp_path), cwd=tmp_path)
    assert done.returncode == 78
    assert "the settings file differs from the rules in force" in done.stderr
    assert "an older reason" not in done.stderr
    done = vx("config", "diff", "c.toml", "--data-dir", "data", cwd=tmp_path)
    assert done.returncode == 1 and "77" in done.stdout
    assert vx("config", "apply", "c.toml", "--data-dir", "data", cwd=tmp_path).returncode == 0
    with VxUp(tmp_path, "--config", "c.toml", "--data-dir", "data") as up:
        up.wait_ready()
        assert up.stop() == 0


def test_a_directory_that_is_none_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    for name in ("missing", "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        done = vx("up", "--data-dir", name, cwd=tmp_path)
        assert done.returncode == 65
        assert f"{name} is not a data directory (no SYSTEM file)" in done.stderr
        assert f"vx init --data-dir {name}" in done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(toml_config())
    with VxUp(tmp_path, "--config", "c.toml") as up:
        up.wait_ready()
        settings = tmp_path / "vx-data" / "up" / "matchengine.toml"
        before = settings.read_bytes()
        done = vx("up", "--port-offset", "1", cwd=tmp_path)
        assert done.returncode == 75
        assert "another `vx up` runs in vx-data: " in done.stderr
        assert f"in use by process {up.process.pid}" in done.stderr
        assert settings.read_bytes() == before  # a restarted engine will read it
        engine = vx("matchengine", "c.toml", "--data-dir", "vx-data", cwd=tmp_path)
        assert engine.returncode == 75
        assert up.stop() == 0
    assert json_of(vx("audit", "--data-dir", "vx-data", "--json", cwd=tmp_path))["is_sound"]


def test_a_port_out_of_range_is_a_usage_error(tmp_path: Path) -> None:
    done = vx("up", "--port-offset", 60_000, cwd=tmp_path)
    assert done.returncode == 64
    assert "--port-offset 60000 makes port 67316 of tcp@127.0.0.1:7316" in done.stderr
    assert not list(tmp_path.iterdir())
