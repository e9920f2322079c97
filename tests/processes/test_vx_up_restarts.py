"""Whatever is killed under `vx up` comes back; when `vx up` itself is killed, all go with it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateways.cli.running import read_running
from tests.gateways.cli.running import DEADLINE_S, STOPPED, VX, VxUp, anywhere, children
from tests.support.configs import toml_config
from tests.support.processes import wait_until
from tests.vxutils.process.script import is_alive
from vxutils.protocol import commands

MILLION = "1000000"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[VxUp]:
    (tmp_path / "c.toml").write_text(toml_config())
    with VxUp(tmp_path, "--config", "c.toml") as running:
        running.wait_for_line("Ctrl-C stops everything")
        yield running


def first_balance(up: VxUp) -> str:
    asset = up.call(commands.ASSET_LIST, [])[0]["name"]
    balances: dict[str, dict[str, str]] = up.call(commands.BALANCE_QUERY, [1, asset])
    return balances[asset]["available"]


def test_a_killed_worker_is_replaced_by_its_watchdog(up: VxUp) -> None:
    watchdog, worker, address = up.watchdog_pid, up.worker_pid, up.address()
    os.kill(worker, signal.SIGKILL)
    up.wait_ready(times=2)
    assert up.address() == address, "others were told that one; the settings say port 0"
    assert first_balance(up) == MILLION
    assert up.watchdog_pid == watchdog and up.worker_pid != worker
    assert "terminated by signal: 'Killed'" in up.stderr
    assert up.stop() == 0


def test_a_killed_watchdog_is_replaced_and_its_worker_is_gone(up: VxUp) -> None:
    watchdog, worker = up.watchdog_pid, up.worker_pid
    os.kill(watchdog, signal.SIGKILL)
    up.wait_ready(times=2)
    assert not is_alive(worker)
    assert first_balance(up) == MILLION
    assert up.watchdog_pid != watchdog
    assert "vx: matchengine was killed by signal 9; starting it again now\n" in up.stderr
    assert up.stdout.count("demo users") == up.stdout.count("Ctrl-C stops") == 1
    assert up.stop() == 0


def test_one_that_dies_at_once_is_started_with_pauses_and_stops_at_once(up: VxUp) -> None:
    while "matchengine was killed by signal 9; starting it again in" not in up.stderr:
        for one in read_running(up.data_directory) or []:
            # Only the engine: another one that is killed while we stop would be a crash during the stop.
            if one.name == "matchengine" and one.pid:
                with suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGKILL)
    assert up.stderr.count("matchengine was killed by signal 9; starting it again now") == 2
    assert up.stop() == 0  # in the middle of the pause


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_nobody_outlives_a_killed_vx_up(up: VxUp, number: signal.Signals) -> None:
    family = up.family()
    assert len(family) >= 2
    assert up.stop(number) == -number
    wait_until(lambda: not any(map(is_alive, family)), "end of the family")


def test_one_stopped_by_somebody_else_stops_all(up: VxUp) -> None:
    os.kill(up.watchdog_pid, signal.SIGTERM)
    assert up.wait() == 0
    others = [line for line in STOPPED if "matchengine" not in line]
    told = "matchengine was told to stop by somebody else; stopping"
    assert up.stdout.splitlines()[-1 - len(others) :] == [told, *others]


def test_a_hung_up_terminal_is_an_orderly_stop(up: VxUp) -> None:
    assert up.stop(signal.SIGHUP) == 0
    assert up.stdout.splitlines()[-1 - len(STOPPED) :] == ["stopping (SIGHUP)", *STOPPED]


def test_a_reader_that_leaves_stops_nothing(tmp_path: Path) -> None:
    """As in `vx up | head`: what is said later is lost, and that is all."""
    (tmp_path / "c.toml").write_text(toml_config())
    command = [*VX, "up", "--config", "c.toml", *anywhere(tmp_path)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        while process.stdout.readline() != b"Ctrl-C stops everything\n":
            assert process.poll() is None
        process.stdout.close()
        (watchdog,) = (
            one.pid for one in read_running(tmp_path / "vx-data") or [] if one.name == "matchengine"
        )
        assert watchdog
        (worker,) = children(watchdog)
        os.kill(worker, signal.SIGKILL)
        log = tmp_path / "vx-data" / "log" / "matchengine.log"
        wait_until(lambda: log.read_text().count("matchengine ready: ") == 2, "the next worker")
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
