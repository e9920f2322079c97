"""Message ring: numbered messages in order, for readers each at its own place.

    header   constant: data bytes
             cursors:  8 head (bytes ever published)   9 number after the last published
                      10 tail (bytes that are overwritten or will be next)
    record   number | length | crc32 | payload, padded to 8 bytes; at (position % data bytes)

Positions count bytes since the ring was made and only grow; the tail is where the oldest record begins that
is still whole. Before the writer overwrites, it moves the tail; a reader copies first and looks at the tail
after, so what it has is whole, or it knows that it was lapped. A payload may go over the end of the data to
its beginning; a cell never does. Overflow rule: the oldest messages go, the writer waits for nobody.

The ring is never the only place of a message: who was lapped, or meets a ring that begins later, takes the
store, and says by `next_number` where to go on.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from vxutils.ring.ends import DEAD_AFTER_US, RingOwner, RingReader, monotonic_us
from vxutils.ring.segment import CONSTANT_CELL, CURSOR_CELL, HEADER_BYTES, RingError, Segment

SIZE_BYTES_MAX = 1 << 32
RECORD_HEAD_BYTES = 24

KIND = b"VXMESSAG"
_HEAD = CURSOR_CELL
_NEXT = CURSOR_CELL + 1
_TAIL = CURSOR_CELL + 2
_UNKNOWN = 2**64 - 1
_NUMBERS = struct.Struct("=QQ")  # number, length: what the crc begins with


class Lapped(Exception):
    """The wanted message is not in the ring any more. `first_available` is the oldest that is, or will be."""

    def __init__(self, wanted: int, first_available: int) -> None:
        super().__init__(f"message {wanted} is not in the ring, which begins at {first_available}")
        self.wanted = wanted
        self.first_available = first_available


class MessageTooLarge(RingError):
    """A message that the ring could not hold even when empty."""


def _record_bytes(length: int) -> int:
    return RECORD_HEAD_BYTES + -(-length // 8) * 8


class MessageWriter(RingOwner):
    """Appends messages to a ring of `size_bytes`. Makes it at once.

    `next_number` is the number of the first message to come, if it is known: a reader that needs an earlier
    one then knows at once that it must take the store. `now` is the monotonic clock in microseconds.

    Raises: RingError.
    """

    def __init__(
        self,
        name: str,
        size_bytes: int,
        next_number: int | None = None,
        *,
        now: Callable[[], int] = monotonic_us,
    ) -> None:
        assert 64 <= size_bytes <= SIZE_BYTES_MAX
        self.next_number = next_number
        self._size = -(-size_bytes // 8) * 8
        super().__init__(name, now)

    def _make(self) -> Segment:
        segment = Segment.create(self.name, KIND, self._size, (self._size,))
        self._head = self._tail = 0
        segment.cells[_NEXT] = _UNKNOWN if self.next_number is None else self.next_number
        return segment

    def append(self, number: int, payload: bytes) -> None:
        """Writes a message; readers see it after `publish`. Numbers rise by one.

        A batch larger than the ring is published in parts. Raises: MessageTooLarge when it would not even fit
        alone; the ring is unchanged and the number is still to come.
        """
        assert self.next_number is None or number == self.next_number, (number, self.next_number)
        length = len(payload)
        size = _record_bytes(length)
        if size > self._size:
            raise MessageTooLarge(
                f"shared memory {self.name}: message {number} of {length} bytes needs {size}, the ring "
                f"has {self._size}"
            )
        head = self._head
        if head + size - self._tail > self._size:
            self._make_room(head + size - self._size)
        segment = self._segment
        cells = segment.cells
        checksum = zlib.crc32(payload, zlib.crc32(_NUMBERS.pack(number, length)))
        for index, value in enumerate((number, length, checksum)):
            cells[self._cell(head + 8 * index)] = value
        at = HEADER_BYTES + (head + RECORD_HEAD_BYTES) % self._size
        room = HEADER_BYTES + self._size - at
        if length <= room:
            segment.view[at : at + length] = payload
        else:
            segment.view[at : at + room] = payload[:room]
            segment.view[HEADER_BYTES : HEADER_BYTES + length - room] = payload[room:]
        self._head = head + size
        self.next_number = number + 1

    def _cell(self, position: int) -> int:
        return (HEADER_BYTES + position % self._size) >> 3

    def _make_room(self, tail: int) -> None:
        """Gives up whole records until the tail is at `tail` or past it."""
        cells = self._segment.cells
        while self._tail < tail:
            if self._tail == cells[_HEAD]:  # the tail never passes what readers may know
                self.publish()
            self._tail += _record_bytes(cells[self._cell(self._tail + 8)])
        cells[_TAIL] = self._tail

    def publish(self) -> None:
        """Shows readers everything appended so far."""
        if self.next_number is not None:
            cells = self._segment.cells
            cells[_HEAD] = self._head  # first: whoever sees the new number sees that the head has moved
            cells[_NEXT] = self.next_number


class MessageReader(RingReader):
    """Reads messages from `next_number` on; follows a restarted writer by itself."""

    def __init__(
        self,
        name: str,
        next_number: int,
        *,
        dead_after_us: int = DEAD_AFTER_US,
        now: Callable[[], int] = monotonic_us,
    ) -> None:
        super().__init__(name, KIND, now, dead_after_us)
        self._next_number = next_number
        self._position: int | None = None  # of the next message, None when it must be sought
        self._size = 0

    def _attached(self, segment: Segment) -> bool:
        self._size = segment.cells[CONSTANT_CELL]
        self._position = None
        return self._size > 0 and HEADER_BYTES + self._size <= len(segment.view)

    @property
    def next_number(self) -> int:
        """The number of the message that is read next."""
        return self._next_number

    @next_number.setter
    def next_number(self, number: int) -> None:
        self._next_number = number
        self._position = None

    @property
    def end(self) -> int | None:
        """The number after the last published message, None when there is no ring or it is not known."""
        segment = self._find()
        if segment is None or segment.cells[_NEXT] == _UNKNOWN:
            return None
        return segment.cells[_NEXT]

    def read(self, max_messages: int) -> list[tuple[int, bytes]]:
        """Up to `max_messages` messages as (number, payload); [] when nothing is new or there is no ring.

        Messages of a writer that has died are still good. Raises: Lapped when the next one is not in the ring
        any more, again at each call until `next_number` is set.
        """
        found: list[tuple[int, bytes]] = []
        segment = self._find()
        if segment is None:
            return found
        if self._position is None:
            self._position = self._seek(segment)
        position = self._position
        if position is None:
            return found
        cells = segment.cells
        head = cells[_HEAD]
        number = self._next_number
        while position < head and len(found) < max_messages:
            payload = self._copy(segment, position, number)
            if payload is None:
                self._position = None
                self.torn += 1
                if not found:
                    raise Lapped(number, self._first_available(segment))
                break
            found.append((number, payload))
            number += 1
            position += _record_bytes(len(payload))
            self._position = position
        self._next_number = number
        return found

    def _cell(self, position: int) -> int:
        return (HEADER_BYTES + position % self._size) >> 3

    def _copy(self, segment: Segment, position: int, number: int) -> bytes | None:
        """The payload of message `number` at `position`, None unless it is proven to be that."""
        cells, view, size = segment.cells, segment.view, self._size
        length = cells[self._cell(position + 8)]
        if length > size:
            return None
        at = HEADER_BYTES + (position + RECORD_HEAD_BYTES) % size
        end = HEADER_BYTES + size
        if at + length <= end:
            payload = bytes(view[at : at + length])
        else:
            payload = bytes(view[at:end]) + bytes(view[HEADER_BYTES : at + length - size])
        is_same = cells[self._cell(position)] == number
        checksum = cells[self._cell(position + 16)]
        if cells[_TAIL] > position or not is_same:
            return None
        if checksum != zlib.crc32(payload, zlib.crc32(_NUMBERS.pack(number, length))):
            return None
        return payload

    def _seek(self, segment: Segment) -> int | None:
        """The position of the next message, None if it is still to come. Cost: 0.2 us for each one before it.

        Raises: Lapped.
        """
        cells = segment.cells
        while True:
            head, position = cells[_HEAD], cells[_TAIL]
            if head == position:
                end = cells[_NEXT]
                if cells[_HEAD] != head:
                    continue  # the first ones were published while we looked
                if end != _UNKNOWN and self._next_number < end:
                    raise Lapped(self._next_number, end)
                return head if end == self._next_number else None
            number = cells[self._cell(position)]
            if cells[_TAIL] != position:
                continue  # the oldest went while we looked
            if self._next_number < number:
                raise Lapped(self._next_number, number)
            while number < self._next_number and position < head:
                size = _record_bytes(cells[self._cell(position + 8)])
                if cells[_TAIL] > position:
                    break
                position += size
                number += 1
            else:
                return position if number == self._next_number else None

    def _first_available(self, segment: Segment) -> int:
        """The number of the oldest message that is whole, or of the first to come."""
        cells = segment.cells
        while True:
            position = cells[_TAIL]
            if position >= cells[_HEAD]:
                return cells[_NEXT]
            number = cells[self._cell(position)]
            if cells[_TAIL] == position:
                return number
