"""The recorder's own copy of the state, moved on by the journal: frames in, a batch for the history out.

    slice at or below the history's position --load--> engine
    frames up to that position               --apply--> engine            silent: the history has their rows
    frames after it                          --apply, derive--> batch --take--> writer

Replay proves every outcome, as a recovery does, so a row can only say what the live engine decided.
At the history's position the outcome digests must be equal: a history of another past is refused.
A batch holds frames of one epoch only, because its messages say which one it is.

A record that can not be proven ends that: the batch holds what came before its frame, `divergence` says what
differs, and from there on `UnprovenReplay` only follows the engine to where its state can be compared.

It executes and collects; what is done with the batches, and when to move on, is the caller's.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec

from matchengine import recovery, slices
from matchengine.core.engine import Engine
from matchengine.core.events import Event
from matchengine.journal import format as layout
from matchengine.journal.archive import ARCHIVE_DIRECTORY
from matchengine.journal.follower import JournalAhead, JournalFollower
from matchengine.journal.reader import Frame
from matchengine.journal.record import decode_records
from matchengine.position import Position
from matchengine.recorder.derive import Deriver
from vxutils.disk import Disk
from vxutils.store.embedded.schema import Content, HistoryBatch, HistoryPosition, Row

_log = logging.getLogger("vx.recorder.replica")


class HistoryAhead(layout.JournalError):
    """The history has come further than the journal, or along another way."""


class Place(msgspec.Struct, frozen=True):
    """Where a replica finds its state: directories of one system."""

    data: Path
    journal: Path
    system_id: bytes


class UnprovenReplay:
    """Goes on behind a record that could not be proven, to see what becomes of the state.

    The chains are taken from the journal: what is compared in the end is the state.
    """

    def __init__(
        self, engine: Engine, position: Position, frames: list[Frame], follower: JournalFollower
    ) -> None:
        self.engine = engine
        self.position = position
        self._frames = frames
        self._follower = follower

    def advance(self, bytes_max: int, through: int) -> bool:
        """Executes some frames up to sequence `through`; whether it is there. Raises: JournalError."""
        if not self._frames and self.position.sequence < through:
            self._frames = self._follower.poll(bytes_max)
        frames, self._frames = self._frames, []
        for number, frame in enumerate(frames):
            if self.position.sequence >= through:
                self._frames = frames[number:]
                break
            recovery.execute_unproven(self.engine, self.position, frame)
        return self.position.sequence >= through


class Replica:
    """Engine, follower and the batch being filled. `history` is the position of the history that it is for.

    `begins_at`: the sequence before which that history has nothing; its position there has no digest.
    `content`: what goes into the batches.

    Raises: JournalError, SliceError; all are sentences for the operator.
    """

    def __init__(
        self,
        disk: Disk,
        place: Place,
        history: HistoryPosition,
        begins_at: int = 0,
        content: Content = "all",
    ) -> None:
        self._has_rows = content != "messages"
        self._has_messages = content != "rows"
        self._history = history
        self._begins_at = begins_at
        self._engine, self.position = Engine(), Position()
        directory = place.data / recovery.SLICES_DIRECTORY
        good, warnings = slices.newest_good_slice(disk, directory, place.system_id, history.sequence)
        for warning in warnings:
            _log.critical("%s", warning)
        if good is not None:
            self._engine, self.position = recovery.load_slice(disk, good)
        self.slice_sequence = self.position.sequence
        self.follower = JournalFollower(
            disk,
            place.journal,
            place.data / ARCHIVE_DIRECTORY,
            place.system_id,
            from_sequence=self.slice_sequence + 1,
            floor=history.sequence,
        )
        self._deriver = Deriver(self._engine, content)
        self._events: list[Event] = []
        self._begin_batch(history.sequence)
        self._epoch = history.epoch
        self._frames: list[Frame] = []  # of the next epoch, when the batch has some of this one
        self.divergence: recovery.ReplayDiffers | None = None
        self.unproven: UnprovenReplay | None = None
        if self.is_caught_up:
            self._meet_history()

    @property
    def is_caught_up(self) -> bool:
        """Whether it has reached the history's position; what comes then is new."""
        return self.position.sequence >= self._history.sequence

    @property
    def has_executed_all(self) -> bool:
        """Whether no more is durable than what was executed."""
        return self.position.sequence >= self.follower.durable_sequence

    @property
    def rows(self) -> int:
        """Rows and messages in the batch being filled."""
        return (
            len(self._operlog)
            + len(self._balances)
            + len(self._orders)
            + len(self._deals)
            + len(self._messages)
        )

    @property
    def has_news(self) -> bool:
        """Whether `take` would return a batch."""
        return self.position.sequence > self._after

    def advance(self, bytes_max: int) -> int:
        """Executes the next durable frames, of together about `bytes_max` bytes; the number of records.

        0 from a frame on that can not be proven: see `divergence`; and before a frame of another epoch than
        those of the batch, until that is taken. Raises: JournalError.
        """
        if self.divergence is not None:
            return 0
        try:
            frames = self._frames or self.follower.poll(bytes_max)
        except JournalAhead as error:
            if self.is_caught_up:
                raise
            raise HistoryAhead(
                f"the history is at sequence {self._history.sequence}, ahead of the journal: {error}"
            ) from error
        self._frames = []
        count = 0
        for number, frame in enumerate(frames):
            if frame.epoch != self._epoch and self.has_news:
                self._frames = frames[number:]
                break
            before, sizes = msgspec.structs.replace(self.position), self._sizes()
            try:
                if self.is_caught_up:
                    self._derive(frame)
                else:
                    self._replay(frame)
            except recovery.ReplayDiffers as error:
                self._diverge(error, before, sizes, frames[number:])
                break
            self._epoch = frame.epoch
            count += frame.count
        return count

    def take(self) -> HistoryBatch:
        """The batch so far; another one is begun."""
        position = self.position
        batch = HistoryBatch(
            self._after,
            HistoryPosition(position.sequence, self._epoch, position.time_us, position.digest),
            self._operlog,
            self._balances,
            self._orders,
            self._deals,
            self._messages,
        )
        self._begin_batch(position.sequence)
        return batch

    def close(self) -> None:
        self.follower.close()

    def _diverge(
        self, error: recovery.ReplayDiffers, before: Position, sizes: list[int], frames: list[Frame]
    ) -> None:
        """Nothing of the frame that `error` is about, the first of `frames`, is for the history."""
        for rows, size in zip(self._batch(), sizes, strict=True):
            del rows[size:]
        self._events.clear()
        self._engine.events = None
        self.divergence = error
        applied = msgspec.structs.replace(self.position, sequence=error.sequence)
        self.unproven = UnprovenReplay(self._engine, applied, frames, self.follower)
        self.position = before

    def _batch(self) -> tuple[list[Any], ...]:
        return self._operlog, self._balances, self._orders, self._deals, self._messages

    def _sizes(self) -> list[int]:
        return [len(rows) for rows in self._batch()]

    def _begin_batch(self, after: int) -> None:
        self._after = after
        self._operlog: list[Row] = []
        self._balances: list[Row] = []
        self._orders: list[Row] = []
        self._deals: list[Row] = []
        self._messages: list[tuple[str, int, int, str]] = []

    def _replay(self, frame: Frame) -> None:
        """Silently: the history knows what came of it."""
        position = self.position
        outcomes = [
            recovery.replay_record(self._engine, position, record, frame)
            for record in decode_records(frame.payload)
        ]
        recovery.prove_frame(position, frame, outcomes)
        if self.is_caught_up:
            self._meet_history()

    def _meet_history(self) -> None:
        """From here on events are wanted; before, the history must be one of this journal."""
        position, history = self.position, self._history
        if position.sequence != history.sequence or (
            history.sequence != self._begins_at and position.digest != history.digest
        ):
            raise HistoryAhead(
                f"the history at sequence {history.sequence} is not one of this journal: their outcome "
                "digests differ. One of them was put back from an older copy; put back the other from the "
                "same backup, or move the history away: it is made again from the journal"
            )
        self._engine.events = self._events

    def _derive(self, frame: Frame) -> None:
        engine, position, events = self._engine, self.position, self._events
        derive = self._deriver.derive
        outcomes: list[bytes] = []
        for record in decode_records(frame.payload):
            outcomes.append(recovery.replay_record(engine, position, record, frame))
            derived = derive(record, events)
            events.clear()
            if self._has_rows:
                if derived.operlog is not None:
                    self._operlog.append(derived.operlog)
                self._balances += derived.balance_rows
                self._orders += derived.order_rows
                self._deals += derived.deal_rows
            if self._has_messages:
                sequence = record.sequence
                for number, (topic, payload) in enumerate(derived.messages):
                    self._messages.append((topic, sequence, number, payload))
        recovery.prove_frame(position, frame, outcomes)
