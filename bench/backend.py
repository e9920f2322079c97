"""The processes behind the engine, beside it on its data directory: recorder, marketprice, readhistory.

Started as the operator's programs start them, each in its own process with the settings that matter here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import msgspec

from bench.engine import Engine
from bench.process import ProcessFacts, Service, ServiceError, child_of, process_facts
from matchengine.recorder.lag import RecorderState, read_recorder_state
from vxutils.disk import Disk
from vxutils.store.embedded.consumers import read_consumers
from vxutils.store.embedded.schema import HISTORY_FILE

PROGRESS_S = 5.0
POLL_S = 0.1

_SETTINGS = """\
{market_source}
[log]
flag = ["fatal", "error", "warn"]

[alert]
address = ""

[svr]
bind = ["tcp@127.0.0.1:0"]

[monitor]
address = ""
"""


class LagSample(msgspec.Struct, frozen=True):
    """How far the recorder was behind, `at_s` after the begin."""

    at_s: float
    records: int
    seconds: float


class Recorder:
    """The recorder of an engine's data directory, and its writer."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self._data = engine.data
        words = ["matchengine.recorder", "run", str(engine.settings), "--data-dir", str(engine.data)]
        self.service = Service("recorder", words, directory)

    def state(self) -> RecorderState:
        """What it has published last. Raises: ServiceError."""
        state = read_recorder_state(Disk(), self._data)
        if state is None or self.service.exit_code is not None:
            raise ServiceError(f"the recorder says nothing: {self.service.said}")
        return state

    @property
    def writer_pid(self) -> int:
        return child_of(self.service.pid, b"write")

    def wait_until_all_is_recorded(self, sequence: int, progress: Callable[[str], None]) -> float:
        """Until the record `sequence` is committed; how many seconds that took. Raises: ServiceError."""
        begun = shown = time.monotonic()
        while (done := self.state().sequence) < sequence:
            if (now := time.monotonic()) - shown > PROGRESS_S:
                progress(f"recorded {done:,} of {sequence:,}, {now - begun:.0f} s")
                shown = now
            time.sleep(POLL_S)
        return time.monotonic() - begun


class Backend:
    """Engine, recorder, marketprice and readhistory; `with` starts all and stops all, in reverse."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.engine = engine
        self.recorder = Recorder(engine, directory)
        self._directory = directory
        self._services: list[Service] = []
        self.ready_lines: dict[str, str] = {}
        """What marketprice and readhistory said when they were ready: it names their addresses."""
        self._stack = ExitStack()

    def __enter__(self) -> Backend:
        with ExitStack() as stack:
            # Before the engine, so that it is stopped after it and records all it has written.
            stack.push(_Ends(self.recorder.service))
            stack.enter_context(self.engine)
            self.recorder.service.start()
            for name, package in (("marketprice", "marketprice"), ("readhistory", "gateways.readhistory")):
                settings = self._directory / f"{name}.toml"
                source = f'market_source = "tcp@{self.engine.address}"' if name == "marketprice" else ""
                settings.write_text(_SETTINGS.format(market_source=source))
                words = [package, "run", str(settings), "--data-dir", str(self.engine.data)]
                service = Service(name, words, self._directory)
                stack.push(_Ends(service))
                self.ready_lines[name] = service.start()
                self._services.append(service)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def history(self) -> Path:
        return self.engine.data / HISTORY_FILE

    def deals_taken(self) -> int:
        """Deals that marketprice has saved."""
        consumers = read_consumers(Disk(), self.engine.data)
        return consumers.get("marketprice", {}).get("deals", 0)

    def check(self) -> None:
        """Raises: ServiceError when a process has ended."""
        for service in (self.recorder.service, *self._services):
            if service.exit_code is not None:
                raise ServiceError(f"{service.name} ended with {service.exit_code}: {service.said}")

    def facts(self) -> dict[str, ProcessFacts]:
        """Of each process, by name. Raises: ServiceError when one is gone."""
        self.check()
        pids = {"engine": self.engine.pid, "recorder": self.recorder.service.pid}
        pids["writer"] = self.recorder.writer_pid
        pids |= {service.name: service.pid for service in self._services}
        try:
            return {name: process_facts(pid) for name, pid in pids.items()}
        except OSError as error:
            raise ServiceError(f"a process is gone: {error}") from error


class _Ends:
    """Ends a service: in order, or at once when something went wrong."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __enter__(self) -> _Ends:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._service.is_started:
            self._service.stop()
        else:
            self._service.kill()
