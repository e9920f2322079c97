"""The two ends of any ring: one that owns the segment, and one that finds it again and again.

What both rings have in common: the owner beats once a second and makes the segment anew when somebody removed
its name; a reader attaches when it can, and lets go of a segment that is out of use or no longer has its
name. Nothing here knows what is in the ring.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from vxutils.ring.segment import (
    GENERATION_CELL,
    HEARTBEAT_CELL,
    RingError,
    Segment,
)

DEAD_AFTER_US = 3_000_000  # three missed beats
LOOK_EVERY_US = 100_000  # how often a reader asks the system whether the name still leads to its segment


def monotonic_us() -> int:
    """CLOCK_MONOTONIC, which all processes of a host share."""
    return time.monotonic_ns() // 1000


class RingOwner(ABC):
    """Makes, keeps and removes the segment of one name.

    One process at a time owns a name: it holds the lock of the data directory.
    """

    def __init__(self, name: str, now: Callable[[], int]) -> None:
        self.name = name
        self._now = now
        self._segment = self._make()
        self.generation = self._segment.begin(now())

    @abstractmethod
    def _make(self) -> Segment:
        """A new segment, its cells filled. Raises: RingError."""

    def beat(self, now_us: int) -> None:
        """Tells readers that the writer lives. `now_us` is monotonic."""
        self._segment.cells[HEARTBEAT_CELL] = now_us

    def check(self) -> bool:
        """Makes the segment anew if its name is gone or leads elsewhere; True when it did.

        A new segment is empty: the owner of a snapshot publishes again. To be called about once a second.
        Raises: RingError; the old segment stays in use by those who have it mapped.
        """
        if self._segment.is_named():
            return False
        made = self._make()
        self._segment.retire()
        self._segment.close()
        self._segment = made
        self.generation = made.begin(self._now())
        return True

    def close(self, unlink: bool = True) -> None:
        """Ends the ring; readers know at once. `unlink=False` leaves everything as a killed process does."""
        if unlink:
            self._segment.retire()
            self._segment.unlink()
        self._segment.close()


class RingReader(ABC):
    """Follows the ring of one name through restarts of its owner. One thread."""

    def __init__(self, name: str, kind: bytes, now: Callable[[], int], dead_after_us: int) -> None:
        self.name = name
        self.generation = 0  # of the ring that was read last
        self.reattached = 0  # times another ring was found under the name
        self.torn = 0  # reads that met the writer at work and were repeated
        self._kind = kind
        self._now = now
        self._dead_after_us = dead_after_us
        self._segment: Segment | None = None
        self._look_at_us = 0

    @abstractmethod
    def _attached(self, segment: Segment) -> bool:
        """Takes over a new segment; False if its own constants make no sense."""

    @property
    def is_attached(self) -> bool:
        """Whether there is a ring in use, as far as was seen at the last read."""
        return self._segment is not None

    @property
    def is_alive(self) -> bool:
        """Whether there is a ring and its writer has beaten lately."""
        segment = self._find()
        return segment is not None and self._is_beating(segment)

    def close(self) -> None:
        """Lets go of the ring; the next read attaches again."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _is_beating(self, segment: Segment) -> bool:
        return self._now() - segment.cells[HEARTBEAT_CELL] <= self._dead_after_us

    def _find(self) -> Segment | None:
        """The segment in use, None if there is none. A system call at most once in LOOK_EVERY_US."""
        segment = self._segment
        if segment is not None and segment.cells[GENERATION_CELL] != self.generation:
            self.close()
            self._look_at_us = 0  # out of use: its successor is being made, or is there
            segment = None
        now_us = self._now()
        if now_us < self._look_at_us:
            return segment
        self._look_at_us = now_us + LOOK_EVERY_US
        if segment is not None:
            if segment.is_named():
                return segment
            self.close()
        return self._attach()

    def _attach(self) -> Segment | None:
        try:
            segment = Segment.attach(self.name, self._kind)
        except RingError:
            return None
        generation = segment.cells[GENERATION_CELL]
        if not generation or not self._attached(segment):
            segment.close()
            return None
        if self.generation and generation != self.generation:
            self.reattached += 1
        self.generation = generation
        self._segment = segment
        return segment
