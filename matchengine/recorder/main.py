"""The recorder process, from start to stop.

    writer (process) opens the store --position--> replica from a slice, silent up to that position --> ready
    turn: journal --frames--> replica --batch--> writer --committed--> state, slices, archive
    stop: what was durable when the signal came is executed, sent and committed, then the writer ends

A history that is damaged is set aside (`history.db.bad-<time>`) and made again from the journal, while the
exchange goes on. kill -9 of this process or the writer at any time: the position in the history says
where to go on, and nothing is written twice.

There is one such process, or one for history and one for messages (`sinks`), each with a store of its own.
Nothing here derives or writes rows: `replica` and `writer` do.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from matchengine import slices, system
from matchengine.divergence import ENGINE, RECORDER, DumpProcess, dump_directory
from matchengine.journal.durable import read_durable
from matchengine.journal.follower import JournalFollower
from matchengine.main import FATAL_ERRORS, directories, refuse_in_words
from matchengine.recorder.c_slices import SliceClock, SliceOrder
from matchengine.recorder.keep import Helper, Keeper, read_base
from matchengine.recorder.lag import LagBound, RecorderState, StateFile, read_recorder_state
from matchengine.recorder.link import WriterLink
from matchengine.recorder.observe import Observer, Progress
from matchengine.recorder.replica import Place, Replica
from matchengine.recorder.sinks import Sink, names_of
from matchengine.recorder.stores import MysqlPlace
from matchengine.recorder.wire import Report
from matchengine.recorder.writer import WriterOrder
from matchengine.recovery import ReplayDiffers
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
from vxutils.store.embedded.schema import HISTORY_FILE, HistoryBase, HistoryPosition

TURN_BYTES: Final = 64 << 10  # of frames: some 10 ms of work
UNPROVEN_BYTES: Final = 4 << 20  # as much once a second: nobody waits for it
BATCH_ROWS: Final = 30_000  # with a backlog: some 7 MB and 0.3 s; a third faster than batches of 10,000
IDLE_FIRST_S: Final = 0.001
IDLE_MAX_S: Final = 0.002  # between two looks at the journal: what a trade waits at most when all is quiet

GATHER_S: Final = 0.002  # after the last frame that is there: the next ones come together, and cost half then

# From one batch to the next, in times of what the commit took. A commit writes the same pages of the indexes
# whether it is small or large: few rows are sent soon, for those who wait for messages; with many the writer
# rests as long as it works, which leaves processor and disk to the engine, and batches become larger. In
# between the pause grows with the rows: PAUSE_ROWS are those of some ten trades.
COMMIT_PAUSE: Final = 2.0
PAUSE_ROWS: Final = 200
COMMIT_PAUSE_MAX_S: Final = 0.1

# A batch costs MySQL some 30 ms however small it is; nobody waits for these rows but queries of history.
MYSQL_PAUSE_MIN_S: Final = 0.25
MYSQL_PAUSE_MAX_S: Final = 1.0

RECORD_BYTES: Final = 256
"""Of a record in the journal, guessed high, where nobody has counted yet."""

STATE_PAUSE_US: Final = 50_000
TICK_S: Final = 1.0
PROGRESS_S: Final = 10.0
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
        self.mysql, self.brokers = _servers(settings, sink)
        self.others = [name for name in names_of(settings) if name != sink.name]
        self.epoch = identity.last_epoch
        self.data = data
        self.journal = where.journal
        self.place = Place(where.data, where.journal, identity.id_bytes)
        self.disk = disk
        self.clock = clock
        self.log = log
        self.announce = announce
        self.loop = new_event_loop()
        self.state_file = StateFile(disk, data, sink.name)
        self.bound = LagBound(self.settings.lag_part_max)
        words = ["--data-dir", str(data), "--journal-dir", str(where.journal)]
        words += [*(["--archive"] if self.settings.archive else []), "--parent-pid", str(os.getpid())]
        self.helper = Helper(words, self.slice_order(settings))
        self.slice_clock = SliceClock(settings.history.slice_interval_s if self.mysql is not None else 0)
        slice_s = self.settings.slice_minutes * 60.0
        self.keeper = Keeper(disk, data, self.helper, settings.slice_records, slice_s)
        self.committed = HistoryPosition()
        self.free_bytes = disk.free_bytes(data)
        self.trouble = ""
        self.diverged_at = 0  # the first record that could not be proven
        self.dumper = DumpProcess(disk, data, RECORDER, identity)
        self.dumped_at = 0
        self.idle_s = IDLE_FIRST_S
        self.sent_at = self.published_us = self.progress_at = 0.0
        self.commit_pause_s = 0.0
        self.sent_rows = 0
        self.rings_trouble = ""
        self.batches = 0  # committed
        self.places = ""  # where others find us, as the ready line says it
        self.stop_at: int | None = None  # the last sequence that is recorded before the stop
        self.is_ready = self.is_stopping = False
        self.exit_code: int = ExitCode.OK
        self.sentence = ""
        self.replica: Replica | None = None
        self.next_turn: asyncio.TimerHandle | None = None
        self.deadline: asyncio.TimerHandle | None = None
        self.link = self.new_link()

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
                address = parse_address(place)
                observer = Observer(self.sink.name, self.state, self.progress)
                monitor = Monitor(self.loop, address, observer.health, observer.metrics())
                monitor.start()
                self.places = f": monitor {monitor.bound}"
            self.link.start()
            timer.start()
            self.loop.run_forever()
        finally:
            timer.stop()
            if monitor is not None:
                monitor.stop()
            self.helper.stop()
            self.dumper.wait()
            self.link.close()
            if self.replica is not None:
                self.replica.close()
            self.state_file.close()
            self.loop.close()
        if self.sentence:
            raise ProcessExit(ExitCode(self.exit_code), self.sentence)
        _log.info("stopped: sequence %d", self.committed.sequence)
        return self.exit_code

    # -- the history ---------------------------------------------------------------------------

    def new_link(self) -> WriterLink:
        """A writer for the store."""
        return WriterLink(self.loop, self.new_order, self.take_report)

    def new_order(self) -> WriterOrder:
        """For the next writer. A store that has to be made begins at the base; history in MySQL begins at the
        first record, and without that record nowhere."""
        with suppress(system.SystemFileError):
            self.epoch = system.read_system(self.disk, self.data).last_epoch
        return WriterOrder(
            data=str(self.data),
            system_id=self.place.system_id.hex(),
            base=HistoryBase() if self.mysql is not None else read_base(self.disk, self.data),
            content=self.sink.content,
            check_bytes_max=self.settings.check_bytes_max,
            epoch=self.epoch,
            mysql=self.mysql,
            brokers=self.brokers,
            messages_keep_us=self.settings.messages_keep_hours * 3_600_000_000,
            ring_bytes=self.settings.ring_size_bytes if self.settings.rings else 0,
        )

    def take_report(self, report: Report) -> None:
        """What the writer says."""
        self.note_rings(report.rings_trouble)
        if report.kind == "rings":
            return
        if report.kind == "committed":
            self.committed = report.position
            self.batches += 1
            took_s = time.monotonic() - self.sent_at
            pause = COMMIT_PAUSE * min(1.0, self.sent_rows / PAUSE_ROWS)
            self.commit_pause_s = min(took_s * pause, COMMIT_PAUSE_MAX_S)
            if self.mysql is not None:
                wanted_s = max(took_s * COMMIT_PAUSE, MYSQL_PAUSE_MIN_S)
                self.commit_pause_s = min(wanted_s, MYSQL_PAUSE_MAX_S)
            self.calm()
            self.hurry()
        elif report.kind == "opened":
            self.committed = report.position
            self.calm()
            if self.replica is None:
                self.load(report.position, report.base.sequence if report.base is not None else 0)
            self.hurry()
        elif report.kind == "troubled":
            if not self.trouble:
                _log.critical("%s", report.text)
            elif report.text != self.trouble:
                _log.warning("%s", report.text)
            self.trouble = report.text
        elif report.kind == "alarm":
            _log.critical("%s", report.text)
        elif report.kind == "damaged":
            self.begin_again(report.text)
        else:
            self.end(ExitCode.JOURNAL_DAMAGED, report.text)

    def calm(self) -> None:
        if self.trouble:
            _log.critical("the history is written again, sequence %d", self.committed.sequence)
            self.trouble = ""

    def note_rings(self, trouble: str) -> None:
        """A missing ring makes consumers slower and nothing else; it is an alarm all the same."""
        if trouble and trouble != self.rings_trouble:
            _log.critical("%s", trouble)
        elif self.rings_trouble and not trouble:
            _log.critical("the message rings are well again")
        self.rings_trouble = trouble

    def load(self, history: HistoryPosition, begins_at: int) -> None:
        """The state at, or before, where the history has come to."""
        begun = time.monotonic()
        self.replica = Replica(self.disk, self.place, history, begins_at, self.sink.content)
        self.diverged_at = self.dumped_at = 0
        # The state holds no cycles, and a full collection over it takes a tenth of a second and more.
        gc.unfreeze()  # a replica before this one
        gc.collect()
        gc.freeze()
        gc.disable()
        _log.info(
            "the history is at sequence %d, slice %d loaded in %.2f s",
            history.sequence,
            self.replica.slice_sequence,
            time.monotonic() - begun,
        )

    def begin_again(self, what: str) -> None:
        """Sets a damaged history aside, and makes another one from the journal."""
        self.link.close()
        if self.replica is not None:
            self.replica.close()
            self.replica = None
        bad = set_aside(self.disk, self.data, self.clock.wall_us())
        _log.critical("%s; it was set aside as %s and is made again from the journal", what, bad.name)
        self.link = self.new_link()
        self.link.start()

    # -- following -----------------------------------------------------------------------------

    def hurry(self) -> None:
        """The next turn as soon as the loop comes to it."""
        self.idle_s = IDLE_FIRST_S
        if self.next_turn is not None:
            self.next_turn.cancel()
        self.next_turn = self.loop.call_later(0, self.turn)

    def turn(self) -> None:
        """Some frames into the batch, the batch to the writer when that is due; then the next turn."""
        self.next_turn = None
        replica, link = self.replica, self.link
        if replica is None:
            return
        if replica.rows >= BATCH_ROWS and link.is_full:
            return  # the next commit comes back here
        is_all = self.has_all(replica)
        count = 0 if is_all else replica.advance(TURN_BYTES)
        if replica.divergence is not None and not self.diverged_at:
            self.note_divergence(replica.divergence)
        if not self.is_ready and replica.is_caught_up:
            self.be_ready()
        now = time.monotonic()
        wait_s = self.idle_s
        if replica.has_news:
            wait_s = self.sent_at + self.commit_pause_s - now
            is_due = link.is_idle and (is_all or wait_s <= 0)
            if is_due or (replica.rows >= BATCH_ROWS and not link.is_full):
                self.send(replica, now)
        elif is_all and link.is_empty:
            self.publish(at_once=True)
            self.loop.stop()
            return
        self.publish()
        if count:
            self.show_progress(now)
            self.idle_s = IDLE_FIRST_S
            pause_s = GATHER_S if replica.has_executed_all else 0.0
        else:
            pause_s = min(self.idle_s, wait_s) if wait_s > 0 else self.idle_s
            self.idle_s = min(self.idle_s * 1.5, IDLE_MAX_S)
        self.next_turn = self.loop.call_later(pause_s, self.turn)

    def send(self, replica: Replica, now: float) -> None:
        """The batch so far to the writer."""
        self.sent_at = now
        self.sent_rows = replica.rows
        self.link.send(replica.take())

    def has_all(self, replica: Replica) -> bool:
        """Whether we are stopping, and everything that was durable when that began was executed."""
        if not self.is_stopping:
            return False
        if self.stop_at is None:
            replica.follower.refresh()
            self.stop_at = replica.follower.durable_sequence
        return replica.divergence is not None or replica.position.sequence >= self.stop_at

    def be_ready(self) -> None:
        self.is_ready = True
        line = f"{self.sink.name} ready{self.places}"
        _log.info("%s, sequence %d", line, self.committed.sequence)
        self.announce(line)

    def note_divergence(self, error: ReplayDiffers) -> None:
        """Nothing from that record on is recorded; the engine is told by the state."""
        self.diverged_at = error.sequence
        _log.critical("engine and recorder differ, nothing more is recorded: %s", error)
        self.publish(at_once=True)
        if not self.is_ready:
            self.be_ready()  # whoever waits for us need not wait any more

    def follow_to_the_dump(self) -> None:
        """Once the engine has dumped its state: on to the same sequence, and ours beside it."""
        replica = self.replica
        if not self.sink.keeps:
            return  # the other recorder dumps what this one would
        if self.dumper.poll() or replica is None or replica.unproven is None:
            return
        dumps = slices.list_slices(self.disk, dump_directory(self.data, ENGINE))
        wanted = dumps[-1].sequence if dumps else 0
        if wanted < self.diverged_at or wanted <= self.dumped_at:
            return
        if replica.unproven.advance(UNPROVEN_BYTES, wanted):
            self.dumped_at = wanted
            self.dumper.start(replica.unproven.engine, replica.unproven.position)

    def show_progress(self, now: float) -> None:
        """A line in the log while there is much to catch up."""
        replica = self.replica
        if replica is None or now - self.progress_at < PROGRESS_S:
            return
        waiting = replica.follower.durable_sequence - replica.position.sequence
        if self.progress_at and waiting > BATCH_ROWS:
            _log.info("at sequence %d, %d records to catch up", replica.position.sequence, waiting)
        self.progress_at = now

    # -- beside --------------------------------------------------------------------------------

    def publish(self, at_once: bool = False) -> None:
        """Tells the engine and monitors how far we are, not more often than they look."""
        now_us = self.clock.monotonic_us()
        if not at_once and now_us - self.published_us < STATE_PAUSE_US:
            return
        self.published_us = now_us
        if self.replica is None:
            state = self.state()
            if state is not None:
                self.state_file.publish(state)
            return
        lag_bytes = self.lag_bytes(self.replica.follower)
        if self.bound.check(lag_bytes, self.free_bytes):
            if self.bound.is_exceeded:
                _log.critical(
                    "lag too high: %d bytes of journal wait to be recorded, %d bytes are free",
                    lag_bytes,
                    self.free_bytes,
                )
            else:
                _log.critical("the lag is no longer too high: %d bytes of journal wait", lag_bytes)
        state = self.state()
        assert state is not None, "there is a replica"
        self.state_file.publish(state)

    def state(self) -> RecorderState | None:
        """How far we are now; None while there is no history to say so, nor any trouble with it."""
        if self.replica is None:
            return self.state_before_opening() if self.trouble else None
        follower = self.replica.follower
        return RecorderState(
            sequence=self.committed.sequence,
            time_us=self.committed.time_us,
            durable_sequence=follower.durable_sequence,
            lag_bytes=self.lag_bytes(follower),
            is_lag_too_high=self.bound.is_exceeded,
            is_troubled=bool(self.trouble),
            published_us=self.clock.wall_us(),
            diverged_at=self.diverged_at,
        )

    def state_before_opening(self) -> RecorderState:
        """While the store does not answer: where it was when somebody last said so."""
        known = read_recorder_state(self.disk, self.data, self.sink.name)
        sequence = known.sequence if known is not None else 0
        durable = read_durable(self.disk, self.journal, self.place.system_id) or 0
        lag_bytes = max(0, durable - sequence) * RECORD_BYTES
        self.bound.check(lag_bytes, self.free_bytes)
        return RecorderState(
            sequence=sequence,
            time_us=known.time_us if known is not None else 0,
            durable_sequence=durable,
            lag_bytes=lag_bytes,
            is_lag_too_high=self.bound.is_exceeded,
            is_troubled=True,
            published_us=self.clock.wall_us(),
        )

    def lag_bytes(self, follower: JournalFollower) -> int:
        """Of the journal that waits, estimated."""
        return int(max(0, follower.durable_sequence - self.committed.sequence) * follower.record_bytes)

    def progress(self) -> Progress:
        """What the monitor shows beside the state."""
        return Progress(
            pid=os.getpid(),
            writer_pid=self.link.process_id,
            is_ready=self.is_ready,
            batches=self.batches,
            newest_slice=self.keeper.newest,
            free_bytes=self.free_bytes,
            trouble=self.trouble,
            rings_trouble=self.rings_trouble,
        )

    def tick(self) -> None:
        """Once a second: space, slices, archive, and whether DURABLE is still the same file."""
        self.free_bytes = self.disk.free_bytes(self.data)
        if self.replica is not None:
            self.replica.follower.refresh()
        self.publish(at_once=True)
        if self.diverged_at:
            self.follow_to_the_dump()
            return  # no slice and no archive of what is in doubt
        if not self.is_ready or self.is_stopping or not self.sink.keeps:
            return
        try:
            self.keeper.tick(self.kept_sequence())
            self.ask_for_mysql_slice()
        except (slices.SliceError, OSError) as error:
            _log.error("slices can not be looked after: %s", error)

    def slice_order(self, settings: MatchengineSettings) -> bytes:
        """What the helper that writes slices into MySQL is told; nothing without MySQL."""
        if self.mysql is None:
            return b""
        history = settings.history
        return msgspec.json.encode(
            SliceOrder(
                log=self.mysql.log,
                interval_s=history.slice_interval_s,
                keep_s=history.slice_keep_s,
            )
        )

    def ask_for_mysql_slice(self) -> None:
        """A slice in the database once per interval of journal time."""
        now_us = self.committed.time_us
        if self.trouble or not now_us or not self.slice_clock.is_due(now_us, self.helper.failures):
            return
        words = ["--sequence", str(self.kept_sequence()), "--slice", "--mysql-slice"]
        if self.helper.start(words):
            self.slice_clock.asked(now_us)

    def kept_sequence(self) -> int:
        """What every recorder has committed: what comes after it is still wanted. One that never ran has
        committed nothing."""
        states = [read_recorder_state(self.disk, self.data, name) for name in self.others]
        others = [0 if state is None else state.sequence for state in states]
        return min([self.committed.sequence, *others])

    # -- the end -------------------------------------------------------------------------------

    def stop(self, signal_name: str) -> None:
        """What is durable now is recorded, then the loop ends."""
        if self.is_stopping:
            return
        _log.info("stopping: %s", signal_name)
        self.is_stopping = True
        self.deadline = self.loop.call_later(STOP_TIMEOUT_S, self.give_up)
        self.hurry()

    def give_up(self) -> None:
        """The rest is recorded after the next start."""
        _log.warning("stopped before all was recorded, at sequence %d", self.committed.sequence)
        self.loop.stop()

    def end(self, code: ExitCode, sentence: str) -> None:
        self.exit_code, self.sentence = code, sentence
        self.loop.stop()


def _servers(settings: MatchengineSettings, sink: Sink) -> tuple[MysqlPlace | None, str]:
    """The databases and the brokers of a sink, if it has any."""
    databases = settings.mysql
    if sink.store == "mysql":
        assert databases.log is not None, "the settings were checked"
        assert databases.history is not None, "the settings were checked"
        return MysqlPlace(databases.log, databases.history, settings.zone_name), ""
    return None, settings.kafka.brokers if sink.store == "kafka" else ""


def set_aside(disk: Disk, data: Path, now_us: int) -> Path:
    """Renames a history and what belongs to it; its new name. Raises: OSError."""
    path = data / HISTORY_FILE
    name = f"{HISTORY_FILE}.bad-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now_us / 1e6))}"
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    bad = next(path.with_name(name) for name in names if not disk.exists(path.with_name(name)))
    # The log first: alone, it is nobody's; beside a new file it would be taken for that one's.
    for suffix in ("-wal", "-shm", ""):
        old = path.with_name(path.name + suffix)
        if disk.exists(old):
            disk.rename(old, bad.with_name(bad.name + suffix))
    disk.sync_directory(data)
    return bad
