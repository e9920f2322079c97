"""One sink, from the journal into its store: a writer, a replica, and the turns between them.

    writer (process) opens the store --position--> replica from a slice, silent up to that position --> ready
    turn: journal --frames--> replica --batch--> writer --committed--> the next batch when it is due (`pace`)
    stop: what was durable when the signal came is executed, sent and committed

A history that is damaged is set aside (`history.db.bad-<time>`) and made again from the journal, while the
exchange goes on. kill -9 of this process or the writer at any time: the position in the history says where to
go on, and nothing is written twice.

Nothing here derives or writes rows: `replica` and `writer` do. Slices, published state and dumps are others'.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from matchengine.recorder.link import WriterLink
from matchengine.recorder.pace import Pace
from matchengine.recorder.replica import Place, Replica
from matchengine.recorder.sinks import Sink
from matchengine.recorder.wire import Report
from matchengine.recorder.writer import WriterOrder
from matchengine.recovery import ReplayDiffers
from vxnet.clock import Clock
from vxutils.disk import Disk
from vxutils.store.embedded.schema import HISTORY_FILE, HistoryPosition

TURN_BYTES: Final = 64 << 10  # of frames: some 10 ms of work
PROGRESS_S: Final = 10.0
PROGRESS_RECORDS: Final = 30_000  # fewer are caught up with before anybody reads the line

_log = logging.getLogger("vx.recorder")


class Owner(Protocol):
    """Who is told what becomes of a recording."""

    def publish(self, at_once: bool = False) -> None:
        """Something has moved; `at_once`: others should know now."""

    def loaded(self) -> None:
        """There is a replica, another one than before."""

    def ready(self) -> None:
        """The history's position is reached; what comes now is new. Once."""

    def recorded_all(self) -> None:
        """After `finish`: everything that was durable then is committed."""

    def refused(self, sentence: str) -> None:
        """The store must not be written by us at all."""


class Recording:
    """The recording of one sink, told to `owner`. The loop runs `turn` from the opening of the store on.

    `committed`: as far as the store has come. `trouble`, `rings_trouble`: why history or rings are not
    written, empty while they are. `diverged_at`: the first record that could not be proven, 0 if there is
    none; nothing from there on is recorded. `batches`: committed so far.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sink: Sink,
        place: Place,
        next_order: Callable[[], WriterOrder],
        disk: Disk,
        clock: Clock,
        owner: Owner,
    ) -> None:
        self.committed = HistoryPosition()
        self.trouble = ""
        self.rings_trouble = ""
        self.diverged_at = 0
        self.batches = 0
        self.is_ready = self.is_stopping = False
        self.replica: Replica | None = None
        self._loop = loop
        self._sink = sink
        self._place = place
        self._next_order = next_order
        self._disk = disk
        self._clock = clock
        self._owner = owner
        self._pace = Pace(sink.store)
        self._progress_at = 0.0
        self._stop_at: int | None = None  # the last sequence that is recorded before the stop
        self._next_turn: asyncio.TimerHandle | None = None
        self._link = self._new_link()

    @property
    def writer_pid(self) -> int:
        """Of the present writer, 0 if there is none."""
        return self._link.process_id

    def start(self) -> None:
        """Starts the writer; the rest follows from what it says. Raises: OSError."""
        self._link.start()

    def finish(self) -> None:
        """What is durable now is still recorded; then `recorded_all`."""
        self.is_stopping = True
        self._hurry()

    def close(self) -> None:
        """Ends the writer; what is not committed is recorded after the next start."""
        self._link.close()
        if self.replica is not None:
            self.replica.close()

    # -- the store -----------------------------------------------------------------------------

    def _new_link(self) -> WriterLink:
        return WriterLink(self._loop, self._next_order, self._take_report)

    def _take_report(self, report: Report) -> None:
        """What the writer says."""
        self._note_rings(report.rings_trouble)
        if report.kind == "rings":
            return
        if report.kind == "committed":
            self.committed = report.position
            self.batches += 1
            self._pace.committed(time.monotonic())
            self._calm()
            self._hurry()
        elif report.kind == "opened":
            self.committed = report.position
            self._calm()
            if self.replica is None:
                self._load(report.position, report.base.sequence if report.base is not None else 0)
            self._hurry()
        elif report.kind == "troubled":
            if not self.trouble:
                _log.critical("%s", report.text)
            elif report.text != self.trouble:
                _log.warning("%s", report.text)
            self.trouble = report.text
        elif report.kind == "alarm":
            _log.critical("%s", report.text)
        elif report.kind == "damaged":
            self._begin_again(report.text)
        else:
            self._owner.refused(report.text)

    def _calm(self) -> None:
        if self.trouble:
            _log.critical("the history is written again, sequence %d", self.committed.sequence)
            self.trouble = ""

    def _note_rings(self, trouble: str) -> None:
        """A missing ring makes consumers slower and nothing else; it is an alarm all the same."""
        if trouble and trouble != self.rings_trouble:
            _log.critical("%s", trouble)
        elif self.rings_trouble and not trouble:
            _log.critical("the message rings are well again")
        self.rings_trouble = trouble

    def _load(self, history: HistoryPosition, begins_at: int) -> None:
        """The state at, or before, where the history has come to."""
        begun = time.monotonic()
        self.replica = Replica(self._disk, self._place, history, begins_at, self._sink.content)
        self.diverged_at = 0
        self._owner.loaded()
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

    def _begin_again(self, what: str) -> None:
        """Sets a damaged history aside, and makes another one from the journal."""
        self.close()
        self.replica = None
        bad = set_aside(self._disk, self._place.data, self._clock.wall_us())
        _log.critical("%s; it was set aside as %s and is made again from the journal", what, bad.name)
        self._link = self._new_link()
        self._link.start()

    # -- turns ---------------------------------------------------------------------------------

    def _hurry(self) -> None:
        """The next turn as soon as the loop comes to it."""
        self._pace.hurry()
        if self._next_turn is not None:
            self._next_turn.cancel()
        self._next_turn = self._loop.call_later(0, self._turn)

    def _turn(self) -> None:
        """Some frames into the batch, the batch to the writer when that is due; then the next turn."""
        self._next_turn = None
        replica, link = self.replica, self._link
        if replica is None:
            return
        batch_rows = self._pace.batch_rows
        if replica.rows >= batch_rows and link.is_full:
            return  # the next commit comes back here
        is_all = self._has_all(replica)
        count = 0 if is_all else replica.advance(TURN_BYTES)
        if replica.divergence is not None and not self.diverged_at:
            self._note_divergence(replica.divergence)
        if not self.is_ready and replica.is_caught_up:
            self._be_ready()
        now = time.monotonic()
        until_due_s = 0.0
        if replica.has_news:
            until_due_s = self._pace.until_due(now)
            is_due = link.is_idle and (is_all or until_due_s <= 0)
            if is_due or (replica.rows >= batch_rows and not link.is_full):
                self._pace.sent(replica.rows, now)
                link.send(replica.take())
        elif is_all and link.is_empty:
            self._owner.publish(at_once=True)
            self._owner.recorded_all()
            return
        self._owner.publish()
        if count:
            self._show_progress(now)
            self._pace.hurry()
            pause_s = self._pace.gather_s if replica.has_executed_all else 0.0
        else:
            pause_s = self._pace.idle(until_due_s)
        self._next_turn = self._loop.call_later(pause_s, self._turn)

    def _has_all(self, replica: Replica) -> bool:
        """Whether we are stopping, and everything that was durable when that began was executed."""
        if not self.is_stopping:
            return False
        if self._stop_at is None:
            replica.follower.refresh()
            self._stop_at = replica.follower.durable_sequence
        return replica.divergence is not None or replica.position.sequence >= self._stop_at

    def _be_ready(self) -> None:
        self.is_ready = True
        self._owner.ready()

    def _note_divergence(self, error: ReplayDiffers) -> None:
        """Nothing from that record on is recorded; the engine is told by the state."""
        self.diverged_at = error.sequence
        _log.critical("engine and recorder differ, nothing more is recorded: %s", error)
        self._owner.publish(at_once=True)
        if not self.is_ready:
            self._be_ready()  # whoever waits for us need not wait any more

    def _show_progress(self, now: float) -> None:
        """A line in the log while there is much to catch up."""
        replica = self.replica
        if replica is None or now - self._progress_at < PROGRESS_S:
            return
        waiting = replica.follower.durable_sequence - replica.position.sequence
        if self._progress_at and waiting > PROGRESS_RECORDS:
            _log.info("at sequence %d, %d records to catch up", replica.position.sequence, waiting)
        self._progress_at = now


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
