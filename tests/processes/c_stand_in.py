"""What stands in for a running C system, which is not on this machine.

    engine     ours, with a `config.json` and so in the C system's style: the same RPC, byte for byte
    tables     written by our recorder: the C system's schema, operation log and history
    slices     written by the recorder's own function, when the console is asked for one
    console    served here: the text of protocol.md 10.5, literally, with the engine's counters in it

Owns the processes and the console's thread. `stop` ends all of them as the end of a C engine would look from
outside, and takes away from the tables what only ours have.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from matchengine import offline, slices
from matchengine.recorder.c_slices import SliceOrder, put_slice
from matchengine.system import read_system
from tests.processes.recorders import RecorderProcess
from tests.support.configs import c_config
from tests.support.processes import EngineProcess, wait_until
from tests.vxutils.store.mysql.databases import Pair
from vxnet.address import Address
from vxutils.disk import Disk
from vxutils.store.mysql.settings import MysqlSettings

SLICE_TIMEOUT_S = 20.0
STATUS = """order last ID: {}
deals last ID: {}
operlog last ID: {}
operlog pending: {}
history pending {}
message deals pending: {}
message orders pending: {}
message balances pending: {}
"""


def section(database: MysqlSettings, user: str = "", password: str = "") -> dict[str, Any]:
    """A database in a `config.json`."""
    return {
        "host": database.host,
        "port": database.port,
        "user": user or database.user,
        "pass": password if user else database.password,
        "name": database.name,
    }


def config_of(pair: Pair, user: str = "", password: str = "", **changed: Any) -> dict[str, Any]:
    """The `config.json` of the C system whose databases these are; slices come when they are asked for."""
    databases = {
        "db_log": section(pair.log, user, password),
        "db_history": section(pair.history, user, password),
    }
    return c_config(**({"slice_interval": 0} | databases | changed))


class CStandIn:
    """A context manager: started on entry, ended at the end."""

    def __init__(self, directory: Path, pair: Pair) -> None:
        self.directory = directory
        self.pair = pair
        self.pending = [0, 0, 0, 0, 0]
        """What the console says is pending: operlog, history, deals, orders, balances."""
        self.after_status = ""
        """What it says after the eight lines; nothing, as the C system."""
        self.engine = EngineProcess(directory, config_of(pair), embedded=False)
        self.recorder = RecorderProcess(directory, self.engine.config_path, self.engine.data_dir)
        self._console = _Console(self.say)

    def __enter__(self) -> CStandIn:
        with ExitStack() as undo:
            undo.callback(self.end)
            self.engine.start()
            self.recorder.start()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Ends everything at once."""
        self._console.close()
        self.engine.end()
        self.recorder.end()

    @property
    def addresses(self) -> list[str]:
        """The words by which the commands find it."""
        return ["--engine", str(self.engine.address("tcp")), "--console", str(self._console.address)]

    def say(self, command: str) -> str:
        """What the console answers."""
        if command == "status":
            counters = [
                line.rpartition(" ")[2] for line in self.engine.ask_console("status").splitlines()[:3]
            ]
            return STATUS.format(*counters, *self.pending) + self.after_status
        if command == "makeslice":
            threading.Thread(target=self.make_slice, daemon=True).start()
            return "OK\n"
        return "command not found\n"

    def make_slice(self) -> None:
        """A slice of what is there now, in the databases; there is at most one of each second."""
        disk, data = Disk(), self.engine.data_dir
        order = SliceOrder(log=self.pair.log, interval_s=1, keep_s=86_400)

        def is_put() -> bool:
            offline.make_slice(disk, data, data / "journal")
            good, _ = slices.newest_good_slice(disk, data / "slices", read_system(disk, data).id_bytes, None)
            return good is not None and put_slice(disk, good, order)

        wait_until(is_put, "a slice in the databases", SLICE_TIMEOUT_S)

    def write_config(self, name: str, config: dict[str, Any]) -> Path:
        """A settings file for the commands."""
        path = self.directory / name
        path.write_text(json.dumps(config))
        return path

    def stop(self) -> None:
        """Ends it in order, everything written. Nothing in the tables says any more that they were ours."""
        assert self.engine.terminate() == 0, self.engine.output
        assert self.recorder.terminate() == 0, self.recorder.output
        for kind in ("log", "history"):
            self.pair.run(kind, "DELETE FROM vx_position", "DELETE FROM vx_about")  # type: ignore[arg-type]
        self._console.close()


class _Console:
    """Lines in, text out, on a port of its own."""

    def __init__(self, say: Callable[[str], str]) -> None:
        class Lines(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    self.wfile.write(say(line.decode().strip()).encode())

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Lines)
        self._server.daemon_threads = True
        self.address = Address(kind="tcp", host="127.0.0.1", port=self._server.server_address[1])
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
