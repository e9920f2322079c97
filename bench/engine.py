"""An engine to measure: a real process on a data directory, and what the system says about it.

Started with `python -m matchengine`, see `process`. The caller owns the directory; leaving the context
always ends the process. In between it may be stopped or killed and started again on the same data.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Literal

from bench.process import READY_DEADLINE_S, Progress, Service, ServiceError

Durability = Literal["group", "interval", "off"]
WireStyle = Literal["plain", "viabtc"]

CONSOLE_DEADLINE_S = 5
SLICE_RECORDS = 1_000_000  # as the engine's own default

_SETTINGS = """\
wire_style = "{wire_style}"
slice_records = {slice_records}

[log]
flag = ["fatal", "error", "warn"]

[alert]
address = ""

[svr]
bind = ["tcp@127.0.0.1:0"]

[cli]
address = "tcp@127.0.0.1:0"

[monitor]
address = ""

[journal]
durability = "{durability}"

[recorder]
monitor_address = ""
messages_monitor_address = ""
archive = {archive}
slice_minutes = 0

{rules}
{stores}"""

# The market of the load: scales of the C system when it was measured (tests/conformance/vectors/config.json).
# The market of the replay: whole shares, cents.
_RULES = """\
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

_READY = re.compile(r"tcp@(?P<host>[\d.]+):(?P<port>\d+)")
_CONSOLE = re.compile(r" cli tcp@(?P<host>[\d.]+):(?P<port>\d+)")
_STATUS_END = b"longest turn us:"


class Engine:
    """A running engine; `with Engine(...) as engine:` starts and stops it.

    `rules` are assets and markets, `stores` where history and messages go, as TOML. What is in `data` from an
    earlier one is gone on with.
    """

    def __init__(
        self,
        directory: Path,
        durability: Durability = "group",
        wire_style: WireStyle = "plain",
        *,
        rules: str = _RULES,
        stores: str = "",
        slice_records: int = SLICE_RECORDS,
        archive: bool = True,
    ) -> None:
        self.data = directory / "data"
        self.settings = directory / "matchengine.toml"
        self.settings.write_text(
            _SETTINGS.format(
                durability=durability,
                wire_style=wire_style,
                rules=rules,
                stores=stores,
                slice_records=slice_records,
                archive=str(archive).lower(),
            )
        )
        words = ["matchengine", "run", str(self.settings), "--data-dir", str(self.data)]
        self._service = Service("matchengine", words, directory)
        self._console: tuple[str, int] | None = None
        self.host = ""
        self.port = 0

    def __enter__(self) -> Engine:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        service = self._service
        if kind is None:
            if service.is_started:
                service.stop()
            return
        code, said = service.exit_code, service.said
        service.kill()
        if isinstance(error, Exception) and (said or code is not None):
            state = "was running" if code is None else f"had ended with {code}"
            raise ServiceError(f"{error}; the engine {state} and said: {said or 'nothing'}") from error

    @property
    def pid(self) -> int:
        return self._service.pid

    @property
    def ready_s(self) -> float:
        """How long the latest start took until the ready line."""
        return self._service.ready_s

    @property
    def address(self) -> str:
        """ip:port of the raw RPC."""
        return f"{self.host}:{self.port}"

    def start(self, deadline_s: float = READY_DEADLINE_S, progress: Progress | None = None) -> None:
        """Starts it, on a new data directory if there is none yet. Raises: ServiceError."""
        if not self.data.exists():
            self._init()
        line = self._service.start(deadline_s, progress)
        ready = _READY.search(line)
        if ready is None:
            self._service.kill()
            raise ServiceError(f"no tcp address in the ready line: {line!r}")
        self.host, self.port = ready["host"], int(ready["port"])
        console = _CONSOLE.search(line)
        self._console = (console["host"], int(console["port"])) if console else None

    def stop(self) -> None:
        """In order, with a slice of everything. Raises: ServiceError."""
        self._service.stop()

    def kill(self) -> None:
        """kill -9."""
        self._service.kill()

    def data_bytes(self) -> int:
        """Bytes of all files in the data directory, prepared segments included."""
        return sum(path.stat().st_size for path in self.data.rglob("*") if path.is_file())

    def longest_turn_us(self) -> int | None:
        """The longest single turn since the start, or None when the console does not offer it."""
        return self.status().get("longest turn us")

    def status(self) -> dict[str, int]:
        """The numbers of the console's `status`, empty when the engine has no console."""
        if self._console is None:
            return {}
        with socket.create_connection(self._console, timeout=CONSOLE_DEADLINE_S) as connected:
            connected.sendall(b"status\n")
            connected.shutdown(socket.SHUT_WR)
            text = b""
            while _STATUS_END not in text or not text.endswith(b"\n"):
                try:
                    received = connected.recv(65_536)
                except TimeoutError:
                    break
                if not received:
                    break
                text += received
        pairs = (line.rpartition(" ") for line in text.decode(errors="replace").splitlines())
        return {name.rstrip(":"): int(number) for name, _, number in pairs if number.isdecimal()}

    def _init(self) -> None:
        command = [sys.executable, "-m", "matchengine", "init", "--data-dir", str(self.data)]
        made = subprocess.run(command, capture_output=True, text=True, timeout=READY_DEADLINE_S)
        if made.returncode:
            raise ServiceError(f"init ended with {made.returncode}: {made.stdout}{made.stderr}")
