"""Brings every store of a stopped exchange to the end of its journal, by the recorder itself.

    recorder, recorder-messages: started --state--> both at the last record --TERM--> ended --> stores asked

Each sink is recorded by the process that is made for it, as while the exchange runs, so nothing is written in
a second way. A store counts when it says itself that it has the last record. Nothing else must be at work in
the data directory; `hold_recorders` sees to that before and afterwards.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Final

from matchengine.position import Position
from matchengine.recorder.lag import RUN_DIRECTORY, RecorderState, read_recorder_state
from matchengine.recorder.sinks import NAMES, Role, Sink, sinks_of
from matchengine.settings import MatchengineSettings
from matchengine.system import System
from vxnet.clock import Clock
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit
from vxutils.process import DirectoryLock
from vxutils.store.embedded.history import HistoryReader, HistoryUnavailable
from vxutils.store.embedded.schema import HISTORY_FILE, HistoryPosition
from vxutils.store.kafka.errors import KafkaFloorBad
from vxutils.store.kafka.floor import read_floor
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.position import read_position
from vxutils.store.mysql.settings import MysqlSettings

POLL_S: Final = 0.1
TELL_S: Final = 5.0
STOP_S: Final = 90.0  # a recorder gives up its own drain after 60
SAID_BYTES: Final = 2_000

Tell = Callable[[str], None]


def hold_recorders(disk: Disk, data: Path) -> ExitStack:
    """The locks of both recorders: none runs, and none will while they are held.

    Raises: ProcessExit (ALREADY_RUNNING) in words.
    """
    held = ExitStack()
    try:
        for name in NAMES.values():
            directory = data / RUN_DIRECTORY / name
            disk.make_directory(directory)
            held.enter_context(DirectoryLock(directory))
        return held
    except ProcessExit as error:
        held.close()
        raise ProcessExit(error.code, f"{name} still runs, stop it too ({error.sentence})") from error


def drain(
    disk: Disk,
    clock: Clock,
    settings: MatchengineSettings,
    config: Path,
    data: Path,
    sequence: int,
    wait_s: float,
    tell: Tell,
) -> None:
    """Records everything up to `sequence`, which is durable. The caller holds the engine's lock.

    Raises: ProcessExit in words: a recorder can not go on, or the stores are not there after `wait_s`.
    """
    with ExitStack() as ended:
        recorders = [
            _Recorder(disk, clock, config, data, role, sink) for role, sink in sinks_of(settings).items()
        ]
        for recorder in recorders:
            ended.callback(recorder.end)
            recorder.start()
        _wait(recorders, sequence, wait_s, tell)
        for recorder in recorders:
            recorder.stop()


def behind(
    disk: Disk, settings: MatchengineSettings, data: Path, identity: System, position: Position
) -> list[str]:
    """The stores that do not say that they have the last record of this journal; empty when all do.

    Raises: MysqlError; OSError.
    """
    problems: list[str] = []
    for what, found in _positions(disk, settings, data, identity.system_id):
        if found is None:
            problems.append(f"{what} does not say how far it has come")
        elif (found.sequence, found.digest) != (position.sequence, position.digest):
            problems.append(f"{what} is at sequence {found.sequence}, the journal at {position.sequence}")
    return problems


def _positions(
    disk: Disk, settings: MatchengineSettings, data: Path, system_id: str
) -> Iterable[tuple[str, HistoryPosition | None]]:
    assert settings.mysql.log is not None, "the settings were checked"
    assert settings.mysql.history is not None, "the settings were checked"
    yield str(settings.mysql.log), _mysql_position(settings.mysql.log, is_log=True, system_id=system_id)
    history = settings.mysql.history
    yield str(history), _mysql_position(history, is_log=False, system_id=system_id)
    if settings.kafka.brokers:
        try:
            floor = read_floor(disk, data, system_id)
        except KafkaFloorBad as error:
            raise ProcessExit(ExitCode.JOURNAL_DAMAGED, str(error)) from error
        is_settled = floor is not None and floor.in_flight is None
        yield f"Kafka at {settings.kafka.brokers}", floor.position if floor and is_settled else None
        return
    reader = HistoryReader(data / HISTORY_FILE)
    try:
        yield HISTORY_FILE, reader.position()
    except HistoryUnavailable:
        yield HISTORY_FILE, None
    finally:
        reader.close()


def _mysql_position(settings: MysqlSettings, *, is_log: bool, system_id: str) -> HistoryPosition | None:
    database = Database(settings)
    try:
        stored = read_position(database, "log" if is_log else "history")
    finally:
        database.close()
    return stored.position if stored is not None and stored.system_id == system_id else None


class _Recorder:
    """One recorder process of ours. It ends when we do, however that happens."""

    def __init__(self, disk: Disk, clock: Clock, config: Path, data: Path, role: Role, sink: Sink) -> None:
        self.name = sink.name
        self._disk = disk
        self._clock = clock
        self._data = data
        words = [
            "run",
            str(config),
            "--data-dir",
            str(data),
            "--sink",
            role,
            "--parent-pid",
            str(os.getpid()),
        ]
        self._command = [sys.executable, "-m", "matchengine.recorder", *words]
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._begun_us = 0

    def start(self) -> None:
        """Raises: OSError."""
        self._begun_us = self._clock.wall_us()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._process = subprocess.Popen(  # noqa: S603
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            env=os.environ | {"PYTHONSAFEPATH": "1"},
            process_group=0,  # a Ctrl-C is for us
        )

    @property
    def state(self) -> RecorderState | None:
        """What it has said since it was started."""
        state = read_recorder_state(self._disk, self._data, self.name)
        return state if state is not None and state.published_us >= self._begun_us else None

    def demand_alive(self) -> None:
        """Raises: ProcessExit with what it said last."""
        assert self._process is not None, "it was started"
        code = self._process.poll()
        if code is not None:
            raise ProcessExit(
                ExitCode.FAILURE,
                f"{self.name} ended with status {code} before it had recorded all: {self.said}",
            )
        state = self.state
        if state is not None and state.diverged_at:
            raise ProcessExit(
                ExitCode.JOURNAL_DAMAGED,
                f"{self.name} can not prove record {state.diverged_at}: docs/operations.md, Engine and "
                "recorder differ",
            )

    @property
    def said(self) -> str:
        """The end of what it wrote to standard error."""
        assert self._said is not None, "it was started"
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - SAID_BYTES))
        return self._said.read().decode(errors="replace").strip() or "nothing; see its log"

    def stop(self) -> None:
        """In order; what is durable is recorded before. Raises: ProcessExit."""
        assert self._process is not None, "it was started"
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise ProcessExit(ExitCode.FAILURE, f"{self.name} does not end") from None
        if code != ExitCode.OK:
            raise ProcessExit(ExitCode.FAILURE, f"{self.name} ended with status {code}: {self.said}")

    def end(self) -> None:
        """Whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._said is not None:
            self._said.close()


def _wait(recorders: list[_Recorder], sequence: int, wait_s: float, tell: Tell) -> None:
    begun = told = time.monotonic()
    while True:
        for recorder in recorders:
            recorder.demand_alive()
        states = {recorder.name: recorder.state for recorder in recorders}
        if all(state is not None and state.sequence >= sequence for state in states.values()):
            return
        now = time.monotonic()
        if now - told >= TELL_S:
            told = now
            tell(_progress(states, sequence))
        if now - begun > wait_s:
            raise ProcessExit(
                ExitCode.FAILURE,
                f"not everything is recorded after {wait_s:g} s: {_progress(states, sequence)}. Nothing was "
                "handed over; repeat it",
            )
        time.sleep(POLL_S)


def _progress(states: dict[str, RecorderState | None], sequence: int) -> str:
    parts = []
    for name, state in states.items():
        if state is None:
            parts.append(f"{name} has not begun")
        else:
            trouble = ", its store does not answer" if state.is_troubled else ""
            parts.append(f"{name} at sequence {state.sequence} of {sequence}{trouble}")
    return "; ".join(parts)
