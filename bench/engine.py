"""An engine to measure: a real process on a fresh data directory, and what the system says about it.

Started with `python -m matchengine`, in the foreground without watchdog, so its process id is the
worker's. The caller owns the directory; leaving the context always ends the process.
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal

import msgspec

from vxutils.process import die_with_parent

Durability = Literal["group", "interval", "off"]
WireStyle = Literal["plain", "viabtc"]

READY_DEADLINE_S = 30
STOP_DEADLINE_S = 60
CONSOLE_DEADLINE_S = 5

# The market of the load: scales of the C system when it was measured (tests/conformance/vectors/config.json).
# The market of the replay: whole shares, cents.
_SETTINGS = """\
wire_style = "{wire_style}"

[log]
flag = ["fatal", "error", "warn"]

[svr]
bind = ["tcp@127.0.0.1:0"]

[cli]
address = "tcp@127.0.0.1:0"

[monitor]
address = ""

[journal]
durability = "{durability}"

[[asset]]
name = "BTC"
prec_save = 12
prec_show = 8

[[asset]]
name = "BCH"
prec_save = 20
prec_show = 8

[[asset]]
name = "SHARE"
prec_save = 4

[[asset]]
name = "USD"
prec_save = 6

[[market]]
name = "BTCBCH"
stock = "BTC"
stock_prec = 8
money = "BCH"
money_prec = 8
min_amount = "0.001"

[[market]]
name = "SHAREUSD"
stock = "SHARE"
stock_prec = 0
money = "USD"
money_prec = 2
min_amount = "1"
"""

_READY = re.compile(r"^matchengine ready: .*?tcp@(?P<host>[\d.]+):(?P<port>\d+)")
_CONSOLE = re.compile(r" cli tcp@(?P<host>[\d.]+):(?P<port>\d+)")
_LONGEST_TURN = re.compile(r"^longest turn us: (\d+)", re.MULTILINE)


class EngineError(Exception):
    """The engine did not start or did not stop in order; the text holds what it wrote."""


class ProcessFacts(msgspec.Struct, frozen=True):
    """Memory in use and processor time so far (user and system) of one process."""

    resident_bytes: int
    processor_s: float


def process_facts(pid: int) -> ProcessFacts:
    """What /proc says about process `pid`; zeros for pid 0 (nobody told). Raises: OSError if it is gone."""
    if not pid:
        return ProcessFacts(0, 0.0)
    resident_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(after_name[11]) + int(after_name[12])
    return ProcessFacts(resident_pages * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK"))


class Engine:
    """A running engine; `with Engine(...) as engine:` starts and stops it."""

    def __init__(
        self, directory: Path, durability: Durability = "group", wire_style: WireStyle = "plain"
    ) -> None:
        self._data = directory / "data"
        self._errors = directory / "stderr.txt"
        self._settings = directory / "matchengine.toml"
        self._settings.write_text(_SETTINGS.format(durability=durability, wire_style=wire_style))
        self._process: subprocess.Popen[bytes] | None = None
        self._console: tuple[str, int] | None = None
        self.host = ""
        self.port = 0

    def __enter__(self) -> Engine:
        try:
            self._start()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._stop()
            return
        code = self._process.poll() if self._process else None
        self._kill()
        said = self._errors.read_text()
        if isinstance(error, Exception) and (said or code is not None):
            state = "was running" if code is None else f"had ended with {code}"
            raise EngineError(f"{error}; the engine {state} and said: {said or 'nothing'}") from error

    @property
    def pid(self) -> int:
        assert self._process is not None, "only a started engine has a process"
        return self._process.pid

    @property
    def address(self) -> str:
        """ip:port of the raw RPC."""
        return f"{self.host}:{self.port}"

    def journal_bytes(self) -> int:
        """Bytes of all files in the data directory, prepared segments included."""
        return sum(path.stat().st_size for path in self._data.rglob("*") if path.is_file())

    def longest_turn_us(self) -> int | None:
        """The longest single turn since the start, or None when the console does not offer it."""
        if self._console is None:
            return None
        with socket.create_connection(self._console, timeout=CONSOLE_DEADLINE_S) as connected:
            connected.sendall(b"status\n")
            connected.shutdown(socket.SHUT_WR)
            text = b""
            while b"longest turn us:" not in text or not text.endswith(b"\n"):
                try:
                    received = connected.recv(65_536)
                except TimeoutError:
                    break
                if not received:
                    break
                text += received
        found = _LONGEST_TURN.search(text.decode(errors="replace"))
        return int(found[1]) if found else None

    def _start(self) -> None:
        command = [sys.executable, "-m", "matchengine"]
        data = ["--data-dir", str(self._data)]
        made = subprocess.run(
            [*command, "init", *data], capture_output=True, text=True, timeout=READY_DEADLINE_S
        )
        if made.returncode:
            raise EngineError(f"init ended with {made.returncode}: {made.stdout}{made.stderr}")
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [*command, "run", str(self._settings), *data],
                stdout=subprocess.PIPE,
                stderr=errors,
                preexec_fn=partial(die_with_parent, os.getpid()),  # no orphan when the bench is killed
            )
        line = self._ready_line(self._process)
        ready = _READY.search(line)
        if ready is None:
            raise EngineError(f"no tcp address in the ready line: {line!r}")
        self.host, self.port = ready["host"], int(ready["port"])
        console = _CONSOLE.search(line)
        self._console = (console["host"], int(console["port"])) if console else None

    def _ready_line(self, process: subprocess.Popen[bytes]) -> str:
        assert process.stdout is not None
        deadline = time.monotonic() + READY_DEADLINE_S
        written = b""
        while time.monotonic() < deadline:
            if not select.select([process.stdout], [], [], 0.2)[0]:
                continue
            received = os.read(process.stdout.fileno(), 65_536)
            written += received
            for line in written.decode(errors="replace").splitlines(keepends=True):
                if line.startswith("matchengine ready:") and line.endswith("\n"):
                    return line
            if not received:
                break
        raise EngineError(f"the engine did not get ready: {written.decode()}{self._errors.read_text()}")

    def _stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            code = None
        self._kill()
        if code != 0:
            raise EngineError(f"the engine stopped with {code}: {self._errors.read_text()}")

    def _kill(self) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
