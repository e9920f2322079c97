"""One server process: started, watched while it becomes ready, stopped, killed, suspended.

It owns the process (its group) and the file `<name>.log` in its directory. The server dies with the test
process. Not to be started from a short-lived thread: it dies with the thread that forked it.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

STOP_TIMEOUT_S = 30.0
READY_POLL_S = 0.05
SHOWN_CHARACTERS_MAX = 4_000  # of the log, when something went wrong

_PORTS = (20_000, 32_000)
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def free_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 that nobody uses now; all different.

    Below those that the kernel gives to connections: a server may be started again on its port.
    """
    chosen = random.SystemRandom()
    sockets: list[socket.socket] = []
    try:
        while len(sockets) < count:
            one = socket.socket()
            try:
                one.bind(("127.0.0.1", chosen.randrange(*_PORTS)))
            except OSError:
                one.close()
            else:
                sockets.append(one)
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class ServerProcess:
    """One server; may be started again after it ended, on the same directory and ports."""

    def __init__(
        self,
        name: str,
        directory: Path,
        command: Sequence[str],
        is_ready: Callable[[], bool],
        *,
        ready_timeout_s: float,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.directory = directory
        self._command = list(command)
        self._is_ready = is_ready
        self._ready_timeout_s = ready_timeout_s
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.log_path = directory / f"{name}.log"

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} runs"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts and waits until it serves. Raises: RuntimeError with the end of its log."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
                preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
            )
        self.wait_ready()

    def wait_ready(self) -> None:
        """Raises: RuntimeError with the end of its log."""
        deadline = time.monotonic() + self._ready_timeout_s
        while not self._is_ready():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.name} {'ended' if ended else 'is not ready'}: {self.shown_log()}")
            time.sleep(READY_POLL_S)

    def shown_log(self) -> str:
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return text[-SHOWN_CHARACTERS_MAX:]

    def stop(self) -> None:
        """In order; killed when it takes too long. Nothing if it does not run."""
        process = self._process
        if process is None:
            return
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        process = self._process
        if process is None:
            return
        self._signal(signal.SIGKILL)
        process.wait()
        self._process = None

    def suspend(self) -> None:
        """It stands still, with its connections open."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            os.killpg(process.pid, number)
