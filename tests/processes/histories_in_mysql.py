"""An engine whose history goes to MySQL and whose messages stay here: settings, processes, what it wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.processes.recorders import RecorderProcess
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess
from tests.vxutils.store.mysql.databases import Pair
from vxutils.store.mysql.settings import MysqlSettings


def section(name: str, database: MysqlSettings) -> str:
    """A section of a settings file."""
    values = {"host": database.host, "user": database.user, "password": database.password}
    lines = [f'{key} = "{value}"' for key, value in {**values, "name": database.name}.items()]
    lines += [f"port = {database.port}", f"timeout_s = {database.timeout_s}", "connect_timeout_s = 1"]
    return "\n".join(["", f"[{name}]", *lines, ""])


def mysql_config(pair: Pair, brokers: str = "", slice_interval_s: int = 0, **changed: Any) -> str:
    """Settings of an engine on both databases; without slices there, unless they are wanted."""
    text = toml_config(**changed).replace(
        "[recorder]\n", '[recorder]\nmessages_monitor_address = "tcp@127.0.0.1:0"\n'
    )
    text += f'\n[history]\nstore = "mysql"\nslice_interval_s = {slice_interval_s}\n'
    text += section("mysql.log", pair.log)
    text += section("mysql.history", pair.history)
    return text + (f'\n[kafka]\nbrokers = "{brokers}"\n' if brokers else "")


class Exchange:
    """The engine and both recorders."""

    def __init__(self, directory: Path, config: str) -> None:
        self.engine = EngineProcess(directory, config, embedded=False)
        place = (directory, self.engine.config_path, self.engine.data_dir)
        self.history = RecorderProcess(*place)
        self.messages = RecorderProcess(*place, sink="messages")

    def stop(self) -> None:
        """The engine first, so that the recorders have it all."""
        assert self.engine.terminate() == 0, self.engine.output
        for recorder in (self.history, self.messages):
            assert recorder.terminate() == 0, recorder.output


@contextmanager
def exchange(directory: Path, config: str) -> Iterator[Exchange]:
    """All three, started; always ended."""
    made = Exchange(directory, config)
    with made.engine, made.history, made.messages:
        yield made
