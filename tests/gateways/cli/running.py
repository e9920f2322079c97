"""The real `vx` command as a process: run to its end, or (`up`) watched while it runs and always ended."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from gateways.cli.programs import ACCESSHTTP, GATEWAYS, PROGRAMS, RECORDER
from gateways.cli.running import read_running
from tests.support.processes import wait_until
from tests.vxutils.process.script import is_alive
from vxnet.address import Address, parse_address
from vxutils.process import die_with_parent
from vxutils.rpc.blocking import BlockingClient

VX = [sys.executable, "-m", "gateways.cli"]
DEADLINE_S = 60.0

_READY = "matchengine ready: "
_HTTP_READY = "accesshttp listener ready: "
_STREAM_PORTS = (4444, 4445, 7316, 7317, 7318, 7416, 7417, 7424, 7425, 8080, 8081, 8090, 8091)
_DATAGRAM_PORTS = (4444, 7316, 7416, 7424)
_DEFAULT_PORTS = (
    *((port, socket.SOCK_STREAM) for port in _STREAM_PORTS),
    *((port, socket.SOCK_DGRAM) for port in _DATAGRAM_PORTS),
)
_OFFSETS = range(2_000, 24_000)  # below the ports which the kernel gives to clients
_SERVER_ANYWHERE = """
[svr]
bind = ["tcp@127.0.0.1:0", "udp@127.0.0.1:0"]
[monitor]
address = "tcp@127.0.0.1:0"
"""
_GATEWAY_ANYWHERE = """
[[listener]]
bind = ["tcp@127.0.0.1:0"]
[monitor]
address = "tcp@127.0.0.1:0"
"""
_ANYWHERE = dict.fromkeys(("alertcenter", "readhistory", "marketprice"), _SERVER_ANYWHERE)
_ANYWHERE["accesshttp"] = _ANYWHERE["accessws"] = _GATEWAY_ANYWHERE

STOPPED = [f"{program.name} stopped" for program in reversed(PROGRAMS)]
"""What `vx up` says last."""


def vx(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """One `vx` command, run to its end."""
    return subprocess.run(
        [*VX, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


def free_port_offset() -> int:
    """An offset at which the default ports are free (now, and unlikely to be taken by another test)."""
    chosen = random.SystemRandom()
    while True:
        offset = chosen.choice(_OFFSETS)
        if all(_is_free(port + offset, kind) for port, kind in _DEFAULT_PORTS):
            return offset


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def anywhere(directory: Path, words: Sequence[object] = ()) -> list[str]:
    """The words for everything but the engine on free ports, as far as `words` do not say where it is."""
    added = []
    for name, text in _ANYWHERE.items():
        if f"--{name}-config" not in words:
            path = directory / f"{name}-anywhere.toml"
            path.write_text(text)
            added += [f"--{name}-config", str(path)]
    return added


class VxUp:
    """`vx up WORDS` in `directory`. A context manager that starts it and ends it whatever happens.

    Unless the words say where it is, everything but the engine is on free ports.
    """

    def __init__(self, directory: Path, *words: object) -> None:
        self.directory = directory
        self.words = [str(word) for word in words]

    def __enter__(self) -> VxUp:
        test_pid = os.getpid()
        # Named after the process that will be: two of them may run in one directory.
        self._files = self.directory / f"output-{random.SystemRandom().getrandbits(40):x}"
        self._files.mkdir()
        if "--port-offset" not in self.words:
            self.words += anywhere(self._files, self.words)
        with self._path("stdout").open("wb") as stdout, self._path("stderr").open("wb") as stderr:
            self.process = subprocess.Popen(
                [*VX, "up", *self.words],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(test_pid),
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(f"--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}")
        family = self.family()
        self.process.kill()
        self.process.wait(DEADLINE_S)
        # They are dead of themselves by then, unless what is tested is broken.
        wait_until(lambda: not any(map(is_alive, family)), f"end of all of {family}")

    @property
    def stdout(self) -> str:
        return self._path("stdout").read_text()

    @property
    def stderr(self) -> str:
        return self._path("stderr").read_text()

    def wait_ready(self, times: int = 1) -> None:
        """Until the engine has become ready for that many times, counted from the beginning."""
        self.wait_for_line(_READY, times)

    def wait_for_line(self, begin: str, times: int = 1) -> None:
        def is_there() -> bool:
            code = self.process.poll()
            found = sum(line.startswith(begin) for line in self.stdout.splitlines())
            assert found >= times or code is None, f"ended with {code}"
            return found >= times

        wait_until(is_there, f"line {begin!r}, {times} times", DEADLINE_S)

    def address(self, ready: str = _READY) -> Address:
        """Where the engine takes requests since it was ready for the last time."""
        line = [line for line in self.stdout.splitlines() if line.startswith(ready)][-1]
        return parse_address(line.removeprefix(ready).split()[0])

    @property
    def url(self) -> str:
        """Where the HTTP gateway takes requests."""
        return str(self.address(_HTTP_READY)).replace("tcp@", "http://")

    def call(self, command: int, params: list[Any]) -> Any:
        """The result. Tried again while an engine comes back."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                with BlockingClient(self.address()) as client:
                    reply = client.call(command, params)
                assert reply["error"] is None, reply
                return reply["result"]
            except OSError:
                assert time.monotonic() < deadline, "nobody answers"
                time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """The exit code after this signal."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        return self.process.wait(DEADLINE_S)

    @property
    def data_directory(self) -> Path:
        given = self.words[self.words.index("--data-dir") + 1] if "--data-dir" in self.words else "vx-data"
        return self.directory / given

    def pid(self, name: str) -> int:
        """What `vx up` has started under this name, and which lives."""

        def found() -> list[int]:
            running = read_running(self.data_directory) or []
            return [one.pid for one in running if one.name == name and one.pid and is_alive(one.pid)]

        wait_until(lambda: bool(found()), f"a living {name}")
        return found()[0]

    @property
    def watchdog_pid(self) -> int:
        return self.pid("matchengine")

    @property
    def worker_pid(self) -> int:
        (pid,) = children(self.watchdog_pid)
        return pid

    def roles(self) -> dict[str, int]:
        """Every process that lives now by what it is: `NAME watchdog`, `NAME`; `gateway` is the parent of the
        listener and the worker of accesshttp; those of accessws are `accessws gateway` and so on. The helpers
        of the engine are left out.
        """
        found = {}
        for program in PROGRAMS:
            top = self.pid(program.name)
            if program in GATEWAYS:
                prefix = "" if program is ACCESSHTTP else f"{program.name} "
                found[f"{prefix}gateway"] = top
                for watchdog in children(top):
                    for pid in children(watchdog):
                        role = prefix + ("listener" if "listener" in _command_line(pid) else "worker")
                        found |= {role: pid, f"{role} watchdog": watchdog}
                continue
            found[f"{program.name} watchdog"] = top
            for pid in children(top):
                found[program.name] = pid
                for helper in children(pid) if program is RECORDER else ():
                    if "write" in _command_line(helper):
                        found["writer"] = helper
        return found

    def family(self) -> list[int]:
        """All descendants that live now."""
        found, begun = [], [self.process.pid]
        while begun:
            begun = [child for pid in begun for child in children(pid)]
            found += begun
        return found

    def _path(self, name: str) -> Path:
        return self._files / name


def _command_line(pid: int) -> str:
    """What `ps` shows, empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def children(parent_pid: int) -> list[int]:
    """Pids of the living children. Source: proc(5), stat."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == parent_pid and state not in "ZX":
                found.append(int(entry.name))
    return found


def json_of(done: subprocess.CompletedProcess[str]) -> Any:
    """What a successful command printed."""
    assert done.returncode == 0, done
    return json.loads(done.stdout)
