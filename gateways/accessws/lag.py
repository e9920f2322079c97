"""How far the messages of the recorder are behind the engine, in seconds.

    engine's sequence, when it was first seen  --.
                                                 +--> the oldest one not yet recorded: that long behind
    recorder's sequence ------------------------ '

A sequence is not a message: some records cause none. So what the recorder has come to is asked of it, not
concluded from the last message, where it can be asked. On another host it can not: there the first sight of
the engine counts as recorded, and one record after the last message may be a mark, of which there are never
two in a row. Pure; times are loop seconds.
"""

from __future__ import annotations

from collections import deque
from typing import Final

SAMPLE_S: Final = 0.1
SAMPLES_MAX: Final = 6_000
"""Ten minutes; a lag that is longer is shown as that long at least."""


class LagWatch:
    """Fed with sequences as they are seen. `by_messages`: of the recorder only those of messages are."""

    def __init__(self, *, by_messages: bool = False) -> None:
        self._by_messages = by_messages
        self.engine = 0
        self.recorder = 0
        self._samples: deque[tuple[int, float]] = deque()

    def saw_engine(self, sequence: int, now: float) -> None:
        """The engine has come to this."""
        if sequence <= self.engine:
            return
        if self._by_messages and not self.engine:
            self.recorder = max(self.recorder, sequence)
        self.engine = sequence
        if sequence <= self._recorded:
            return
        samples = self._samples
        if samples and (now - samples[-1][1] < SAMPLE_S or len(samples) >= SAMPLES_MAX):
            samples[-1] = (sequence, samples[-1][1])
        else:
            samples.append((sequence, now))

    def saw_recorder(self, sequence: int) -> None:
        """Everything up to this is recorded."""
        self.recorder = max(self.recorder, sequence)
        samples = self._samples
        while samples and samples[0][0] <= self._recorded:
            samples.popleft()

    def begin_again(self) -> None:
        """The engine may be at an earlier sequence than before."""
        self.engine = self.recorder = 0
        self._samples.clear()

    @property
    def _recorded(self) -> int:
        """What comes after it has a message, or would have been seen recorded."""
        return self.recorder + 1 if self._by_messages else self.recorder

    @property
    def is_behind(self) -> bool:
        """Whether the engine was seen beyond what is recorded."""
        return bool(self._samples)

    def behind_s(self, now: float) -> float:
        """Seconds since the oldest sequence was seen that is not recorded; 0 when all are."""
        return now - self._samples[0][1] if self._samples else 0.0
