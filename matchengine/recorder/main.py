"""The recorder process, from start to stop.

    recording    journal -> replica -> writer -> store; begins where the store has come to
    standing     how far that is, for the engine and monitors
    upkeep       slices, archive: once a second, while all is proven
    own dump     instead of that, once engine and recorder differ

There is one such process, or one for history and one for messages (`sinks`), each with a store of its own.
At a stop what was durable in the journal when the signal came is still recorded.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from matchengine import slices, system
from matchengine.main import FATAL_ERRORS, directories, refuse_in_words
from matchengine.recorder.observe import Observer, Progress
from matchengine.recorder.orders import WriterOrders
from matchengine.recorder.own_dump import OwnDump
from matchengine.recorder.recording import Recording
from matchengine.recorder.replica import Place
from matchengine.recorder.sinks import Sink
from matchengine.recorder.standing import Standing
from matchengine.recorder.upkeep import Upkeep
from matchengine.settings import MatchengineSettings
from vxnet.address import parse_address
from vxnet.clock import Clock
from vxnet.loop import new_event_loop
from vxnet.timer import Timer
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit
from vxutils.log import Log
from vxutils.monitor import Monitor
from vxutils.process import install_signals

TICK_S: Final = 1.0
STOP_TIMEOUT_S: Final = 60.0

_log = logging.getLogger("vx.recorder")


def run_recorder(
    settings: MatchengineSettings,
    sink: Sink,
    data: Path,
    disk: Disk,
    clock: Clock,
    log: Log | None,
    announce: Callable[[str], None],
) -> int:
    """Follows the journal of `data` for `sink` until told to stop; the exit code.

    The caller holds the recorder's lock. Raises: ProcessExit with a sentence.
    """
    try:
        return _Recorder(settings, sink, data, disk, clock, log, announce).run()
    except FATAL_ERRORS as error:
        raise refuse_in_words(error) from error


class _Recorder:
    """The parts of one run."""

    def __init__(
        self,
        settings: MatchengineSettings,
        sink: Sink,
        data: Path,
        disk: Disk,
        clock: Clock,
        log: Log | None,
        announce: Callable[[str], None],
    ) -> None:
        where = directories(settings, data)
        identity = system.read_system(disk, data)
        self.settings = settings.recorder
        self.sink = sink
        self.log = log
        self.announce = announce
        self.loop = new_event_loop()
        place = Place(where.data, where.journal, identity.id_bytes)
        orders = WriterOrders(settings, sink, disk, data)
        self.recording = Recording(self.loop, sink, place, orders.next, disk, clock, self)
        self.standing = Standing(self.recording, disk, clock, place, sink.name, self.settings.lag_part_max)
        self.upkeep = Upkeep(settings, sink, orders.mysql, disk, place)
        self.own_dump = OwnDump(disk, data)
        self.places = ""  # where others find us, as the ready line says it
        self.deadline: asyncio.TimerHandle | None = None
        self.refusal = ""  # why the store must not be written by us

    def run(self) -> int:
        timer = Timer(self.loop, TICK_S, self.tick, repeat=True)
        levels = (self.log.level_up, self.log.level_down) if self.log else (None, None)
        install_signals(self.loop, self.stop, *levels)
        monitor: Monitor | None = None
        try:
            place = self.settings.monitor_address
            if not self.sink.keeps:
                place = self.settings.messages_monitor_address
            if place is not None:
                observer = Observer(self.sink.name, self.standing.state, self.progress)
                monitor = Monitor(self.loop, parse_address(place), observer.health, observer.metrics())
                monitor.start()
                self.places = f": monitor {monitor.bound}"
            self.recording.start()
            timer.start()
            self.loop.run_forever()
        finally:
            timer.stop()
            if monitor is not None:
                monitor.stop()
            self.upkeep.stop()
            self.own_dump.wait()
            self.recording.close()
            self.standing.close()
            self.loop.close()
        if self.refusal:
            raise ProcessExit(ExitCode.JOURNAL_DAMAGED, self.refusal)
        _log.info("stopped: sequence %d", self.recording.committed.sequence)
        return ExitCode.OK

    def tick(self) -> None:
        """Once a second: space, slices, archive, and whether DURABLE is still the same file."""
        recording = self.recording
        replica = recording.replica
        self.standing.look_at_space()
        if replica is not None:
            replica.follower.refresh()
        self.standing.publish(at_once=True)
        if recording.diverged_at:
            # No slice and no archive of what is in doubt; one of two recorders dumps for both.
            if self.sink.keeps and replica is not None:
                self.own_dump.follow(replica, recording.diverged_at)
            return
        if not recording.is_ready or recording.is_stopping or not self.sink.keeps:
            return
        try:
            self.upkeep.tick(recording.committed, bool(recording.trouble))
        except (slices.SliceError, OSError) as error:
            _log.error("slices can not be looked after: %s", error)

    def progress(self) -> Progress:
        """What the monitor shows beside the state."""
        recording = self.recording
        return Progress(
            pid=os.getpid(),
            writer_pid=recording.writer_pid,
            is_ready=recording.is_ready,
            batches=recording.batches,
            newest_slice=self.upkeep.newest_slice,
            free_bytes=self.standing.free_bytes,
            trouble=recording.trouble,
            rings_trouble=recording.rings_trouble,
        )

    # -- what the recording tells ------------------------------------------------------------

    def publish(self, at_once: bool = False) -> None:
        self.standing.publish(at_once)

    def loaded(self) -> None:
        self.own_dump.forget()

    def ready(self) -> None:
        line = f"{self.sink.name} ready{self.places}"
        _log.info("%s, sequence %d", line, self.recording.committed.sequence)
        self.announce(line)

    def recorded_all(self) -> None:
        self.loop.stop()

    def refused(self, sentence: str) -> None:
        self.refusal = sentence
        self.standing.publish_refusal()
        self.loop.stop()

    # -- the end -----------------------------------------------------------------------------

    def stop(self, signal_name: str) -> None:
        """What is durable now is recorded, then the loop ends."""
        if self.recording.is_stopping:
            return
        _log.info("stopping: %s", signal_name)
        self.deadline = self.loop.call_later(STOP_TIMEOUT_S, self.give_up)
        self.recording.finish()

    def give_up(self) -> None:
        """The rest is recorded after the next start."""
        _log.warning("stopped before all was recorded, at sequence %d", self.recording.committed.sequence)
        self.loop.stop()
