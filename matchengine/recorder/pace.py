"""When the next batch goes to the writer, and when the journal is looked at again: times only, no clock.

A commit writes the same pages of the indexes whether it is small or large. So few rows are sent soon, for
those who wait for messages; with many the writer rests as long as it works, which leaves processor and disk
to the engine, and batches become larger. In between the pause grows with the rows.

A batch costs MySQL some 30 ms however small it is, and nobody waits for these rows but queries of history:
its pauses are longer, its batches larger, and the journal is looked at more seldom. What is in a batch, and
whether the writer is idle, is the caller's.
"""

from __future__ import annotations

from typing import Final

from matchengine.recorder.sinks import Store

BATCH_ROWS: Final = 30_000  # with a backlog: some 7 MB and 0.3 s; a third faster than batches of 10,000
GATHER_S: Final = 0.002  # after the last frame that is there: the next ones come together, and cost half then
KAFKA_GATHER_S: Final = 0.005  # a transaction takes some ten times as long
IDLE_FIRST_S: Final = 0.001
IDLE_MAX_S: Final = 0.002  # between two looks at the journal: what a trade waits at most when all is quiet
IDLE_GROWTH: Final = 1.5

COMMIT_PAUSE: Final = 2.0
"""From one batch to the next, in times of what the commit took."""

PAUSE_ROWS: Final = 200
"""Those of some ten trades: from here on the pause is a whole one."""

COMMIT_PAUSE_MAX_S: Final = 0.1
MYSQL_PAUSE_MIN_S: Final = 0.25
MYSQL_PAUSE_MAX_S: Final = 2.0
MYSQL_BATCH_ROWS: Final = 60_000  # some 6,000 trades: each of 500 tables gets some rows then
MYSQL_LOOK_S: Final = 0.05


_GATHER_S: Final[dict[Store, float]] = {
    "embedded": GATHER_S,
    "kafka": KAFKA_GATHER_S,
    "mysql": MYSQL_LOOK_S,
}


class Pace:
    """Of one sink. All times are seconds of one monotonic clock.

    `batch_rows`: a batch of so many rows and messages goes whether it is due or not, unless too many wait
    already. `gather_s`: until the next look when all that was durable has been executed.
    """

    def __init__(self, store: Store) -> None:
        self._is_mysql = is_mysql = store == "mysql"
        self.batch_rows = MYSQL_BATCH_ROWS if is_mysql else BATCH_ROWS
        self.gather_s = _GATHER_S[store]
        self._idle_max_s = MYSQL_LOOK_S if is_mysql else IDLE_MAX_S
        self._sent_at = 0.0
        self._rows = 0
        self._pause_s = 0.0
        self._idle_s = IDLE_FIRST_S

    def sent(self, rows: int, now: float) -> None:
        """A batch of so many rows and messages went to the writer."""
        self._sent_at = now
        self._rows = rows

    def committed(self, now: float) -> None:
        """The writer has committed the latest batch."""
        took_s = now - self._sent_at
        if self._is_mysql:
            wanted_s = max(took_s * COMMIT_PAUSE, MYSQL_PAUSE_MIN_S)
            self._pause_s = min(wanted_s, MYSQL_PAUSE_MAX_S)
        else:
            pause = COMMIT_PAUSE * min(1.0, self._rows / PAUSE_ROWS)
            self._pause_s = min(took_s * pause, COMMIT_PAUSE_MAX_S)

    def until_due(self, now: float) -> float:
        """Seconds until the next batch should go; 0 or less when it is due."""
        return self._sent_at + self._pause_s - now

    def hurry(self) -> None:
        """Something has come: the next look is a soon one."""
        self._idle_s = IDLE_FIRST_S

    def idle(self, until_due_s: float) -> float:
        """Seconds until the next look at a journal that had nothing new; each pause is a little longer."""
        pause_s = min(self._idle_s, until_due_s) if until_due_s > 0 else self._idle_s
        self._idle_s = min(self._idle_s * IDLE_GROWTH, self._idle_max_s)
        return pause_s
