"""What is to be sent to one client, and what becomes of it when the client is slow.

    queue(frame) ---------- client keeps up --> frames --end of the turn--> one `connection.send`
    queue(frame, topic) --'
                  `-- client is slow: a frame of a topic is dropped and its topic remembered (conflated);
                                      any other frame waits ------ drained --> frames, then the state of
                                                                               each remembered topic

A client is slow while more than SLOW_BYTES wait in its connection. What waits here is bounded: more closes
the connection with 1013 (try again later). What waits in the connection has its own bound, since one large
reply is no sign of a slow client. A topic is conflated whole, never its
differences: what the client gets after it was slow is the full state, from which later differences count.

One `Outbox` serves all clients of a worker: it flushes each client that was given something once per turn of
the loop, and owns the counters. After a flush that took long it asks for as long a rest, in which changes add
up: with very many clients each gets fewer pushes with more in them, and the worker keeps half of its time for
requests, the machine for the processes which the pushes come from. Nothing is encoded here.

Source: RFC 6455 7.4.1 and the IANA registry (1013).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final, Protocol

from vxutils.ws import Frame

SLOW_BYTES: Final = 64 * 1024
"""Unsent bytes from which on a client is slow: some hundred pushes that its kernel buffer did not take."""

RESUMED_BYTES: Final = SLOW_BYTES // 4
"""Unsent bytes at which it is so no longer."""

LONG_FLUSH_S: Final = 0.002
"""A flush that took longer is followed by a rest: some hundred clients."""

REST_MAX_S: Final = 0.5

TOO_SLOW_CODE: Final = 1013
TOO_SLOW_REASON: Final = "too slow"


class Connection(Protocol):
    """What is needed of a websocket connection."""

    @property
    def pending_output(self) -> int: ...

    @property
    def is_open(self) -> bool: ...

    def send(self, frames: Sequence[Frame]) -> None: ...

    def close(self, code: int, reason: str = "") -> None: ...


class Conflatable(Protocol):
    """A topic whose newest state replaces everything that was pushed before."""

    def full_frame(self) -> Frame | None:
        """The whole state as a push; None if there is none at present."""


class Outbox:
    """The clients of one worker that have something to be sent; `queue_bytes_max` bounds each of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, queue_bytes_max: int) -> None:
        self.queue_bytes_max = queue_bytes_max
        self.conflated = 0
        """Frames that a later state replaced."""
        self.disconnected_slow = 0
        self.slow: dict[Outgoing, None] = {}
        self._loop = loop
        self._waiting: list[Outgoing] = []
        self._rests_until = 0.0

    def open(self, connection: Connection) -> Outgoing:
        """The queue of a new connection."""
        return Outgoing(self, connection)

    @property
    def is_resting(self) -> bool:
        """Whether new pushes had better wait: so much was sent just now."""
        return time.monotonic() < self._rests_until  # the loop's clock stands still within a turn

    def look_at_slow(self) -> None:
        """Resume those that have caught up; called now and then, in case nobody said so."""
        for outgoing in list(self.slow):
            if outgoing.connection.pending_output <= RESUMED_BYTES:
                outgoing.drained()

    def flush(self) -> None:
        """Send what was queued, to each client in one piece."""
        begun = time.monotonic()
        waiting, self._waiting = self._waiting, []
        for outgoing in waiting:
            outgoing.flush()
        now = time.monotonic()
        if now - begun > LONG_FLUSH_S:
            self._rests_until = now + min(now - begun, REST_MAX_S)

    def schedule(self, outgoing: Outgoing) -> None:
        """It gets its turn at the end of this turn of the loop."""
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append(outgoing)

    def close_later(self, outgoing: Outgoing, code: int, reason: str) -> None:
        """Close the connection at the end of this turn, behind what is queued by then."""
        self._loop.call_soon(outgoing.end, code, reason)


class Outgoing:
    """The queue of one client."""

    __slots__ = ("_box", "_frames", "_held_bytes", "_is_slow", "_topics", "connection")

    def __init__(self, box: Outbox, connection: Connection) -> None:
        self.connection = connection
        self._box = box
        self._frames: list[Frame] = []
        self._topics: dict[Conflatable, None] = {}
        self._held_bytes = 0
        self._is_slow = False

    def queue(self, frame: Frame, topic: Conflatable | None = None) -> None:
        """Send `frame` at the end of this turn, in order; when the client is slow, later.

        `topic`: its full state may take the place of the frame. Too much waiting closes the connection.
        """
        if self._is_slow:
            self._hold(frame, topic)
            return
        frames = self._frames
        if not frames:
            self._box.schedule(self)
        frames.append(frame)

    def forget(self, topic: Conflatable) -> None:
        """The client wants no more of the topic: its state is not sent once the client has caught up."""
        self._topics.pop(topic, None)

    def flush(self) -> None:
        """Send what is queued now."""
        frames = self._frames
        if not frames or self._is_slow:
            return
        self._frames = []
        connection = self.connection
        if not connection.is_open:
            return
        connection.send(frames)
        if connection.pending_output > SLOW_BYTES:
            self._is_slow = True
            self._box.slow[self] = None

    def drained(self) -> None:
        """The connection has sent most of what it had: what was held follows."""
        if not self._is_slow:
            return
        self._is_slow = False
        self._held_bytes = 0
        del self._box.slow[self]
        topics, self._topics = self._topics, {}
        states = [frame for topic in topics if (frame := topic.full_frame()) is not None]
        self._frames += states
        self.flush()

    def end(self, code: int, reason: str) -> None:
        """Send what is queued, and close the connection."""
        self.flush()
        self.connection.close(code, reason)

    def close(self) -> None:
        """The connection is gone; what was queued is dropped."""
        self._frames = []
        self._topics = {}
        if self._is_slow:
            self._is_slow = False
            del self._box.slow[self]

    def _hold(self, frame: Frame, topic: Conflatable | None) -> None:
        box = self._box
        if topic is not None:
            self._topics[topic] = None
            box.conflated += 1
            return
        self._frames.append(frame)
        self._held_bytes += len(frame.plain)
        if self._held_bytes > box.queue_bytes_max:
            box.disconnected_slow += 1
            self.close()
            self.connection.close(TOO_SLOW_CODE, TOO_SLOW_REASON)
