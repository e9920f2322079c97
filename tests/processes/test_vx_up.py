"""`vx up` as a newcomer meets it: one command, ready, a first call, Ctrl-C, nothing left behind."""

from __future__ import annotations

import json
import signal
import time
import tomllib
from pathlib import Path

import pytest

from tests.gateways.cli.running import STOPPED, VxUp, free_port_offset, json_of, vx
from tests.support.configs import c_config, toml_config
from tests.support.processes import create_data_directory, wait_until
from tests.vxutils.process.script import is_alive
from vxutils.protocol import commands

MILLION = {"available": "1000000", "freeze": "0"}


def test_first_start_serves_funded_users_and_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    offset = free_port_offset()
    with VxUp(tmp_path, "--port-offset", offset) as up:
        up.wait_for_line("Ctrl-C stops everything")
        assert str(up.address()) == f"tcp@127.0.0.1:{7316 + offset}"
        lines = up.stdout.splitlines()
        assert lines[0] == "made a new exchange in vx-data"
        assert "demo users 1, 2 and 3 were given 1000000 each of BTC, ETH, USDT, USDC" in lines

        (shown,) = (line for line in lines if line.startswith("try, in another terminal: "))
        words = shown.partition(" call ")[2].split()
        answer = json_of(vx("call", *words, cwd=tmp_path))
        assert answer == dict.fromkeys(["BTC", "ETH", "USDT", "USDC"], MILLION)
        assert up.call(commands.BALANCE_QUERY, [4, "BTC"])["BTC"]["available"] == "0"

        family = up.family()
        assert len(family) >= 2
        assert up.stop(signal.SIGINT) == 0
        assert not any(map(is_alive, family))
        assert up.stdout.splitlines()[-1 - len(STOPPED) :] == ["stopping (SIGINT)", *STOPPED]
        assert up.stderr == ""

    with VxUp(tmp_path, "--port-offset", offset) as again:
        again.wait_for_line("Ctrl-C stops everything")
        assert again.call(commands.BALANCE_QUERY, [1, "BTC"]) == {"BTC": MILLION}
        assert "demo" not in again.stdout and "made" not in again.stdout
        assert again.stop(signal.SIGTERM) == 0
    log = (tmp_path / "vx-data" / "log" / "matchengine.log").read_text()
    assert log.count("matchengine ready: ") == 2
    audit = json_of(vx("audit", "--data-dir", "vx-data", "--json", cwd=tmp_path))
    assert audit["is_sound"] and audit["newest_slice_agrees"]


def test_two_beside_each_other(tmp_path: Path) -> None:
    """A directory with a SYSTEM file, named by hand, gets no demo users; each has ports of its own."""
    create_data_directory(tmp_path / "second")
    offsets = free_port_offset(), free_port_offset()
    with (
        VxUp(tmp_path, "--port-offset", offsets[0]) as first,
        VxUp(tmp_path, "--port-offset", offsets[1], "--data-dir", "second") as second,
    ):
        for up in (first, second):
            up.wait_for_line("Ctrl-C stops everything")
        assert first.call(commands.BALANCE_QUERY, [1, "BTC"]) == {"BTC": MILLION}
        assert second.call(commands.BALANCE_QUERY, [1, "BTC"])["BTC"]["available"] == "0"
        settings = tomllib.loads((tmp_path / "second" / "up" / "matchengine.toml").read_text())
        assert settings["cli"]["address"] == f"tcp@127.0.0.1:{7317 + offsets[1]}"
        assert second.url == f"http://127.0.0.1:{8080 + offsets[1]}"
        assert second.stop() == 0
        assert first.call(commands.ASSET_LIST, [])


@pytest.mark.parametrize("is_c", [False, True])
def test_a_settings_file_of_ones_own(tmp_path: Path, is_c: bool) -> None:
    """The file's own ports (here: any free ones) are served; its demo users get its own assets."""
    settings = tmp_path / "mine.settings"
    settings.write_text(json.dumps(c_config()) if is_c else toml_config())
    with VxUp(tmp_path, "--config", settings, *(["--embedded"] if is_c else [])) as up:
        up.wait_for_line("Ctrl-C stops everything")
        asset = up.call(commands.ASSET_LIST, [])[0]["name"]
        assert up.call(commands.BALANCE_QUERY, [3, asset])[asset]["available"] == "1000000"
        assert up.stop() == 0


def test_any_number_of_ctrl_c_stop_it_once(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(toml_config())
    with VxUp(tmp_path, "--config", "c.toml") as up:
        up.wait_ready()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            up.process.send_signal(number)
        assert up.wait() == 0
        assert up.stdout.splitlines()[-1] == STOPPED[-1]
    assert json_of(vx("audit", "--data-dir", "vx-data", "--json", cwd=tmp_path))["is_sound"]


@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.2, 0.3])
def test_ctrl_c_during_the_start_is_an_orderly_stop(tmp_path: Path, delay_s: float) -> None:
    (tmp_path / "c.toml").write_text(toml_config())
    with VxUp(tmp_path, "--config", "c.toml") as up:
        # From the moment it has anything to lose: before that, Ctrl-C ends the loading of Python itself.
        wait_until((tmp_path / "vx-data").exists, "the data directory")
        time.sleep(delay_s)
        assert up.stop() == 0
        assert up.stderr == ""
    with VxUp(tmp_path, "--config", "c.toml") as up:
        up.wait_for_line("Ctrl-C stops everything")
        asset = up.call(commands.ASSET_LIST, [])[0]["name"]
        assert up.call(commands.BALANCE_QUERY, [3, asset])[asset]["available"] == "1000000"
