"""Output that waits for its socket: bounded, in order, joined into as few system calls as possible.

Two shapes: `StreamOutput` for bytes without borders, `PacketOutput` for messages that must stay whole. Both
are pure bookkeeping: the system call comes in as a function and they know no socket and no loop. Owned by one
session each.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Final

from vxnet.errors import BufferOverflowError

NO_SEND_BUFFER: Final = "no send buf"
"""Reason of a session closed because its peer does not read. Source: protocol 1.7."""

DESCRIPTORS_WAITING_MAX: Final = 64
"""Descriptors that may wait for one peer: each one holds a file of this process open."""


class StreamOutput:
    """Bytes to send. Overflow rule: at most `size_max` may be left after a send attempt (0 = unlimited)."""

    __slots__ = ("_pieces", "_unsent", "size", "size_max")

    def __init__(self, size_max: int) -> None:
        self.size = 0
        self.size_max = size_max
        self._pieces: list[bytes] = []
        self._unsent: bytes | memoryview = b""

    def append(self, data: bytes) -> None:
        self._pieces.append(data)
        self.size += len(data)

    def drain(self, send: Callable[[bytes | memoryview], int]) -> bool:
        """Send all that the socket takes; True when nothing is left. `send` returns how many bytes it took.

        Raises: BufferOverflowError; whatever `send` raises, except that BlockingIOError means "took nothing".
        """
        while self.size:
            data = self._unsent
            if not data:
                pieces = self._pieces
                data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                pieces.clear()
            try:
                sent = send(data)
            except BlockingIOError:
                sent = 0
            self.size -= sent
            if sent < len(data):
                self._unsent = memoryview(data)[sent:]
                self.check()
                return False
            self._unsent = b""
        self._pieces.clear()
        return True

    def check(self) -> None:
        """Raises: BufferOverflowError when more than the bound is waiting."""
        if self.size > self.size_max > 0:
            raise BufferOverflowError(NO_SEND_BUFFER)

    def clear(self) -> None:
        self._pieces.clear()
        self._unsent = b""
        self.size = 0


class PacketOutput:
    """Messages to send, each with at most one descriptor. Overflow rule: as above, also for descriptors.

    A waiting descriptor is a duplicate owned by this queue, closed once it is sent or dropped.
    """

    __slots__ = ("_descriptors", "_messages", "size", "size_max")

    def __init__(self, size_max: int) -> None:
        self.size = 0
        self.size_max = size_max
        self._messages: deque[tuple[bytes, int | None]] = deque()
        self._descriptors = 0

    def append(self, data: bytes, descriptor: int | None = None) -> None:
        """Queue one message; the caller keeps its descriptor.

        It may not be empty: that looks like the end of the connection.
        """
        assert data, "a message on a packet socket has at least one byte"
        if descriptor is not None:
            descriptor = os.dup(descriptor)
            self._descriptors += 1
        self._messages.append((data, descriptor))
        self.size += len(data)

    def drain(self, send: Callable[[bytes, int | None], None]) -> bool:
        """Send message by message; True when none is left. Raises: as StreamOutput.drain."""
        while self._messages:
            data, descriptor = self._messages[0]
            try:
                send(data, descriptor)
            except BlockingIOError:
                self.check()
                return False
            self._drop_first()
        return True

    def check(self) -> None:
        """Raises: BufferOverflowError when more than the bounds is waiting."""
        if self.size > self.size_max > 0 or self._descriptors > DESCRIPTORS_WAITING_MAX:
            raise BufferOverflowError(NO_SEND_BUFFER)

    def clear(self) -> int:
        """Drop everything; returns the number of messages dropped."""
        dropped = len(self._messages)
        while self._messages:
            self._drop_first()
        return dropped

    def _drop_first(self) -> None:
        data, descriptor = self._messages.popleft()
        self.size -= len(data)
        if descriptor is not None:
            self._descriptors -= 1
            os.close(descriptor)
