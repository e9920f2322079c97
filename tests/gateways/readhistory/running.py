"""A real process `python -m gateways.<name> run`, started, watched while it becomes ready, and always ended.

    with Service("readhistory", tmp_path, SETTINGS) as service:
        with service.client() as client: ...

It owns the process group it started and the files `config.*`, `stdout`, `stderr` in its directory.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from vxnet.address import Address, parse_address
from vxutils.rpc.blocking import BlockingClient

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0


class Service:
    """One process of a gateway package. `config` is TOML text or a C configuration."""

    def __init__(
        self, name: str, directory: Path, config: str | dict[str, Any], arguments: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.directory = directory
        self.data = directory / "data"
        self.data.mkdir(exist_ok=True)
        self.config_path = directory / ("config.toml" if isinstance(config, str) else "config.json")
        self.config_path.write_text(config if isinstance(config, str) else json.dumps(config))
        self.addresses: list[Address] = []
        self.monitor: Address | None = None
        self._arguments = list(arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._ready_lines = 0

    def __enter__(self) -> Service:
        self.launch()
        try:
            self.wait_ready()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(self.output)
        self.end()

    def launch(self) -> None:
        """Start without waiting."""
        command = [sys.executable, "-m", f"gateways.{self.name}", "run", str(self.config_path)]
        command += ["--data-dir", str(self.data), *self._arguments]
        self._ready_lines = 0
        with self._path("stdout").open("wb") as out, self._path("stderr").open("wb") as err:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )

    def wait_ready(self) -> None:
        """Wait for the next ready line and take its addresses."""
        assert self._process is not None
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            code = self._process.poll()
            text = self._path("stdout").read_text()
            lines = [line for line in text.splitlines(keepends=True) if " ready: " in line]
            if len(lines) > self._ready_lines and lines[self._ready_lines].endswith("\n"):
                break
            assert code is None, f"ended with {code} before it was ready\n{self.output}"
            assert time.monotonic() < deadline, f"not ready\n{self.output}"
            time.sleep(0.01)
        head, _, monitor = lines[self._ready_lines].strip().partition(" monitor ")
        self._ready_lines += 1
        name, _, places = head.partition(" ready: ")
        assert name == self.name
        self.addresses = [parse_address(text) for text in places.split()]
        self.monitor = parse_address(monitor) if monitor else None

    def wait(self) -> int:
        """The exit status."""
        assert self._process is not None
        return self._process.wait(STOP_TIMEOUT_S)

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; the exit status."""
        os.kill(self.pid, number)
        return self.wait()

    def end(self) -> None:
        """End whatever is left of it."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait(STOP_TIMEOUT_S)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def worker_pid(self) -> int:
        """The child of the watchdog."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        assert len(children) == 1, children
        return int(children[0])

    @property
    def log(self) -> str:
        return self._path("stderr").read_text(errors="replace")

    @property
    def output(self) -> str:
        return "\n".join(
            f"--- {name}\n{self._path(name).read_text(errors='replace')[-4000:]}"
            for name in ("stdout", "stderr")
        )

    def address(self, kind: str = "tcp") -> Address:
        return next(address for address in self.addresses if address.kind == kind)

    def connect(self) -> socket.socket:
        """A TCP connection to the first address."""
        address = self.address("tcp")
        return socket.create_connection((address.host, address.port), 10)

    def client(self, kind: str = "tcp") -> BlockingClient:
        return BlockingClient(self.address(kind), 10.0)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a request to the monitor."""
        assert self.monitor is not None
        connection = http.client.HTTPConnection(self.monitor.host, self.monitor.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def health(self) -> dict[str, Any]:
        health: dict[str, Any] = json.loads(self.get("/health")[1])
        return health

    def _path(self, stream: str) -> Path:
        return self.directory / f"{self.name}.{stream}"


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Poll until `condition` holds. Raises: AssertionError naming `what` was waited for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for: {what}"
        time.sleep(0.02)
