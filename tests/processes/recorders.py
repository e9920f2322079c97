"""The real recorder process beside an engine: started, killed in its parts, waited for, and always ended."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from matchengine.journal.durable import read_durable
from matchengine.recorder.lag import RecorderState, read_recorder_state
from matchengine.recorder.sinks import NAMES, Role
from matchengine.system import read_system
from tests.support.processes import READY_TIMEOUT_S, SHOWN_CHARACTERS_MAX, STOP_TIMEOUT_S, wait_until
from tests.support.ring_leftovers import remove_rings
from vxnet.address import Address, parse_address
from vxutils.disk import Disk
from vxutils.store.embedded.history import HistoryReader, HistoryUnavailable
from vxutils.store.embedded.schema import HISTORY_FILE, HistoryPosition

CATCH_UP_TIMEOUT_S = 60.0

_libc = ctypes.CDLL(None)


class RecorderProcess:
    """`python -m matchengine.recorder run CONFIG --data-dir DATA`; may be started again after it ended."""

    def __init__(
        self, directory: Path, config: Path, data: Path, watchdog: bool = False, sink: Role = "history"
    ) -> None:
        self.name = NAMES[sink]
        self._sink = sink
        self.directory = directory
        self.data = data
        self._config = config
        self._watchdog = watchdog
        self._starts = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RecorderProcess:
        return self.start() if self._process is None else self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(self.output)
        self.end()

    def start(self) -> RecorderProcess:
        """Starts and waits for the ready line."""
        self.launch()
        wait_until(
            lambda: self.is_ready or not self.is_running, f"the recorder {self.output}", READY_TIMEOUT_S
        )
        assert self.is_ready, self.output
        return self

    def launch(self) -> None:
        assert not self.is_running, "it runs already"
        self._starts += 1
        command = [sys.executable, "-m", "matchengine.recorder", "run", str(self._config)]
        command += ["--data-dir", str(self.data), *(["--watchdog"] if self._watchdog else [])]
        command += ["--sink", self._sink]
        with self._path("stdout").open("wb") as stdout, self._path("stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=self.directory,
                start_new_session=True,  # `end` ends everything in the group, and nothing else
                preexec_fn=_die_with_the_tests,
            )

    def wait(self) -> int:
        """The exit status once it has ended."""
        assert self._process is not None
        return self._process.wait(STOP_TIMEOUT_S)

    def terminate(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def end(self) -> None:
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(STOP_TIMEOUT_S)
        remove_rings(self.data, "messages.")

    # -- facts ---------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def is_ready(self) -> bool:
        return any(
            line.startswith(self._ready) and line.endswith("\n")
            for line in self._read("stdout").splitlines(keepends=True)
        )

    @property
    def monitor(self) -> Address:
        """Where its monitor listens, as its ready line says."""
        (line,) = [line for line in self._read("stdout").splitlines() if line.startswith(self._ready)]
        return parse_address(line.split()[-1])

    @property
    def worker_pid(self) -> int:
        """The process that follows the journal, 0 while there is none."""
        assert self._process is not None
        pid = self._process.pid
        return next(iter(children(pid)), 0) if self._watchdog else pid

    @property
    def writer_pid(self) -> int:
        """The process that writes the history, 0 while there is none."""
        return writer_of(self.worker_pid)

    @property
    def state(self) -> RecorderState | None:
        return read_recorder_state(Disk(), self.data, self.name)

    @property
    def _ready(self) -> str:
        return f"{self.name} ready"

    def wait_until_committed(self) -> int:
        """Waits until the store, whichever it is, has all that is durable now; its sequence."""
        system_id = read_system(Disk(), self.data).id_bytes
        wanted = read_durable(Disk(), self.data / "journal", system_id) or 0

        def has_come() -> bool:
            state = self.state
            return state is not None and state.sequence >= wanted

        wait_until(has_come, f"sequence {wanted} in the store of {self.output}", CATCH_UP_TIMEOUT_S)
        return wanted

    def wait_for_all(self) -> HistoryPosition:
        """Waits until the history has all that is durable now. Its sequence counts the engine's marks too, so
        it depends on time."""
        system_id = read_system(Disk(), self.data).id_bytes
        return self.wait_for(read_durable(Disk(), self.data / "journal", system_id) or 0)

    def wait_for(self, sequence: int) -> HistoryPosition:
        """Waits until the history has come to at least this record."""
        reader = HistoryReader(self.data / HISTORY_FILE)
        deadline = time.monotonic() + CATCH_UP_TIMEOUT_S
        try:
            while True:
                try:
                    position = reader.position()
                    if position.sequence >= sequence:
                        return position
                except HistoryUnavailable:
                    pass
                assert time.monotonic() < deadline, f"never came to {sequence}\n{self.output}"
                time.sleep(0.02)
        finally:
            reader.close()

    @property
    def output(self) -> str:
        return "\n".join(
            f"--- {self.name} {name} of start {self._starts}\n{self._read(name)[-SHOWN_CHARACTERS_MAX:]}"
            for name in ("stdout", "stderr")
        )

    @property
    def stderr(self) -> str:
        return self._read("stderr")

    def _path(self, stream: str) -> Path:
        return self.directory / f"{self.name}.{stream}.{self._starts}"

    def _read(self, stream: str) -> str:
        path = self._path(stream)
        return path.read_text(errors="replace") if path.exists() else ""


def writer_of(recorder_pid: int) -> int:
    """The process that writes the history for this one, 0 while there is none."""
    return next((pid for pid in children(recorder_pid) if b"write" in _command(pid)), 0)


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _die_with_the_tests() -> None:
    _libc.prctl(1, int(signal.SIGKILL))
