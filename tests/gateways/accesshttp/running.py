"""The real accesshttp, all its processes, and a client that shows every byte.

    with EngineProcess(...) as engine, Gateway(tmp_path, toml_gateway(engine.address())) as gateway:
        with gateway.connect() as client:
            client.call("asset.list", [])

`Gateway` owns the process it started (parent of listener and workers, which die with it) and its directory.
`HttpClient` is one connection; it repeats nothing and hides nothing.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.support.processes import wait_until
from vxnet.address import Address, parse_address

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
REPLY_TIMEOUT_S = 30.0
NOWHERE = "tcp@127.0.0.1:1"  # nobody listens there, and nobody can without being root
ROOT = Path(__file__).parents[3]


def c_gateway(
    engine: Address | str, *, worker_num: int = 1, timeout: float = 1.0, **changed: object
) -> dict[str, Any]:
    """A `config.json` as an operator of the C system has it, for this engine."""

    def client(name: str, address: Address | str) -> dict[str, Any]:
        return {"name": name, "addr": str(address), "max_pkg_size": 2_000_000}

    return {
        "debug": False,
        "process": {"file_limit": 0, "core_limit": 0},
        "log": {"path": "", "flag": "fatal,error,warn,info,notice", "num": 1},
        "alert": {"host": "test", "addr": ""},
        "svr": {"bind": ["tcp@127.0.0.1:0"], "max_pkg_size": 102_400},
        "monitor": {"bind": ["tcp@127.0.0.1:0"], "max_pkg_size": 1024},
        "matchengine": client("matchengine", engine),
        "marketprice": client("marketprice", NOWHERE),
        "readhistory": client("readhistory", NOWHERE),
        "worker_num": worker_num,
        "timeout": timeout,
        **changed,
    }


def toml_gateway(
    engine: Address | str,
    *,
    listener: str = 'bind = ["tcp@127.0.0.1:0"]',
    worker_num: int = 1,
    top: str = "",
    sections: str = "",
) -> str:
    """TOML for this engine; the other backends are not in use. `listener` is the text of its table."""
    return f"""
worker_num = {worker_num}
{top}
{sections}
[[listener]]
{listener}
[monitor]
address = "tcp@127.0.0.1:0"
[matchengine]
address = ["{engine}"]
reconnect_timeout_s = 0.1
[marketprice]
address = []
[readhistory]
address = []
"""


class Answer(NamedTuple):
    """One HTTP answer; header names as they were sent."""

    status_line: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def status(self) -> int:
        return int(self.status_line.split()[1])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Closed(Exception):
    """The server closed the connection instead of (the rest of) an answer."""


def post(
    method: str, params: Sequence[Any], request_id: int = 1, headers: Sequence[str] = (), **members: Any
) -> bytes:
    """The bytes of one request."""
    body = json.dumps({"id": request_id, "method": method, "params": list(params), **members}).encode()
    head = ["POST / HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class HttpClient:
    """One connection to an address. A context manager."""

    def __init__(self, address: Address, timeout_s: float = REPLY_TIMEOUT_S) -> None:
        self.socket = socket.socket(address.family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout_s)
        self.socket.connect(address.sockaddr())
        self._received = b""

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except ConnectionError as error:
            raise Closed(str(error)) from None

    def call(self, method: str, params: Sequence[Any], request_id: int = 1, **members: Any) -> Answer:
        """Send one request and wait for its answer. Raises: Closed, TimeoutError."""
        self.send(post(method, params, request_id, **members))
        return self.receive()

    def receive(self) -> Answer:
        """The next answer. Raises: Closed, TimeoutError."""
        while b"\r\n\r\n" not in self._received:
            self._read()
        head, _, rest = self._received.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        answer = Answer(status_line, headers, b"")
        size = int(answer.header("content-length") or 0)
        self._received = rest
        while len(self._received) < size:
            self._read()
        body, self._received = self._received[:size], self._received[size:]
        return answer._replace(body=body)

    def is_closed_by_server(self) -> bool:
        """Waits for the end of the connection; False if something else comes. Raises: TimeoutError."""
        try:
            self._read()
        except Closed:
            return True
        return False

    def _read(self) -> None:
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError as error:
            raise Closed(str(error)) from None
        if not data:
            raise Closed("end of connection")
        self._received += data


class Gateway:
    """One gateway on a data directory, its own unless given; started on entry, ended on exit."""

    NAME = "accesshttp"

    def __init__(
        self,
        directory: Path,
        config: dict[str, Any] | str,
        *,
        arguments: Sequence[str] = (),
        data_dir: Path | None = None,
    ) -> None:
        self.directory = directory
        self.data_dir = data_dir or directory / "gateway"
        self.config_path = directory / ("gateway.toml" if isinstance(config, str) else "gateway.json")
        self.config_path.write_text(config if isinstance(config, str) else json.dumps(config))
        self.addresses: list[Address] = []
        self.monitor: Address | None = None
        self._arguments = list(arguments)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(self.output)
        self.end()

    # -- life ----------------------------------------------------------------------------------

    def launch(self, *words: str) -> None:
        """Start with these words (default: `run`) without waiting."""
        role = list(words or ("run",))
        command = [sys.executable, "-m", f"gateways.{self.NAME}", role[0], str(self.config_path)]
        command += ["--data-dir", str(self.data_dir), *role[1:], *self._arguments]
        with self._path("stdout").open("wb") as stdout, self._path("stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [*command, "--parent-pid", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=ROOT,
                start_new_session=True,
            )

    def start(self) -> Self:
        """Start the whole gateway; ready when all workers have come to the listener."""
        self.launch()
        try:
            wait_until(self._is_ready, "the gateway to be ready", READY_TIMEOUT_S)
        except BaseException as error:
            error.add_note(self.output)
            self.end()
            raise
        return self

    def terminate(self) -> int:
        """Ask it to stop; the exit status."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """The exit status once it has ended."""
        assert self._process is not None
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end within {timeout_s} s\n{self.output}") from None

    def end(self) -> None:
        """End what was started; the kernel ends its children. Repeating does nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"ended with {self._process.returncode}\n{self.output}"
        if not self.listener_starts:
            return False
        served, _, monitor = self._ready_lines()[-1].partition(" monitor ")
        self.addresses = [parse_address(word) for word in served.split()]
        self.monitor = parse_address(monitor.strip()) if monitor else None
        return self.monitor is None or self.workers_are_here()

    def workers_are_here(self) -> bool:
        """Whether the listener sees all workers."""
        try:
            facts = self.health()["facts"]
        except OSError:
            return False
        return bool(facts["workers"] == facts["workers_wanted"])

    def follow(self) -> None:
        """Wait until a restarted listener and all workers are ready, and take the new addresses."""
        wait_until(self._is_ready, "the gateway to be ready again", READY_TIMEOUT_S)

    @property
    def listener_starts(self) -> int:
        """How many listeners have announced themselves."""
        return len(self._ready_lines())

    def _ready_lines(self) -> list[str]:
        start = f"{self.NAME} listener ready: "
        lines = self.stdout.splitlines(keepends=True)
        return [line.removeprefix(start) for line in lines if line.startswith(start) and line.endswith("\n")]

    # -- facts ---------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def pid_of(self, role: str) -> int:
        """The process of a role (`listener`, `worker_0`), found by what `ps` shows. 0 if there is none."""
        for watchdog in children(self.pid):
            for process in children(watchdog):
                if title(process) == f"{self.NAME}_{role}":
                    return process
        return 0

    def watchdog_of(self, role: str) -> int:
        """The watchdog of a role."""
        return next(pid for pid in children(self.pid) if title(pid) == f"{self.NAME}_{role} watchdog")

    @property
    def stdout(self) -> str:
        return self._path("stdout").read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return self._path("stderr").read_text(errors="replace")

    @property
    def output(self) -> str:
        return f"--- stdout\n{self.stdout[-4000:]}\n--- stderr\n{self.stderr[-8000:]}"

    def _path(self, stream: str) -> Path:
        return self.directory / f"gateway.{stream}"

    # -- doors ---------------------------------------------------------------------------------

    def connect(self, index: int = 0, timeout_s: float = REPLY_TIMEOUT_S) -> HttpClient:
        """A connection to one of the addresses."""
        return HttpClient(self.addresses[index], timeout_s)

    def health(self) -> Any:
        return json.loads(self._get("/health"))

    def metrics(self) -> dict[str, float]:
        """Every series as `name{labels}` and its value."""
        lines = [line for line in self._get("/metrics").splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def _get(self, path: str) -> str:
        assert self.monitor is not None
        url = f"http://{str(self.monitor).partition('@')[2]}{path}"
        try:
            with urllib.request.urlopen(url, timeout=REPLY_TIMEOUT_S) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()


def children(pid: int) -> list[int]:
    """Pids of the processes that this one forked and that are alive."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def title(pid: int) -> str:
    """What `ps` shows of a process; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
    except OSError:
        return ""


def wait_for_end_of(pid: int) -> None:
    """Waits until the process is gone."""
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)
