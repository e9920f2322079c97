"""The real marketprice process: started, watched while it becomes ready, and always ended.

    with MarketpriceProcess(tmp_path) as process:
        with process.client() as client: ...

It owns the process group it started and the files `config.toml`, `stdout.N`, `stderr.N` in its directory; the
data directory is `data` in it.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from vxnet.address import Address, parse_address
from vxutils.rpc.blocking import BlockingClient

READY = "marketprice ready: "
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
NOBODY = "tcp@127.0.0.1:1"  # an engine that is not there


def toml_config(**changed: object) -> str:
    """Settings for a test: ports that the system chooses, no engine unless one is named."""
    top = {"market_source": NOBODY, "wire_style": "viabtc", **changed}
    lines = [f"{name} = {json.dumps(value)}" for name, value in top.items()]
    return "\n".join(
        [
            *lines,
            '[svr]\nbind = ["tcp@127.0.0.1:0", "udp@127.0.0.1:0"]',
            '[monitor]\naddress = "tcp@127.0.0.1:0"\n',
        ]
    )


class MarketpriceProcess:
    """One process on one data directory; may be started again after it ended."""

    def __init__(
        self, directory: Path, config: str | dict[str, Any] | None = None, arguments: Sequence[str] = ()
    ) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.data.mkdir(exist_ok=True)
        is_c = isinstance(config, dict)
        self.config_path = directory / ("config.json" if is_c else "config.toml")
        text = json.dumps(config) if isinstance(config, dict) else config or toml_config()
        self.config_path.write_text(text)
        self.addresses: list[Address] = []
        self.monitor: Address | None = None
        self._arguments = list(arguments)
        self._starts = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> MarketpriceProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(self.output)
        self.end()

    def start(self) -> MarketpriceProcess:
        """Start and wait until it is ready. Raises: AssertionError with its output if it ends before."""
        self.launch()
        try:
            self._wait_ready()
        except BaseException:
            self.end()
            raise
        return self

    def launch(self) -> None:
        """Start without waiting."""
        assert self._process is None or self._process.poll() is not None, "it still runs"
        self._starts += 1
        command = [sys.executable, "-m", "marketprice", "run", str(self.config_path)]
        command += ["--data-dir", str(self.data), *self._arguments]
        with self._path("stdout").open("wb") as out, self._path("stderr").open("wb") as err:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )

    def rebuild(self) -> subprocess.CompletedProcess[str]:
        """`marketprice rebuild` with the same settings."""
        command = [sys.executable, "-m", "marketprice", "rebuild", str(self.config_path)]
        return subprocess.run(
            [*command, "--data-dir", str(self.data)], capture_output=True, text=True, timeout=20, check=False
        )

    def wait(self) -> int:
        """The exit status once it has ended."""
        assert self._process is not None
        return self._process.wait(STOP_TIMEOUT_S)

    def terminate(self) -> int:
        """Ask it to stop; the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """kill -9, and wait for its end."""
        assert self._process is not None
        self._process.kill()
        self.wait()

    def end(self) -> None:
        """End what was started, whatever state it is in."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(STOP_TIMEOUT_S)

    def client(self, kind: str = "tcp") -> BlockingClient:
        """A connected client."""
        return BlockingClient(next(address for address in self.addresses if address.kind == kind))

    def call(self, command: int, *params: object) -> Any:
        """The result of one request. Raises: AssertionError for an error."""
        with self.client() as client:
            reply = client.call(command, params)
        assert reply["error"] is None, reply
        return reply["result"]

    def health(self) -> dict[str, Any]:
        """What the monitor says."""
        assert self.monitor is not None
        connection = http.client.HTTPConnection(self.monitor.host, self.monitor.port, timeout=5)
        try:
            connection.request("GET", "/health")
            found: dict[str, Any] = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()

    @property
    def stderr(self) -> str:
        """What the latest start logged so far."""
        return self._path("stderr").read_text(errors="replace")

    @property
    def output(self) -> str:
        """Both streams of the latest start."""
        return f"--- stdout\n{self._path('stdout').read_text()}\n--- stderr\n{self.stderr}"

    def _wait_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            code = self._process.poll()
            lines = [
                line for line in self._path("stdout").read_text().splitlines(True) if line.startswith(READY)
            ]
            if lines and lines[0].endswith("\n"):
                break
            assert code is None, f"it ended with {code} before it was ready\n{self.output}"
            assert time.monotonic() < deadline, f"not ready within {READY_TIMEOUT_S} s\n{self.output}"
            time.sleep(0.01)
        words = lines[0].removeprefix(READY).split()
        if "monitor" in words:
            self.monitor = parse_address(words[-1])
            words = words[:-2]
        self.addresses = [parse_address(word) for word in words]

    def _path(self, stream: str) -> Path:
        return self.directory / f"{stream}.{self._starts}"


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Poll until `condition` holds. Raises: AssertionError naming `what` was waited for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for: {what}"
        time.sleep(0.01)
