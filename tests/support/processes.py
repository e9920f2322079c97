"""The real matchengine process: started, watched while it becomes ready, and always ended.

    with EngineProcess(tmp_path, c_config()) as engine:      # starts, waits for the ready line
        with engine.client("tcp") as client:
            client.call(104, [])

It owns the operating-system process it started (its whole process group) and the files `config.*`,
`stdout.N`, `stderr.N` in the directory given to it; N counts the starts. It knows nothing of what the
engine answers. Not to be started from a short-lived thread: the engine dies with the thread that forked it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.ring_leftovers import remove_rings
from vxnet.address import Address, parse_address
from vxutils.rpc.blocking import BlockingClient

READY = "matchengine ready: "
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
SHOWN_CHARACTERS_MAX = 6_000  # of each stream, when something went wrong

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class EngineProcess:
    """One engine on one data directory; may be started again after it ended.

    `config` is a C configuration (a dict, written as JSON) or TOML text. The data directory, by default
    `data` in `directory`, is initialised by the first start if it does not exist. `watchdog` puts the
    watchdog in front. `environment` is added to the inherited one, `arguments` to the command line.
    """

    def __init__(
        self,
        directory: Path,
        config: dict[str, Any] | str,
        *,
        data_dir: Path | None = None,
        watchdog: bool = False,
        embedded: bool = True,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.data_dir = data_dir or directory / "data"
        self.config_path = directory / ("config.toml" if isinstance(config, str) else "config.json")
        self.write_config(config)
        self.addresses: list[Address] = []
        self.console: Address | None = None
        self._arguments = [*(["--watchdog"] if watchdog else []), *(["--embedded"] if embedded else [])]
        self._arguments += arguments
        self._environment = os.environ | dict(environment or {})
        self._watchdog = watchdog
        self._starts = 0
        self._ready_lines = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> EngineProcess:
        return self.start() if self._process is None else self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(self.output)
        self.end()

    def write_config(self, config: dict[str, Any] | str) -> None:
        """Replace the settings file; the next start reads it."""
        self.config_path.write_text(config if isinstance(config, str) else json.dumps(config))

    # -- life ----------------------------------------------------------------------------------

    def start(self, timeout_s: float = READY_TIMEOUT_S) -> EngineProcess:
        """Start and wait until it is ready. Raises: AssertionError with its output if it ends before."""
        self.launch()
        try:
            self.wait_ready(timeout_s)
        except BaseException:
            self.end()
            raise
        return self

    def launch(self) -> None:
        """Start without waiting: for starts that are to be refused, or to die."""
        assert self._process is None or self._process.poll() is not None, "the engine still runs"
        if not self.data_dir.exists():
            create_data_directory(self.data_dir)
        self._starts += 1
        self._ready_lines = 0
        command = [sys.executable, "-m", "matchengine", "run", str(self.config_path)]
        command += ["--data-dir", str(self.data_dir), *self._arguments]
        with self._path("stdout").open("wb") as stdout, self._path("stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=self.directory,
                env=self._environment,
                start_new_session=True,  # `end` ends everything in the group, and nothing else
                preexec_fn=_die_with_the_tests,
            )

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait for the next ready line (each worker of a watchdog prints one) and take its addresses."""
        assert self._process is not None
        deadline = time.monotonic() + timeout_s
        while True:
            code = self._process.poll()  # asked before reading, so that nothing it said is missed
            lines = [line for line in self.stdout.splitlines(keepends=True) if line.startswith(READY)]
            if len(lines) > self._ready_lines and lines[self._ready_lines].endswith("\n"):
                break
            assert code is None, f"the engine ended with {code} before it was ready\n{self.output}"
            assert time.monotonic() < deadline, f"not ready within {timeout_s} s\n{self.output}"
            time.sleep(0.01)
        words = lines[self._ready_lines].removeprefix(READY).split()
        self._ready_lines += 1
        self.console = parse_address(words[words.index("cli") + 1]) if "cli" in words else None
        listed = words[: words.index("cli")] if "cli" in words else words
        self.addresses = [parse_address(word) for word in listed]

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """The exit status once it has ended (minus the signal's number if one killed it)."""
        assert self._process is not None
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end within {timeout_s} s\n{self.output}") from None

    def terminate(self, sig: signal.Signals = signal.SIGTERM, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask it to stop; the exit status."""
        os.kill(self.pid, sig)
        return self.wait(timeout_s)

    def kill(self) -> None:
        """kill -9 of the process that was started (the watchdog, if there is one), and wait for its end."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def kill_worker(self) -> int:
        """kill -9 of the worker under the watchdog; its pid. The next one is ready after `wait_ready`."""
        pid = self.worker_pid
        os.kill(pid, signal.SIGKILL)
        return pid

    def end(self) -> None:
        """End what was started, whatever state it is in. Repeating does nothing."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it and all its children are gone already
        self._process.wait(STOP_TIMEOUT_S)
        remove_rings(self.data_dir, "book.")  # a killed engine can not, and memory is dear

    # -- facts ---------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def worker_pid(self) -> int:
        """The process that serves: the watchdog's only child, or the process itself."""
        if not self._watchdog:
            return self.pid
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        assert len(children) == 1, f"the watchdog has the children {children}"
        return int(children[0])

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def resident_bytes(self) -> int:
        """Memory of the worker that is in RAM."""
        pages = int(Path(f"/proc/{self.worker_pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def stdout(self) -> str:
        """What the latest start printed so far."""
        return self._read("stdout")

    @property
    def stderr(self) -> str:
        """What the latest start logged so far."""
        return self._read("stderr")

    @property
    def output(self) -> str:
        """Both streams, the ends of them, to be shown when a test fails."""
        shown = (
            f"--- {name} of start {self._starts}\n{self._read(name)[-SHOWN_CHARACTERS_MAX:]}"
            for name in ("stdout", "stderr")
        )
        return "\n".join(shown)

    # -- doors ---------------------------------------------------------------------------------

    def address(self, kind: str = "tcp") -> Address:
        """The bound address of this kind."""
        return next(address for address in self.addresses if address.kind == kind)

    def client(self, kind: str = "tcp", timeout_s: float = 20.0) -> BlockingClient:
        """A connected client of the address of this kind."""
        return BlockingClient(self.address(kind), timeout_s)

    def ask_console(self, line: str, timeout_s: float = 20.0) -> str:
        """What the line console answers to one command.

        The console marks no end of an answer, so a command it surely does not know is sent behind it.
        """
        assert self.console is not None, "this engine has no console"
        end = b"command not found\n"
        with socket.socket(self.console.family, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout_s)
            sock.connect(self.console.sockaddr())
            sock.sendall(line.encode() + b"\nno-such-command\n")
            answer = b""
            while not answer.endswith(end):
                data = sock.recv(65536)
                assert data, f"the console closed after {answer!r}"
                answer += data
        return answer.removesuffix(end).decode()

    def _path(self, stream: str) -> Path:
        return self.directory / f"{stream}.{self._starts}"

    def _read(self, stream: str) -> str:
        path = self._path(stream)
        return path.read_text(errors="replace") if path.exists() else ""


def create_data_directory(directory: Path) -> None:
    """`matchengine init`. Raises: AssertionError with what it said if it fails."""
    command = [sys.executable, "-m", "matchengine", "init", "--data-dir", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=READY_TIMEOUT_S, check=False)
    assert done.returncode == 0, f"init ended with {done.returncode}\n{done.stdout}{done.stderr}"


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Poll until `condition` holds. Raises: AssertionError naming `what` was waited for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for: {what}"
        time.sleep(0.01)


def _die_with_the_tests() -> None:
    """Runs in the forked child: a test run that is killed leaves no engine behind."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
