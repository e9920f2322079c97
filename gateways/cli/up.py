"""`vx up`: the whole exchange in the foreground, from the settings to the last process stopped.

    settings -> data directory -> start each process -> ready: demo users, addresses -> ... -> stop all

What `make run` runs. Each process is under its own watchdog, which replaces a dead worker; we replace a dead
watchdog. Should we be killed, the kernel kills them, so that nothing is left behind in any case.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateways.cli import demo
from gateways.cli.call import DEFAULT_ADDRESS
from gateways.cli.effective import EffectiveSettings, effective_settings, packaged_settings
from gateways.cli.engine import engine_command
from gateways.cli.home import Home, log_path
from gateways.cli.output import complain, show
from gateways.cli.processes import WatchedProcess
from gateways.cli.supervisor import POLICY, SignalPipe, Supervisor
from gateways.cli.terminal import OwnForeground
from vxutils.exits import ExitCode, ProcessExit
from vxutils.settings import is_c_config

DEFAULT_DIRECTORY: Final = "vx-data"
ENGINE: Final = "matchengine"


def up(options: argparse.Namespace) -> int:
    """`vx up`. Raises: ProcessExit with a sentence; OSError."""
    signals = SignalPipe()  # first: a Ctrl-C from here on is an orderly stop
    directory = options.data_dir or Path(DEFAULT_DIRECTORY)
    defaults = packaged_settings(ENGINE)
    settings_path = options.config or defaults
    settings = effective_settings(settings_path, defaults, options.port_offset, log_path(directory, ENGINE))
    for warning in settings.warnings:
        complain(f"vx: {settings_path}: {warning}")
    with OwnForeground(), Home(directory, may_be_made=options.data_dir is None) as home:
        if home.is_new:
            show(f"made a new exchange in {directory}")
        engine = _engine(home, settings, settings_path, options.embedded)
        supervisor = Supervisor([engine], signals, lambda: _welcome(home, [engine], settings))
        code, sentence = supervisor.run()
    signals.ignore_from_now()
    if code is not ExitCode.OK:
        raise ProcessExit(code, sentence)
    return code


def _engine(home: Home, settings: EffectiveSettings, settings_path: Path, embedded: bool) -> WatchedProcess:
    name = f"{ENGINE}.json" if is_c_config(settings.text) else f"{ENGINE}.toml"
    written = home.write_settings(name, settings.text)
    words: list[str | Path] = ["run", written, "--data-dir", home.directory, "--watchdog"]
    words += ["--embedded", "--parent-pid"] if embedded else ["--parent-pid"]
    command = engine_command(words)
    log = Path(f"{settings.log_path}.log")
    return WatchedProcess(ENGINE, command, log, POLICY, shown_instead=(str(written), str(settings_path)))


def _welcome(home: Home, processes: Sequence[WatchedProcess], settings: EffectiveSettings) -> None:
    """Everything is ready: what there is, where it is, and what to do first."""
    engine = processes[0]
    if home.demo_users_are_due:
        try:
            show(demo.credit(engine.addresses[0]))
            home.demo_users_are_done()
        except demo.CreditFailed as error:
            complain(f"vx: {error}; the next start tries again")
    log = settings.log_path if ":" in settings.log_path else f"{settings.log_path}.log"
    show(f"data: {home.directory}   log: {log}")
    for process in processes:
        console = f"   console: {process.console}" if process.console else ""
        show(f"{process.name}: {' '.join(map(str, process.addresses))}{console}")
    address = str(engine.addresses[0])
    elsewhere = "" if address == DEFAULT_ADDRESS else f" --address {address}"
    show(f"try, in another terminal: {_program()} call balance.query 1{elsewhere}")
    show("Ctrl-C stops everything")


def _program() -> str:
    """How the person calls us: `vx`, or with the directory if that is not on the path."""
    name = Path(sys.argv[0])
    found = shutil.which("vx")
    if found is not None and Path(found).resolve() == name.resolve():
        return "vx"
    return f"{sys.executable} -m gateways.cli" if name.name == "__main__.py" else str(name)
