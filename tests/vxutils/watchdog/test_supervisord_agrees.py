"""supervisord.conf means what `exits` and `watchdog` mean, as read by supervisor itself and as run by it."""

from __future__ import annotations

import signal
import subprocess
import sys
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


def program() -> Any:
    options = ServerOptions()
    options.realize(["-c", str(CONFIGURATION)])
    (group,) = options.process_group_configs
    (config,) = group.process_configs
    return config


def test_expected_exit_codes_are_ours() -> None:
    assert sorted(program().exitcodes) == sorted({ExitCode.OK, *NOT_RESTARTED})


def test_it_stops_like_the_watchdog() -> None:
    config = program()
    assert config.stopsignal == signal.SIGTERM
    assert config.stopwaitsecs >= RestartPolicy().stop_timeout_s
    assert config.autorestart is RestartWhenExitUnexpected
    assert (config.stopasgroup, config.killasgroup) == (False, True)


def test_the_command_runs_in_the_foreground_on_files_beside_it() -> None:
    words = program().command.split()
    assert words[:3] == [f"{ROOT}/.venv/bin/vx", "matchengine", f"{ROOT}/etc/matchengine.toml"]
    assert words[3] == "--data-dir"
    assert "--daemon" not in words


def test_every_line_says_why() -> None:
    lines = CONFIGURATION.read_text().splitlines()
    assert not [line for line in lines if ";" in line and not line.startswith(";")]


@pytest.mark.parametrize(("code", "comes_back"), [(ExitCode.JOURNAL_IO, False), (ExitCode.FAILURE, True)])
def test_supervisord_itself_obeys(tmp_path: Path, code: ExitCode, comes_back: bool) -> None:
    config = program()
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
