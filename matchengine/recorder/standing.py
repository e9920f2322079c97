"""How far one recorder is, for everybody else: the state file, and whether too much of the journal waits.

    committed, durable, trouble --> run/<name>/STATE --> the engine refuses new orders, monitors show it
                                       `-- more journal waits than the disk can bear: an alarm

Nothing is recorded or refused here. The lag in bytes is an estimate.
"""

from __future__ import annotations

import logging
from typing import Final

from matchengine.journal.durable import read_durable
from matchengine.journal.follower import JournalFollower
from matchengine.recorder.lag import LagBound, RecorderState, StateFile, read_recorder_state
from matchengine.recorder.recording import Recording
from matchengine.recorder.replica import Place
from vxnet.clock import Clock
from vxutils.disk import Disk

RECORD_BYTES: Final = 256
"""Of a record in the journal, guessed high, where nobody has counted yet."""

STATE_PAUSE_US: Final = 50_000
"""Between two published states: as often as anybody looks."""

_log = logging.getLogger("vx.recorder")


class Standing:
    """Of one recording, published as the recorder `name`. Raises: OSError."""

    def __init__(
        self,
        recording: Recording,
        disk: Disk,
        clock: Clock,
        place: Place,
        name: str,
        lag_part_max: float,
    ) -> None:
        self._recording = recording
        self._disk = disk
        self._clock = clock
        self._place = place
        self._name = name
        self._file = StateFile(disk, place.data, name)
        self._bound = LagBound(lag_part_max)
        self._published_us = 0
        self._is_refused = False
        self.free_bytes = 0
        self.look_at_space()

    def look_at_space(self) -> None:
        """Renews `free_bytes`, the space that the journal may still take. Raises: OSError."""
        self.free_bytes = self._disk.free_bytes(self._place.data)

    def publish(self, at_once: bool = False) -> None:
        """Tells the engine and monitors how far we are, not more often than they look. Raises: OSError."""
        now_us = self._clock.monotonic_us()
        if not at_once and now_us - self._published_us < STATE_PAUSE_US:
            return
        self._published_us = now_us
        replica = self._recording.replica
        if replica is not None:
            self._check_lag(self._lag_bytes(replica.follower))
        state = self.state()
        if state is not None:
            self._file.publish(state)

    def publish_refusal(self) -> None:
        """The store must not be written by us: the engine should not go on as if it were. Raises: OSError."""
        self._is_refused = True  # whatever is still published before we end says so too
        self._file.publish(self.state() or self._state_before_opening())

    def state(self) -> RecorderState | None:
        """How far we are now; None while there is no history to say so, nor any trouble with it."""
        recording = self._recording
        if recording.replica is None:
            return self._state_before_opening() if recording.trouble else None
        follower = recording.replica.follower
        return RecorderState(
            sequence=recording.committed.sequence,
            time_us=recording.committed.time_us,
            durable_sequence=follower.durable_sequence,
            lag_bytes=self._lag_bytes(follower),
            is_lag_too_high=self._bound.is_exceeded,
            is_troubled=bool(recording.trouble),
            published_us=self._clock.wall_us(),
            diverged_at=recording.diverged_at,
            is_refused=self._is_refused,
        )

    def close(self) -> None:
        self._file.close()

    def _state_before_opening(self) -> RecorderState:
        """While the store does not answer: where it was when somebody last said so."""
        known = read_recorder_state(self._disk, self._place.data, self._name)
        sequence = known.sequence if known is not None else 0
        durable = read_durable(self._disk, self._place.journal, self._place.system_id) or 0
        lag_bytes = max(0, durable - sequence) * RECORD_BYTES
        self._bound.check(lag_bytes, self.free_bytes)
        return RecorderState(
            sequence=sequence,
            time_us=known.time_us if known is not None else 0,
            durable_sequence=durable,
            lag_bytes=lag_bytes,
            is_lag_too_high=self._bound.is_exceeded,
            is_troubled=True,
            published_us=self._clock.wall_us(),
            is_refused=self._is_refused or (known is not None and known.is_refused),
        )

    def _check_lag(self, lag_bytes: int) -> None:
        if not self._bound.check(lag_bytes, self.free_bytes):
            return
        if self._bound.is_exceeded:
            _log.critical(
                "lag too high: %d bytes of journal wait to be recorded, %d bytes are free",
                lag_bytes,
                self.free_bytes,
            )
        else:
            _log.critical("the lag is no longer too high: %d bytes of journal wait", lag_bytes)

    def _lag_bytes(self, follower: JournalFollower) -> int:
        waiting = max(0, follower.durable_sequence - self._recording.committed.sequence)
        return int(waiting * follower.record_bytes)
