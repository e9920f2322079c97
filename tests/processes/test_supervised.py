"""supervisord.conf as it is, on other ports: everything comes up, comes back when killed, stops in order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateways.cli.effective import effective_settings
from gateways.cli.programs import CONFIGURED
from tests.gateways.cli.running import free_port_offset
from tests.processes.recorders import writer_of
from tests.processes.test_whole_backend import DEMO, RETRIES, check_everything, trade
from tests.support.processes import create_data_directory, wait_until
from tests.vxutils.process.script import is_alive
from vxutils.client import Client, ExchangeError
from vxutils.process import die_with_parent

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60.0
NAMES = ["accessws-listener", "accessws-worker-0", "accesshttp-listener", "accesshttp-worker-0"]
NAMES += ["marketprice", "readhistory"]
NAMES += ["matchengine", "recorder", "alertcenter"]
"""In the order in which they stop."""

NOT_NEEDED = "recorder-messages"  # with these settings: it ends at once, and stays away

_SPAWNED = re.compile(r"spawned: '([^']+)' with pid (\d+)")
_STOPPED = re.compile(r"stopped: (\S+) \(([^)]+)\)")


class Supervised:
    """A running supervisord, and what it says about its processes."""

    def __init__(self, directory: Path, offset: int) -> None:
        self.url = f"http://127.0.0.1:{8080 + offset}"
        self._log = directory / "log"

    @property
    def log(self) -> str:
        """What supervisord did."""
        return self._log.read_text() if self._log.exists() else ""

    def pids(self) -> dict[str, int]:
        """The processes as they were started last."""
        return {name: int(pid) for name, pid in _SPAWNED.findall(self.log)}


@contextmanager
def supervised(directory: Path) -> Iterator[tuple[Supervised, subprocess.Popen[bytes]]]:
    """A copy of the configuration, beside settings with other ports and this virtual environment."""
    offset = free_port_offset()
    (directory / ".venv" / "bin").mkdir(parents=True)
    vx = directory / ".venv" / "bin" / "vx"
    vx.write_text(f"#!{sys.executable}\nimport sys\nfrom gateways.cli.main import main\nsys.exit(main())\n")
    vx.chmod(0o755)
    text = (ROOT / "supervisord.conf").read_text().replace("loglevel=warn", "loglevel=info")
    # A file that is opened anew as /dev/stdout is written from its beginning.
    text = text.replace("\nlogfile=/dev/stdout", "\nlogfile=%(here)s/log")
    (directory / "supervisord.conf").write_text(text)
    create_data_directory(directory / "data")
    (directory / "etc").mkdir()
    for program in CONFIGURED:
        log = directory / "data" / program.name
        settings = effective_settings(program, ROOT / "etc" / f"{program.name}.toml", offset, log)
        (directory / "etc" / f"{program.name}.toml").write_text(settings.text)
    test_pid = os.getpid()
    with (directory / "output").open("wb") as output:  # of the processes
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(directory / "supervisord.conf")],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(test_pid),
        )
    running = Supervised(directory, offset)
    try:
        yield running, process
    except BaseException as error:
        error.add_note(running.log)
        raise
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def test_everything_comes_back_and_stops_in_order(tmp_path: Path) -> None:
    with supervised(tmp_path) as (running, supervisord):
        wait_until(lambda: set(running.pids()) == {*NAMES, NOT_NEEDED}, "all processes", DEADLINE_S)
        with Client(running.url, retries=RETRIES) as client:
            wait_until(lambda: answers(client), "the gateway", DEADLINE_S)
            for user in (1, 2):
                for asset in ("BTC", "USDT"):
                    client.call("balance.update", user, asset, "deposit", 1, str(DEMO), {})
            trade(client, 0)
            os.kill(writer_of(running.pids()["recorder"]), signal.SIGKILL)
            wait_until(lambda: "the writer ended with" in alerts(tmp_path), "the alert", DEADLINE_S)
            for count, name in enumerate(NAMES, start=1):
                pid = running.pids()[name]
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda: running.pids()[name] != pid, f"another {name}", DEADLINE_S)  # noqa: B023
                trade(client, count)
            check_everything(client, len(NAMES) + 1)
        pids = running.pids()
        supervisord.terminate()
        assert supervisord.wait(DEADLINE_S) == 0
        assert _STOPPED.findall(running.log) == [(name, "exit status 0") for name in NAMES]
        assert not any(map(is_alive, pids.values()))


def alerts(directory: Path) -> str:
    """What the alert centre has stored."""
    vx = directory / ".venv" / "bin" / "vx"
    done = subprocess.run([vx, "alerts", "--data-dir", directory / "data"], capture_output=True, check=True)
    return done.stdout.decode()


def answers(client: Client) -> bool:
    """Whether somebody behind the gateway answers."""
    try:
        return bool(client.call("market.list"))
    except (ExchangeError, OSError):
        return False
