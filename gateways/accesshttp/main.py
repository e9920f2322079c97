"""accesshttp as processes: the listener, a worker, or all of them under one parent.

    settings, tokens -> directories -> (background) -> lock -> log -> role or group

Each role can run alone in the foreground, for supervisord; `run` is the whole gateway. What a role does is in
`listener` and `worker`.

Source: protocol.md 8.1, 10.6.
"""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal

import msgspec

from gateways.accesshttp.listener import Listener
from gateways.accesshttp.settings import LoadedSettings
from gateways.accesshttp.worker import DRAIN_MARGIN_S, Worker
from gateways.common import startup
from gateways.common.access import Access
from gateways.common.group import Member, run_group
from vxutils.exits import ProcessExit
from vxutils.log import Log
from vxutils.process import announce, daemonise, set_title
from vxutils.watchdog import RestartPolicy, run_watched

NAME: Final = "accesshttp"
DESCRIPTORS_BESIDE_CONNECTIONS: Final = 256
STOP_MARGIN_S: Final = 5.0

_log = logging.getLogger("vx.accesshttp")


class Start(msgspec.Struct, frozen=True):
    """What is to be started, and how: in the foreground, under a watchdog, or in the background."""

    role: Literal["run", "listener", "worker"]
    data_directory: Path
    index: int = 0
    watchdog: bool = False
    daemon: bool = False


def start(loaded: LoadedSettings, how: Start) -> int:
    """Runs until told to stop; the exit code.

    Raises: SettingsError, ProcessExit, OSError before anything is served.
    """
    settings = loaded.settings
    for listener in settings.listener:
        Access(listener)  # whether its token files can be used: before going to the background
    run_directory = startup.make_directories(how.data_directory)
    if how.daemon:
        daemonise()
    with ExitStack() as held:
        if how.role != "worker":
            held.enter_context(startup.lock(run_directory, NAME))
        log = startup.configure_log(settings.log, settings.alert)
        held.callback(log.close)
        startup.apply_limits(
            settings.process,
            settings.http.connections_max + DESCRIPTORS_BESIDE_CONNECTIONS,
            loaded.warnings,
        )
        try:
            return _Roles(loaded, run_directory, log).run(how)
        except ProcessExit as exit_:
            _log.critical("%s", exit_.sentence)
            raise


class _Roles:
    """Makes the processes; each of them makes its own loop, after its fork."""

    def __init__(self, loaded: LoadedSettings, run_directory: Path, log: Log) -> None:
        self._settings = loaded.settings
        self._run_directory = run_directory
        self._log = log
        drain_s = self._settings.timeout_s + DRAIN_MARGIN_S
        self._policy = RestartPolicy(stop_timeout_s=drain_s + STOP_MARGIN_S)

    def run(self, how: Start) -> int:
        title = self._settings.process.title
        if how.role == "run":
            # The listener last: it is the first to be stopped, so that nobody new comes in.
            members = [self._worker(index) for index in range(self._settings.worker_num)]
            members = [self._telling(member) for member in [*members, self._listener()]]
            return run_group(members, title, self._policy, _show)
        member = self._listener() if how.role == "listener" else self._worker(how.index)
        if how.watchdog or how.daemon:
            told = self._telling(member)
            return run_watched(told.run, told.title, policy=self._policy, on_fatal=_show)
        set_title(member.title)
        return member.run()

    def _listener(self) -> Member:
        def run() -> int:
            return Listener(self._settings, self._run_directory, self._log, announce).run()

        return Member(f"{self._settings.process.title}_listener", run)

    def _worker(self, index: int) -> Member:
        def run() -> int:
            return Worker(self._settings, self._run_directory, index, self._log, announce).run()

        return Member(f"{self._settings.process.title}_worker_{index}", run)

    def _telling(self, member: Member) -> Member:
        """In a watchdog's child a refusal goes to the log only; who started us looks at standard error."""
        if not self._settings.log.path:
            return member  # the log is standard error

        def run() -> int:
            try:
                return member.run()
            except ProcessExit as exit_:
                _show(exit_.sentence)
                raise

        return Member(member.title, run)


def _show(sentence: str) -> None:
    print(f"{NAME}: {sentence}", file=sys.stderr, flush=True)  # noqa: T201
