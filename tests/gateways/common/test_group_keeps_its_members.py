"""A group of small processes: order of the stop, replacements, endings that end the group."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.gateways.accesshttp.running import ROOT, children, title
from tests.support.processes import wait_until
from vxutils.exits import ExitCode

SCRIPT = """
import signal, sys, time
from pathlib import Path
from gateways.common.group import Member, run_group
from vxutils.watchdog import RestartPolicy

book = Path(sys.argv[1])
ballast_bytes = int(sys.argv[3]) if len(sys.argv) > 3 else 0

def write(text):
    with book.open("a") as file:
        file.write(text + "\\n")

def member(name, code):
    def run():
        stopped, ballast = [], b"x" * ballast_bytes  # all that has to be given back when it dies
        signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
        write(f"{name} begins")
        while not stopped and code is None:
            time.sleep(0.005)
        time.sleep(0.05)
        write(f"{name} ends")
        return code or 0
    return Member(f"member_{name}", run)

codes = {"one": None, "two": None, "three": int(sys.argv[2]) if sys.argv[2:] and sys.argv[2] else None}
members = [member(name, code) for name, code in codes.items()]
sys.exit(run_group(members, "group", RestartPolicy(stop_timeout_s=5), lambda text: None))
"""


class Running:
    """The script in a process of its own; `lines` is what its members wrote."""

    def __init__(self, directory: Path, *words: str) -> None:
        self._book = directory / "book"
        self._book.touch()
        self.process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(self._book), *words], cwd=ROOT)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def lines(self) -> list[str]:
        return self._book.read_text().splitlines()

    def wait_for(self, line: str, count: int = 1) -> None:
        wait_until(lambda: self.lines.count(line) == count, f"{line!r}, {count} times")

    def pid_of(self, name: str) -> int:
        found = [pid for dog in children(self.process.pid) for pid in children(dog)]
        return next((pid for pid in found if title(pid) == f"member_{name}"), 0)


def begun(running: Running) -> None:
    for name in ("one", "two", "three"):
        running.wait_for(f"{name} begins")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_the_last_one_stops_first(tmp_path: Path, number: signal.Signals) -> None:
    with Running(tmp_path) as running:
        begun(running)
        running.process.send_signal(number)
        assert running.process.wait(20) == ExitCode.OK
        assert running.lines[3:] == ["three ends", "two ends", "one ends"]


def test_a_killed_member_is_replaced(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        begun(running)
        os.kill(running.pid_of("two"), signal.SIGKILL)
        running.wait_for("two begins", 2)


def test_a_member_told_to_stop_is_replaced(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        begun(running)
        os.kill(running.pid_of("two"), signal.SIGTERM)
        running.wait_for("two ends")
        running.wait_for("two begins", 2)


def test_a_killed_watchdog_is_replaced_when_its_member_is_dead(tmp_path: Path) -> None:
    """Until then the member holds its addresses."""
    with Running(tmp_path, "", "300000000") as running:
        begun(running)
        member = running.pid_of("one")
        os.kill(children(running.process.pid)[0], signal.SIGKILL)
        running.wait_for("one begins", 2)
        assert not Path(f"/proc/{member}").exists()


def test_an_ending_that_needs_a_person_ends_the_group(tmp_path: Path) -> None:
    with Running(tmp_path, str(int(ExitCode.ADDRESS_TAKEN))) as running:
        assert running.process.wait(20) == ExitCode.ADDRESS_TAKEN
        assert running.lines[-2:] == ["two ends", "one ends"]


def test_a_failure_is_tried_again(tmp_path: Path) -> None:
    with Running(tmp_path, str(int(ExitCode.FAILURE))) as running:
        running.wait_for("three begins", 3)  # the third start is still at once
        begun_at = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == ExitCode.OK
        assert time.monotonic() - begun_at < 10


def test_members_are_not_stopped_by_a_ctrl_c_at_the_terminal(tmp_path: Path) -> None:
    """It goes to the foreground process group: only the parent is in it, and keeps the order."""
    with Running(tmp_path) as running:
        begun(running)
        groups = {os.getpgid(pid) for pid in children(running.process.pid)}
        assert os.getpgid(running.process.pid) not in groups and len(groups) == 3
