"""A gateway as processes: the listener, a worker, or all of them under one parent.

    settings, secrets -> directories -> (background) -> lock -> log -> role or group

Each role can run alone in the foreground, for supervisord; `run` is the whole gateway. What a role does is in
`listener` and in the worker of each gateway; `Gateway` says what is particular to one.

Source: protocol.md 8.1, 10.6.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Generic, Literal, Protocol, TypeVar

import msgspec

from gateways.common import startup
from gateways.common.group import Member, run_group
from vxutils.entry import CommonSettings, LoadedSettings
from vxutils.exits import ProcessExit
from vxutils.log import Log
from vxutils.process import announce, daemonise, set_title
from vxutils.watchdog import RestartPolicy, run_watched

WORKERS_MAX: Final = 64
DESCRIPTORS_BESIDE_CONNECTIONS: Final = 256
STOP_MARGIN_S: Final = 5.0

Role = Literal["run", "listener", "worker"]
Announce = Callable[[str], None]


class GatewaySettings(CommonSettings, Protocol):
    """What the settings of every gateway have."""

    @property
    def worker_num(self) -> int: ...


class Runnable(Protocol):
    """A role; `run` serves until told to stop, and returns the exit code."""

    def run(self) -> int: ...


S = TypeVar("S", bound=GatewaySettings)


class Gateway(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """What is particular to one gateway.

    `check(settings, data directory)` raises for what must be told before going to the background.
    `listener(settings, data directory, log, announce)` and `worker(settings, data directory, index, log,
    announce)` make the roles, after every fork, so that they may make loops and threads. `connections_max`:
    of one worker. `drain_s`: how long an orderly stop of a worker may take. `takes_hangup`: HUP makes the
    workers read certificates again instead of stopping them.
    """

    name: str
    check: Callable[[S, Path], None]
    listener: Callable[[S, Path, Log | None, Announce], Runnable]
    worker: Callable[[S, Path, int, Log | None, Announce], Runnable]
    connections_max: Callable[[S], int]
    drain_s: Callable[[S], float]
    takes_hangup: Callable[[S], bool] = lambda settings: False


class Start(msgspec.Struct, frozen=True):
    """What is to be started, and how: in the foreground, under a watchdog, or in the background."""

    role: Role
    data_directory: Path
    index: int = 0
    watchdog: bool = False
    daemon: bool = False


def start(gateway: Gateway[S], loaded: LoadedSettings[S], how: Start) -> int:
    """Runs until told to stop; the exit code.

    Raises: SettingsError, ProcessExit, OSError before anything is served.
    """
    settings = loaded.settings
    gateway.check(settings, how.data_directory)
    run_directory = startup.make_directories(how.data_directory)
    if how.daemon:
        daemonise()
    with ExitStack() as held:
        if how.role != "worker":
            held.enter_context(startup.lock(run_directory, gateway.name))
        log = startup.configure_log(settings.log, settings.alert)
        held.callback(log.close)
        startup.apply_limits(
            settings.process,
            gateway.connections_max(settings) + DESCRIPTORS_BESIDE_CONNECTIONS,
            loaded.warnings,
        )
        try:
            return _Roles(gateway, settings, how.data_directory, log).run(how)
        except ProcessExit as exit_:
            logging.getLogger(f"vx.{gateway.name}").critical("%s", exit_.sentence)
            raise


class _Roles(Generic[S]):
    """Makes the processes; each of them makes its own loop, after its fork."""

    def __init__(self, gateway: Gateway[S], settings: S, data_directory: Path, log: Log) -> None:
        self._gateway = gateway
        self._settings = settings
        self._data_directory = data_directory
        self._log = log
        self._policy = RestartPolicy(stop_timeout_s=gateway.drain_s(settings) + STOP_MARGIN_S)

    def run(self, how: Start) -> int:
        title = self._settings.process.title
        if how.role == "run":
            # The listener last: it is the first to be stopped, so that nobody new comes in.
            members = [self._worker(index) for index in range(self._settings.worker_num)]
            members = [self._telling(member) for member in [*members, self._listener()]]
            return run_group(members, title, self._policy, self._show)
        member = self._listener() if how.role == "listener" else self._worker(how.index)
        if how.watchdog or how.daemon:
            told = self._telling(member)
            return run_watched(
                told.run,
                told.title,
                policy=self._policy,
                on_fatal=self._show,
                passes_hangup=told.takes_hangup,
            )
        set_title(member.title)
        return member.run()

    def _listener(self) -> Member:
        def run() -> int:
            make = self._gateway.listener
            return make(self._settings, self._data_directory, self._log, announce).run()

        return Member(f"{self._settings.process.title}_listener", run)

    def _worker(self, index: int) -> Member:
        def run() -> int:
            make = self._gateway.worker
            return make(self._settings, self._data_directory, index, self._log, announce).run()

        title = f"{self._settings.process.title}_worker_{index}"
        return Member(title, run, self._gateway.takes_hangup(self._settings))

    def _telling(self, member: Member) -> Member:
        """In a watchdog's child a refusal goes to the log only; who started us looks at standard error."""
        if not self._settings.log.path:
            return member  # the log is standard error

        def run() -> int:
            try:
                return member.run()
            except ProcessExit as exit_:
                self._show(exit_.sentence)
                raise

        return Member(member.title, run, member.takes_hangup)

    def _show(self, sentence: str) -> None:
        print(f"{self._gateway.name}: {sentence}", file=sys.stderr, flush=True)  # noqa: T201
