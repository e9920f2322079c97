"""`vx up`: the whole exchange in the foreground, from the settings to the last process stopped.

    settings -> data directory -> engine -> ready -> accesshttp -> ready: demo users, addresses -> ... -> stop

What `make run` runs. Each process is under its own watchdog, which replaces a dead worker; we replace a dead
watchdog. Should we be killed, the kernel kills them, so that nothing is left behind in any case.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Final

from gateways.cli import demo
from gateways.cli.call import DEFAULT_ADDRESS
from gateways.cli.effective import EffectiveSettings, Setting, effective_settings
from gateways.cli.home import Home, log_path
from gateways.cli.output import complain, show
from gateways.cli.processes import Launch, WatchedProcess
from gateways.cli.programs import ACCESSHTTP, ENGINE, Program, command_line
from gateways.cli.running import running_text
from gateways.cli.supervisor import POLICY, SignalPipe, Supervisor
from gateways.cli.terminal import OwnForeground
from vxnet.address import Address
from vxutils.exits import ExitCode, ProcessExit

DEFAULT_DIRECTORY: Final = "vx-data"
WORKERS_MAX: Final = 64
FIRST_CALL: Final = """'{"id": 1, "method": "balance.query", "params": [1]}'"""


def up(options: argparse.Namespace) -> int:
    """`vx up`. Raises: ProcessExit with a sentence; OSError."""
    signals = SignalPipe()  # first: a Ctrl-C from here on is an orderly stop
    directory = options.data_dir or Path(DEFAULT_DIRECTORY)
    with_engine = _Settings(ENGINE, options.config, options.port_offset, directory)
    with_http = _Settings(ACCESSHTTP, options.accesshttp_config, options.port_offset, directory)
    for settings in (with_engine, with_http):
        settings.read({})  # what is wrong with a file is said before anything is started
    with OwnForeground(), Home(directory, may_be_made=options.data_dir is None) as home:
        if home.is_new:
            show(f"made a new exchange in {directory}")
        code, sentence = _Exchange(home, with_engine, with_http, options).run(signals)
    signals.ignore_from_now()
    if code is not ExitCode.OK:
        raise ProcessExit(code, sentence)
    return code


class _Settings:
    """The settings file of one program, given by the person (`path`) or the packaged one."""

    def __init__(self, program: Program, path: Path | None, port_offset: int, directory: Path) -> None:
        self.program = program
        self._path = path
        self._port_offset = port_offset
        self._log_path = log_path(directory, program.name)
        self._is_read = False

    def read(self, implied: dict[Setting, object]) -> EffectiveSettings:
        """Raises: ProcessExit."""
        settings = effective_settings(self.program, self._path, self._port_offset, self._log_path, implied)
        for warning in () if self._is_read else settings.warnings:
            complain(f"vx: {self._path}: {warning}")
        self._is_read = True
        return settings

    @property
    def shown(self) -> str:
        return str(self._path) if self._path is not None else f"the default settings of {self.program.name}"


class _Exchange:
    """The processes of one exchange and how each of them is started."""

    def __init__(
        self, home: Home, engine: _Settings, accesshttp: _Settings, options: argparse.Namespace
    ) -> None:
        self._home = home
        self._engine_settings = engine
        self._http_settings = accesshttp
        self._engine_words = ["--embedded"] if options.embedded else []
        self._http_words = ["--allow-open-bind"] if options.allow_open_bind else []
        self._engine = WatchedProcess(ENGINE.name, self._launch_engine, POLICY)
        self._accesshttp = WatchedProcess(ACCESSHTTP.name, self._launch_accesshttp, POLICY)
        self._processes = [self._engine, self._accesshttp]
        self._is_welcomed = False

    def run(self, signals: SignalPipe) -> tuple[ExitCode, str]:
        """Until the last process has stopped; the exit code and what to tell the person."""
        return Supervisor(self._processes, signals, self._note_change).run()

    def _launch_engine(self) -> Launch:
        settings = self._engine_settings.read({})
        words = ["--watchdog", *self._engine_words]
        return self._launch(self._engine_settings, settings, words, [ENGINE.name])

    def _launch_accesshttp(self) -> Launch:
        settings = self._http_settings.read(self._implied_by_neighbours())
        number = settings.table.get("worker_num", 1)
        workers = range(number if isinstance(number, int) and 0 < number <= WORKERS_MAX else 1)
        announces = [f"{ACCESSHTTP.name} listener", *(f"{ACCESSHTTP.name} worker {i}" for i in workers)]
        return self._launch(self._http_settings, settings, self._http_words, announces)

    def _launch(
        self, given: _Settings, settings: EffectiveSettings, words: list[str], announces: list[str]
    ) -> Launch:
        name = given.program.name
        written = self._home.write_settings(f"{name}.{'json' if settings.is_c else 'toml'}", settings.text)
        line: list[str | Path] = ["run", written, "--data-dir", self._home.directory, *words, "--parent-pid"]
        return Launch(
            command_line(given.program, line),
            announces,
            Path(f"{settings.log_path}.log"),
            shown_instead=(str(written), given.shown),
        )

    def _implied_by_neighbours(self) -> dict[Setting, object]:
        """What the gateway must know about what runs beside it, unless its own file says so."""
        settings = self._engine_settings.read({})
        implied: dict[Setting, object] = {
            ("wire_style",): "viabtc" if settings.is_c else settings.table.get("wire_style", "plain"),
            ("matchengine", "address"): [str(self._door())],
            ("marketprice", "address"): [],  # nobody starts them, so nobody waits for them
            ("readhistory", "address"): [],
        }
        server = settings.table.get("svr")
        size_bytes = server.get("max_pkg_size") if isinstance(server, dict) else None
        if size_bytes is not None:
            implied["matchengine", "request_size_bytes_max"] = size_bytes
        return implied

    def _door(self) -> Address:
        """Where requests to the engine go: a connection if it takes any."""
        serves = self._engine.places.serves
        return next((address for address in serves if not address.is_datagram), serves[0])

    def _note_change(self) -> None:
        self._home.write_running(running_text(self._processes))
        if not self._is_welcomed and all(process.is_ready for process in self._processes):
            self._is_welcomed = True
            self._welcome()

    def _welcome(self) -> None:
        """Everything is ready: what there is, where it is, and what to do first."""
        door = self._door()
        if self._home.demo_users_are_due:
            try:
                show(demo.credit(door))
                self._home.demo_users_are_done()
            except demo.CreditFailed as error:
                complain(f"vx: {error}; the next start tries again")
        show(f"data: {self._home.directory}   logs: {self._home.directory / 'log'}")
        for process in self._processes:
            places = process.places
            console = f"   console: {places.console}" if places.console else ""
            monitor = f"   monitor: {places.monitor}" if places.monitor else ""
            show(f"{process.name}: {' '.join(map(str, places.serves))}{console}{monitor}")
        elsewhere = "" if str(door) == DEFAULT_ADDRESS else f" --address {door}"
        show(f"try, in another terminal: {_program()} call balance.query 1{elsewhere}")
        http = next((one for one in self._accesshttp.places.serves if one.kind == "tcp"), None)
        if http is not None:
            url = str(http).replace("tcp@", "http://")
            show(f"or over HTTP:             curl -sd {FIRST_CALL} {url}")
        show("Ctrl-C stops everything")


def _program() -> str:
    """How the person calls us: `vx`, or with the directory if that is not on the path."""
    name = Path(sys.argv[0])
    found = shutil.which("vx")
    if found is not None and Path(found).resolve() == name.resolve():
        return "vx"
    return f"{sys.executable} -m gateways.cli" if name.name == "__main__.py" else str(name)
