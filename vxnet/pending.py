"""The table of pending requests: 32-bit ids to records, each with a deadline.

A record leaves the table in one of two ways: its owner pops or deletes it, or its deadline passes; then
`expired(id, record)` is called while the record is still in the table, and it is deleted after that
(unless the callback extended it).
One wake-up on the loop serves all records. The table owns the ids; what a record is, is its owner's.

Deadlines are loop time (monotonic). They lie in a heap which is cleaned lazily: an entry whose record
is gone or got another deadline is skipped when it surfaces, and the heap is rebuilt when such entries
are the majority. So add is O(log n), pop and get are O(1).
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

ID_MAX = 0xFFFF_FFFF  # the `sequence` of a packet has 32 bits; 0 is "no id"

_HEAP_SLACK = 64  # stale entries that are not worth a rebuild

Record = TypeVar("Record")


class PendingTableFull(Exception):
    """The table holds `size_max` records: the new request is refused, none of the old ones is dropped."""


class PendingTable(Generic[Record]):
    """Records under ids 1..2^32-1; at most `size_max` of them."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        expired: Callable[[int, Record], None],
        size_max: int,
    ) -> None:
        assert 0 < size_max < ID_MAX, "a table needs a size that leaves free ids"
        self._loop = loop
        self._expired = expired
        self._size_max = size_max
        self._entries: dict[int, tuple[float, Record]] = {}
        self._heap: list[tuple[float, int]] = []
        self._last_id = 0
        self._wake_up: asyncio.Handle | None = None
        self._wake_up_at = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, record_id: int) -> bool:
        return record_id in self._entries

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        """Ids and records, oldest first; a snapshot, so the table may change meanwhile."""
        return iter([(record_id, record) for record_id, (_, record) in self._entries.items()])

    def add(self, record: Record, timeout_s: float, record_id: int = 0) -> int:
        """Keep `record` for at most `timeout_s`; its id, the next free one unless `record_id` names one.

        Raises: PendingTableFull; KeyError if `record_id` is taken. Both leave the table as it was.
        """
        entries = self._entries
        if len(entries) >= self._size_max:
            raise PendingTableFull(f"{self._size_max} requests are pending")
        if record_id == 0:
            record_id = self._next_free_id()
        elif record_id in entries:
            raise KeyError(record_id)
        assert 0 < record_id <= ID_MAX, "an id has 32 bits and is not zero"
        self._set(record_id, record, timeout_s)
        return record_id

    def get(self, record_id: int) -> Record | None:
        """The record, which stays; None if there is none."""
        entry = self._entries.get(record_id)
        return None if entry is None else entry[1]

    def pop(self, record_id: int) -> Record | None:
        """The record, which leaves the table; None if there is none."""
        entry = self._entries.pop(record_id, None)
        return None if entry is None else entry[1]

    def delete(self, record_id: int) -> bool:
        """Forget a record; whether there was one. `expired` is not called."""
        return self._entries.pop(record_id, None) is not None

    def extend(self, record_id: int, timeout_s: float) -> bool:
        """Give a record a new deadline, `timeout_s` from now; whether there is such a record."""
        entry = self._entries.get(record_id)
        if entry is None:
            return False
        self._set(record_id, entry[1], timeout_s)
        return True

    def clear(self) -> list[Record]:
        """Take all records out, oldest first, and stop the clock. `expired` is not called."""
        records = [record for _, record in self._entries.values()]
        self._entries.clear()
        self._heap.clear()
        if self._wake_up is not None:
            self._wake_up.cancel()
            self._wake_up = None
        return records

    def _next_free_id(self) -> int:
        record_id = self._last_id
        while True:  # ends: there are always more ids than records
            record_id = record_id + 1 if record_id < ID_MAX else 1
            if record_id not in self._entries:
                self._last_id = record_id
                return record_id

    def _set(self, record_id: int, record: Record, timeout_s: float) -> None:
        deadline = self._loop.time() + timeout_s
        self._entries[record_id] = (deadline, record)
        heapq.heappush(self._heap, (deadline, record_id))
        if len(self._heap) > 2 * len(self._entries) + _HEAP_SLACK:
            self._heap = [(entry[0], known_id) for known_id, entry in self._entries.items()]
            heapq.heapify(self._heap)
        if self._wake_up is None:
            self._wake_at(deadline)
        elif deadline < self._wake_up_at:
            self._wake_up.cancel()
            self._wake_at(deadline)

    def _wake_at(self, deadline: float) -> None:
        # The time is kept here because what uvloop returns for a deadline of now does not tell its own.
        self._wake_up_at = deadline
        self._wake_up = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._wake_up = None
        now = self._loop.time()
        while self._heap:
            deadline, record_id = self._heap[0]
            entry = self._entries.get(record_id)
            if entry is not None and entry[0] == deadline:
                if deadline > now:
                    break
                heapq.heappop(self._heap)
                self._expired(record_id, entry[1])
                if self._entries.get(record_id) is entry:
                    del self._entries[record_id]
            else:
                heapq.heappop(self._heap)
        if self._heap and self._wake_up is None:
            self._wake_at(self._heap[0][0])
