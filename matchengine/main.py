"""The matchengine process, from start to stop.

    settings -> lock -> SYSTEM -> recover -> epoch, journal -> rules -> stages -> listen -> ready
    stop: no more requests -> journal synced -> slice -> journal closed

Reading this file, `starting.py` and `pipeline.py` explains the engine. Disk and clock are passed in, so that
tests can pass others. Nothing here decides about orders.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from matchengine import recovery, slices, system
from matchengine.admin import Admin
from matchengine.columns import ColumnDoor, open_door
from matchengine.core.views import Views
from matchengine.divergence import ENGINE, DivergenceWatch, DumpProcess
from matchengine.journal import format as layout
from matchengine.observe import Observer
from matchengine.pipeline import NEVER_US, Pipeline
from matchengine.publisher import BookPublisher
from matchengine.recorder.lag import RecorderState, read_recorder_state, slowest
from matchengine.recorder.sinks import names_of
from matchengine.requests import Requests
from matchengine.server import EngineServer
from matchengine.settings import MatchengineSettings
from matchengine.space import Helper, SpaceGate
from matchengine.starting import EngineStart
from matchengine.timekeeper import Timekeeper
from vxnet.address import parse_address
from vxnet.clock import Clock
from vxnet.errors import AddressError
from vxnet.loop import new_event_loop
from vxnet.timer import Timer
from vxutils.console import Console
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit
from vxutils.log import Log
from vxutils.monitor import Monitor
from vxutils.process import announce, install_signals
from vxutils.ring.segment import ring_name
from vxutils.rpc.replies import ReplyFormat

SLICES_KEPT = 2
TICK_S = 1.0
TICK_US = 1_000_000
RECORDER_SILENT_US = 10_000_000  # it publishes many times a second while it runs

_log = logging.getLogger("vx.matchengine")


class Directories(msgspec.Struct, frozen=True):
    """Where this engine keeps its things."""

    data: Path
    journal: Path


def directories(settings: MatchengineSettings, data_directory: Path) -> Directories:
    """`journal_dir` of the settings is meant relative to the data directory."""
    name = settings.journal.journal_dir or recovery.JOURNAL_DIRECTORY
    return Directories(data_directory, data_directory / name)


def refuse_in_words(error: Exception) -> ProcessExit:
    """The process exit for an error that makes a start (or going on) impossible."""
    code = ExitCode.JOURNAL_DAMAGED
    if isinstance(error, layout.JournalIOError | layout.NoSpace | slices.SliceIOError):
        code = ExitCode.JOURNAL_IO
    elif isinstance(error, AddressError):
        code = ExitCode.ADDRESS_TAKEN
    return ProcessExit(code, str(error))


FATAL_ERRORS = (layout.JournalError, slices.SliceError, system.SystemFileError, AddressError)


def run_worker(
    settings: MatchengineSettings,
    where: Directories,
    disk: Disk,
    clock: Clock,
    log: Log | None = None,
    announce: Callable[[str], None] = announce,
) -> int:
    """Recovers, serves until told to stop, stops in order; the exit code.

    The caller holds the lock of the data directory. Raises: ProcessExit with a sentence.
    """
    try:
        return _Worker(settings, where, disk, clock, log, announce).run()
    except FATAL_ERRORS as error:
        raise refuse_in_words(error) from error


class _Worker:
    """The parts of one run, made in the order in which they need each other."""

    def __init__(
        self,
        settings: MatchengineSettings,
        where: Directories,
        disk: Disk,
        clock: Clock,
        log: Log | None,
        announce: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.where = where
        self.disk = disk
        self.clock = clock
        self.log = log
        self.announce = announce
        self.ticked_us = 0
        self.recorders = names_of(settings)
        self.start = EngineStart(settings, where.data, where.journal, disk, clock)

    def run(self) -> int:
        self.begin()
        try:
            self.start.agree_on_rules()
            self.wire_stages()
            self.serve()
        except layout.JournalError:
            # Nothing may be acknowledged any more, and nothing is: replies wait for the sync that failed.
            self.journal.close(clean=False)
            raise
        self.finish()
        return ExitCode.OK

    def begin(self) -> None:
        """The state as the disk has it, in a new epoch; see starting.py."""
        start = self.start
        start.recover()
        start.begin_epoch()
        self.identity, self.recovered = start.identity, start.recovered
        self.engine, self.position = start.engine, start.position
        self.journal, self.sequencer = start.journal, start.sequencer

    def wire_stages(self) -> None:
        """Requests -> engine -> journal -> outbox; see pipeline.py."""
        settings = self.settings
        self.loop = new_event_loop()
        views = Views(self.engine, settings.wire_style)
        self.timekeeper = Timekeeper(self.clock, self.position.time_us, self.engine.age_offset_us)
        self.preparer = Helper("prepare", self._helper_arguments("prepare"))
        self.slicer = Helper("slice", self._helper_arguments("slice"))
        self.dumper = DumpProcess(self.disk, self.where.data, ENGINE, self.identity)
        self.divergence = DivergenceWatch(
            settings.on_divergence == "halt", lambda: self.dumper.start(self.engine, self.position)
        )
        self.gate = SpaceGate(
            self.disk,
            self.where.journal,
            self.journal,
            self.preparer,
            settings.journal.disk_reserve_bytes,
            self.recorder_reason,
        )
        self.publisher = BookPublisher(
            self.engine,
            self.position,
            lambda what: ring_name(self.identity.id_bytes, self.where.data, what),
            self.clock.monotonic_us,
            levels=settings.rings.levels,
            slots=settings.rings.slots,
            slot_bytes=settings.rings.slot_size_bytes,
        )
        self.pipeline = Pipeline(
            self.engine,
            views,
            Requests(self.engine, views, self.open_door()),
            self.sequencer,
            self.journal,
            self.timekeeper,
            ReplyFormat(settings.wire_style, settings.debug),
            self.gate,
            self.clock,
            self.loop.call_soon,
            sync_each_turn=settings.journal.durability != "interval",
            cache_timeout_us=int(settings.cache_timeout_s * 1_000_000),
            queue_age_max_us=settings.queue_age_max_ms * 1000 or NEVER_US,
            read_ready=self.loop.serve_ready_sockets,
            publish=self.publisher.publish,
        )
        self.server = EngineServer(self.loop, settings.svr, self.pipeline)
        self.admin = Admin(
            self.engine,
            self.position,
            self.pipeline,
            self.gate,
            self.timekeeper,
            lambda: self.journal.durable_sequence,
            self.slicer.start,
            self.identity.last_epoch,
        )
        self.observer = Observer(
            self.engine,
            self.position,
            self.pipeline,
            self.gate,
            self.timekeeper,
            lambda: self.server.connections,
            lambda: self.journal.durable_sequence,
            lambda: self.journal.room,
            self.identity.last_epoch,
            os.getpid(),
            self.recorder_state,
            self.publisher,
        )
        self.slice_due = self.recovered.slice_sequence + settings.slice_records
        self.timers = [Timer(self.loop, TICK_S, self.tick, repeat=True)]
        if settings.journal.durability == "interval":
            interval_s = settings.journal.sync_interval_ms / 1000
            self.timers.append(Timer(self.loop, interval_s, self.sync, repeat=True))

    def open_door(self) -> ColumnDoor | None:
        """Where the history goes to a database: what its columns can not hold is not accepted."""
        if self.settings.history.store != "mysql":
            return None
        log, history = self.settings.mysql.log, self.settings.mysql.history
        assert log is not None, "the settings were checked"
        assert history is not None, "the settings were checked"
        return open_door(self.engine, log, history)

    def _helper_arguments(self, name: str) -> list[str]:
        return [
            name,
            "--data-dir",
            str(self.where.data),
            "--journal-dir",
            str(self.where.journal),
            "--segment-size",
            str(self.settings.journal.segment_size_bytes),
            "--parent-pid",
            str(os.getpid()),
        ]

    def tick(self) -> None:
        """Once a second: clocks, a mark, the recorder, disk space, slices. A late tick tells that the process
        stood still."""
        now_us = self.clock.monotonic_us()
        self.pipeline.keep_time()
        self.pipeline.mark()
        self.pipeline.commit()
        self.divergence.look(self.recorder_state())
        self.dumper.poll()
        self.publisher.tick()
        self.gate.check()
        self.slicer.poll()
        recorded = self.recorder_state() is not None  # then the recorder has slices made
        if self.position.sequence >= self.slice_due and (recorded or self.slicer.start()):
            self.slice_due = self.position.sequence + self.settings.slice_records
        stalled_us = max(now_us - self.ticked_us - TICK_US, self.clock.monotonic_us() - now_us)
        if 0 < self.settings.queue_age_max_ms * 1000 < stalled_us:
            self.pipeline.outdate_waiting()
        self.ticked_us = self.clock.monotonic_us()

    def recorder_state(self) -> RecorderState | None:
        """How far the recorders of this data directory are, the slowest of those that run; None of none."""
        now_us = self.clock.wall_us()
        found = self.recorder_states()
        return slowest([state for state in found if now_us - state.published_us <= RECORDER_SILENT_US])

    def recorder_states(self) -> list[RecorderState]:
        """What each of them has said last, however long ago."""
        found = [read_recorder_state(self.disk, self.where.data, name) for name in self.recorders]
        return [state for state in found if state is not None]

    def recorder_reason(self) -> str:
        """Why new orders should wait for the recorder, empty if they need not."""
        if self.divergence.reason:
            return self.divergence.reason
        if any(state.is_refused for state in self.recorder_states()):
            return "a store of the recorder belongs to another engine or another past, its log says which"
        state = self.recorder_state()
        if state is None or not state.is_lag_too_high:
            return ""
        return f"the recorder is {state.lag_records} records ({state.lag_bytes} bytes) behind"

    def sync(self) -> None:
        """Makes durable what was acknowledged since the last time (durability `interval`)."""
        self.journal.sync()

    def serve(self) -> None:
        """Listens and runs until a signal. The collector would stop the world for nothing: the state holds
        no cycles, and a full collection over it takes a tenth of a second and more."""
        self.gate.check()
        gc.collect()
        gc.freeze()
        gc.disable()
        console = monitor = None
        if self.settings.rings.enabled:
            self.publisher.open()  # before anybody can be answered
        try:
            self.server.start()
            places = [str(address) for address in self.server.bound]
            if self.settings.cli.address is not None:
                commands = self.admin.commands()
                console = Console(self.loop, parse_address(self.settings.cli.address), commands)
                console.start()
                places.append(f"cli {console.bound}")
            if self.settings.monitor.address is not None:
                address = parse_address(self.settings.monitor.address)
                monitor = Monitor(self.loop, address, self.observer.health, self.observer.metrics())
                monitor.start()
                places.append(f"monitor {monitor.bound}")
            install_signals(
                self.loop,
                self._stop,
                self.log.level_up if self.log else None,
                self.log.level_down if self.log else None,
            )
            self.ticked_us = self.clock.monotonic_us()
            for timer in self.timers:
                timer.start()
            line = f"matchengine ready: {' '.join(places)}"
            _log.info("%s, sequence %d", line, self.position.sequence)
            self.announce(line)
            self.loop.run_forever()
        finally:
            # Helpers first: they write where we are about to close.
            for timer in self.timers:
                timer.stop()
            self.preparer.stop()
            self.slicer.stop()
            for side_door in (monitor, console):
                if side_door is not None:
                    side_door.stop()
            self.server.stop()
            self.publisher.close()

    def _stop(self, signal_name: str) -> None:
        _log.info("stopping: %s", signal_name)
        self.loop.stop()

    def finish(self) -> None:
        """What was received is answered or was never acknowledged; the journal ends cleanly.

        A state that the recorder has found wrong is not for the next start: then there is no slice.
        """
        self.journal.sync()
        self.dumper.wait()
        if self.divergence.diverged_at:
            _log.critical("no slice at this stop: engine and recorder differ")
        elif self.position.sequence > self.recovered.slice_sequence:
            try:
                recovery.write_slice(
                    self.disk,
                    self.where.data,
                    self.identity,
                    self.identity.last_epoch,
                    self.engine,
                    self.position,
                )
                slices.remove_older(self.disk, self.where.data / recovery.SLICES_DIRECTORY, SLICES_KEPT)
            except slices.SliceError as error:
                # The journal has everything; the next start only takes longer.
                _log.critical("no slice at this stop: %s", error)
        self.journal.close(clean=True)
        _log.info("stopped: sequence %d", self.position.sequence)


def flush_standard_streams() -> None:
    """Before a fork: what is buffered would be written twice."""
    sys.stdout.flush()
    sys.stderr.flush()
