"""supervisord.conf means what `exits` and `watchdog` mean, as read by supervisor itself and as run by it."""

from __future__ import annotations

import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from supervisor.datatypes import RestartWhenExitUnexpected
from supervisor.options import ServerOptions

from tests.vxutils.process import script
from vxutils.exits import NOT_RESTARTED, ExitCode
from vxutils.watchdog import RestartPolicy

ROOT = Path(__file__).resolve().parents[3]
CONFIGURATION = ROOT / "supervisord.conf"

ONE_PROGRAM = """
[supervisord]
nodaemon=true
logfile={directory}/log
pidfile={directory}/pid
[program:tested]
command={python} -c "open('{directory}/births', 'a').write('x'); raise SystemExit({code})"
startsecs={startsecs}
autorestart=unexpected
exitcodes={exitcodes}
stdout_logfile=NONE
stderr_logfile=NONE
"""


def programs() -> list[Any]:
    """In the order in which they are started."""
    options = ServerOptions()
    options.realize(["-c", str(CONFIGURATION)])
    groups = sorted(options.process_group_configs, key=lambda group: group.priority)
    return [config for group in groups for config in group.process_configs]


@pytest.mark.parametrize("config", programs(), ids=lambda config: config.name)
def test_each_ends_and_comes_back_as_ours_do(config: Any) -> None:
    assert sorted(config.exitcodes) == sorted({ExitCode.OK, *NOT_RESTARTED})
    assert (config.stopsignal, config.startsecs) == (signal.SIGTERM, 0)
    assert config.autorestart is RestartWhenExitUnexpected
    assert (config.stopasgroup, config.killasgroup) == (False, True)


def test_engine_and_recorder_have_the_time_that_the_watchdog_gives() -> None:
    named = {config.name: config for config in programs()}
    for name in ("matchengine", "recorder"):
        assert named[name].stopwaitsecs >= RestartPolicy().stop_timeout_s


def test_every_role_runs_in_the_foreground_on_files_beside_it() -> None:
    """The last one stops first: gateways before whoever is behind them, the engine before the recorder."""
    expected = [
        ("alertcenter", "alertcenter", []),
        ("recorder", "matchengine", []),
        ("recorder", "matchengine", ["--sink", "messages"]),
        ("matchengine", "matchengine", []),
        ("readhistory", "readhistory", []),
        ("marketprice", "marketprice", []),
        ("accesshttp", "accesshttp", ["--role", "worker", "--index", "0"]),
        ("accesshttp", "accesshttp", ["--role", "listener"]),
        ("accessws", "accessws", ["--role", "worker", "--index", "0"]),
        ("accessws", "accessws", ["--role", "listener"]),
    ]
    assert [config.command.split() for config in programs()] == [
        [f"{ROOT}/.venv/bin/vx", name, f"{ROOT}/etc/{file}.toml", "--data-dir", f"{ROOT}/data", *role]
        for name, file, role in expected
    ]


@pytest.mark.parametrize("name", ["accesshttp", "accessws"])
def test_there_are_as_many_workers_as_the_settings_say(name: str) -> None:
    workers = [config for config in programs() if config.name.startswith(f"{name}-worker")]
    settings = tomllib.loads((ROOT / "etc" / f"{name}.toml").read_text())
    assert len(workers) == settings["worker_num"]


def test_every_line_says_why() -> None:
    lines = CONFIGURATION.read_text().splitlines()
    assert not [line for line in lines if ";" in line and not line.startswith(";")]


@pytest.mark.parametrize(("code", "comes_back"), [(ExitCode.JOURNAL_IO, False), (ExitCode.FAILURE, True)])
def test_supervisord_itself_obeys(tmp_path: Path, code: ExitCode, comes_back: bool) -> None:
    config = programs()[0]
    own = tmp_path / "own.conf"
    own.write_text(
        ONE_PROGRAM.format(
            directory=tmp_path,
            python=sys.executable,
            code=code.value,
            startsecs=config.startsecs,
            exitcodes=",".join(map(str, config.exitcodes)),
        )
    )
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(own)]
    supervisord = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log, births = tmp_path / "log", tmp_path / "births"
    try:
        if comes_back:
            script.wait_until(lambda: births.exists() and len(births.read_text()) >= 2)
        else:
            script.wait_until(lambda: log.exists() and "exit status 74; expected" in log.read_text())
    finally:
        supervisord.terminate()
        supervisord.wait(script.DEADLINE_S)
    if not comes_back:
        assert births.read_text() == "x"
