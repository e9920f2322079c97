"""`vx up`: the whole exchange in the foreground, from the settings to the last process stopped.

    settings -> data directory -> alertcenter -> recorder -> matchengine -> readhistory -> marketprice
             -> accesshttp -> accessws -> all ready: demo users, addresses -> ... -> stop, the last one first

What `make run` runs. Each process is under its own watchdog, which replaces a dead worker; we replace a dead
watchdog. Should we be killed, the kernel kills them, so that nothing is left behind in any case.
"""

from __future__ import annotations

import argparse
import functools
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateways.cli import demo_users
from gateways.cli.call import DEFAULT_ADDRESS
from gateways.cli.effective import EffectiveSettings, Setting, Table, effective_settings
from gateways.cli.engine_stores import EngineStores, engine_stores
from gateways.cli.gateway_urls import HTTP_URL, websocket_beside
from gateways.cli.home import Home, log_path
from gateways.cli.kept_ports import KeptPorts
from gateways.cli.output import complain, show
from gateways.cli.processes import Launch, WatchedProcess
from gateways.cli.programs import (
    ACCESSHTTP,
    ACCESSWS,
    ALERTCENTER,
    CONFIGURED,
    ENGINE,
    GATEWAYS,
    MARKETPRICE,
    PROGRAMS,
    PROGRAMS_OF_TWO_RECORDERS,
    READHISTORY,
    RECORDERS,
    Program,
    command_line,
)
from gateways.cli.running import running_text
from gateways.cli.supervisor import POLICY, SignalPipe, Supervisor
from gateways.cli.terminal import OwnForeground
from vxnet.address import Address
from vxutils.exits import ExitCode, ProcessExit

DEFAULT_DIRECTORY: Final = "vx-data"
WORKERS_MAX: Final = 64
FIRST_CALL: Final = """'{"id": 1, "method": "balance.query", "params": [1]}'"""

BACKENDS: Final = (ENGINE, MARKETPRICE, READHISTORY)
"""Whom the gateways ask."""


TOPICS_READ: Final[Mapping[Program, tuple[str, ...]]] = {
    MARKETPRICE: ("deals",),
    ACCESSWS: ("orders", "balances"),
}
"""Sections of those who take messages, each with the brokers it takes them from."""


def up(options: argparse.Namespace) -> int:
    """`vx up`. Raises: ProcessExit with a sentence; OSError."""
    signals = SignalPipe()  # first: a Ctrl-C from here on is an orderly stop
    directory = options.data_dir or Path(DEFAULT_DIRECTORY)
    given = {
        ENGINE: options.config,
        ALERTCENTER: options.alertcenter_config,
        READHISTORY: options.readhistory_config,
        MARKETPRICE: options.marketprice_config,
        ACCESSHTTP: options.accesshttp_config,
        ACCESSWS: options.accessws_config,
    }
    settings = {
        program: _Settings(program, given[program], options.port_offset, directory) for program in CONFIGURED
    }
    for one in settings.values():
        one.read({})  # what is wrong with a file is said before anything is started
    with OwnForeground(), Home(directory, may_be_made=options.data_dir is None) as home:
        if home.is_new:
            show(f"made a new exchange in {directory}")
        code, sentence = _Exchange(home, settings, options).run(signals)
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
        self._ports = KeptPorts()

    def read(self, implied: Mapping[Setting, object], alert_address: str = "") -> EffectiveSettings:
        """Raises: ProcessExit."""
        settings = effective_settings(
            self.program,
            self._path,
            self._port_offset,
            self._log_path,
            implied,
            alert_address,
            self._ports,
        )
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
        self, home: Home, settings: Mapping[Program, _Settings], options: argparse.Namespace
    ) -> None:
        self._home = home
        self._settings = settings
        self._embedded = ["--embedded"] if options.embedded else []
        self._open_bind = ["--allow-open-bind"] if options.allow_open_bind else []
        self._processes = {
            program: WatchedProcess(program.name, functools.partial(self._launch, program), POLICY)
            for program in (PROGRAMS_OF_TWO_RECORDERS if self._stores().has_two_recorders else PROGRAMS)
        }
        self._is_welcomed = False

    def run(self, signals: SignalPipe) -> tuple[ExitCode, str]:
        """Until the last process has stopped; the exit code and what to tell the person."""
        return Supervisor(list(self._processes.values()), signals, self._note_change).run()

    def _launch(self, program: Program) -> Launch:
        """Raises: ProcessExit, OSError."""
        given = self._settings[ENGINE if program in RECORDERS else program]
        alert_address = "" if program is ALERTCENTER else self._alert_address()
        settings = given.read(self._implied(program), alert_address)
        name = f"{given.program.name}.{'json' if settings.is_c else 'toml'}"
        written = self._home.write_settings(name, settings.text)
        words = [*program.words, *(self._open_bind if program in GATEWAYS else ["--watchdog"])]
        words += self._embedded
        line: list[str | Path] = ["run", written, "--data-dir", self._home.directory, *words, "--parent-pid"]
        # Two processes never share a log file: a recorder adds its name to that of the engine's.
        log = f"{settings.log_path}_{program.name}" if program in RECORDERS else settings.log_path
        return Launch(
            command_line(program, line),
            _announced(program, settings.table),
            Path(f"{log}.log"),
            shown_instead=(str(written), given.shown),
        )

    def _implied(self, program: Program) -> dict[Setting, object]:
        """What a process must know about those that run beside it, unless its own file says so."""
        if program not in (READHISTORY, MARKETPRICE, *GATEWAYS):
            return {}
        engine = self._settings[ENGINE].read({})
        implied: dict[Setting, object] = {
            ("wire_style",): "viabtc" if engine.is_c else engine.table.get("wire_style", "plain")
        }
        door = self._door(ENGINE)
        if program is MARKETPRICE and door.kind in ("tcp", "stream"):
            implied["market_source",] = str(door)
        stores = self._stores()
        if program is READHISTORY and stores.history is not None:
            implied |= {("history", "store"): "mysql", ("mysql", "history"): stores.history}
        if program is MARKETPRICE and stores.history is not None and stores.brokers:
            implied["mysql", "history"] = stores.history  # what the topic has lost is there
        for topic in TOPICS_READ.get(program, ()) if stores.brokers else ():
            implied[topic, "brokers"] = stores.brokers
            if stores.login:
                implied[topic, "login"] = stores.login
        for backend in BACKENDS if program in GATEWAYS else ():
            implied[backend.name, "address"] = [str(self._door(backend))]
            server = self._settings[backend].read({}).table.get("svr")
            size_bytes = server.get("max_pkg_size") if isinstance(server, dict) else None
            if size_bytes is not None:
                implied[backend.name, "request_size_bytes_max"] = size_bytes
        return implied

    def _stores(self) -> EngineStores:
        return engine_stores(self._settings[ENGINE].read({}), bool(self._embedded))

    def _alert_address(self) -> str:
        """Where fatal lines are sent, `ip:port`; empty if the alert centre takes no datagrams over IP."""
        serves = self._processes[ALERTCENTER].places.serves
        found = (str(address) for address in serves if address.kind == "udp")
        return next(found, "").removeprefix("udp@")

    def _door(self, program: Program) -> Address:
        """Where requests to a running process go: a connection if it takes any."""
        serves = self._processes[program].places.serves
        return next((address for address in serves if not address.is_datagram), serves[0])

    def _note_change(self) -> None:
        processes = list(self._processes.values())
        self._home.write_running(running_text(processes))
        if not self._is_welcomed and all(process.is_ready for process in processes):
            self._is_welcomed = True
            self._welcome()

    def _welcome(self) -> None:
        """Everything is ready: what there is, where it is, and what to do first."""
        door = self._door(ENGINE)
        if self._home.demo_users_are_due:
            try:
                show(demo_users.credit(door))
                self._home.demo_users_are_done()
            except demo_users.CreditFailed as error:
                complain(f"vx: {error}; the next start tries again")
        show(f"data: {self._home.directory}   logs: {self._home.directory / 'log'}")
        for process in self._processes.values():
            places = process.places
            if not places.serves:
                continue  # a recorder: nobody asks it anything
            console = f"   console: {places.console}" if places.console else ""
            monitor = f"   monitor: {places.monitor}" if places.monitor else ""
            show(f"{process.name}: {' '.join(map(str, places.serves))}{console}{monitor}")
        elsewhere = "" if str(door) == DEFAULT_ADDRESS else f" --address {door}"
        show(f"try, in another terminal: {_program()} call balance.query 1{elsewhere}")
        http = self._url(ACCESSHTTP, "http")
        if http:
            show(f"or over HTTP:             curl -sd {FIRST_CALL} {http}")
        websocket = self._url(ACCESSWS, "ws")
        if websocket:
            show(f"or a websocket:           {websocket}")
        if http and websocket and self._home.is_new:
            where = "" if http == HTTP_URL else f" --http {http}"
            where += "" if websocket == websocket_beside(http) else f" --websocket {websocket}"
            show(f"a live market:            {_program()} demo{where}")
        show("Ctrl-C stops everything")

    def _url(self, gateway: Program, scheme: str) -> str:
        """Where a running gateway takes connections over TCP, empty if it does not."""
        serves = self._processes[gateway].places.serves
        door = next((address for address in serves if address.kind == "tcp"), None)
        if door is None:
            return ""
        return str(door).replace("tcp@", f"{scheme}s://" if self._has_tls(gateway) else f"{scheme}://")

    def _has_tls(self, gateway: Program) -> bool:
        """Whether the first listener of a gateway, whose address is shown, speaks TLS."""
        listeners = self._settings[gateway].read({}).table.get("listener")
        first = listeners[0] if isinstance(listeners, list) and listeners else None
        return isinstance(first, dict) and bool(first.get("tls_certificate"))


def _announced(program: Program, table: Table) -> list[str]:
    """The names in the ready lines of a process with these settings."""
    if program not in GATEWAYS:
        return [program.name]
    number = table.get("worker_num", 1)
    workers = range(number if isinstance(number, int) and 0 < number <= WORKERS_MAX else 1)
    return [f"{program.name} listener", *(f"{program.name} worker {index}" for index in workers)]


def _program() -> str:
    """How the person calls us: `vx`, or with the directory if that is not on the path."""
    name = Path(sys.argv[0])
    found = shutil.which("vx")
    if found is not None and Path(found).resolve() == name.resolve():
        return "vx"
    return f"{sys.executable} -m gateways.cli" if name.name == "__main__.py" else str(name)
