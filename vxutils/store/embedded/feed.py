"""The messages of one topic as they come: from the shared-memory ring, or from the table when that is away.

    ring  <--- attached, nothing missing: some microseconds a look, a message is there once it is committed
      |  ^
      |  '---- the table has nothing more
      '------> lapped, no ring, another writer, silent for CHECK_US
    table ---- read-only, short transactions; every TABLE_PAUSE_US while there is no ring

The recorder puts a message on the ring when the transaction that holds it is committed, so whatever the ring
lacks is in the table, and no message comes twice: both are asked for offsets, each one is given out once. A
history that does not exist yet, or has not come as far as we have (it is being made again), has nothing new.

Two things end a feed, because going on would leave something out: messages that are gone, and a history in
which the message before the next one is another than the one that was given out.

Not here: what a message means, and where the position of its consumer is kept.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Final, Literal

from vxnet.clock import Clock, OncePer, SystemClock
from vxutils.ring.message import Lapped, MessageReader
from vxutils.store.embedded.history import HistoryReader, HistoryUnavailable
from vxutils.store.embedded.ring_messages import message_ring_name, unpack_message
from vxutils.store.embedded.schema import HISTORY_FILE, Message

TABLE_PAUSE_US: Final = 20_000
"""Between two looks into the table, each of some 0.1 ms, while it is all there is."""

CHECK_US: Final = 1_000_000
"""After so long without a message on the ring the table is asked whether that is so."""

LOG_PERIOD_S: Final = 60.0
DIGEST_BYTES: Final = 16

_log = logging.getLogger("vx.feed")

Source = Literal["ring", "table", "none"]


class FeedBroken(Exception):
    """The messages wanted next are not to be had from this history; the text says why."""


class MessagesGone(FeedBroken):
    """The next message was pruned. `first`: the oldest one that is still there."""

    def __init__(self, text: str, first: int) -> None:
        super().__init__(text)
        self.first = first


class AnotherHistory(FeedBroken):
    """The message before the next one is not the one that was given out: history was restored."""


class MessageFeed:
    """Gives the messages of `topic` from offset `start` on, each once, in order. For one thread.

    `start` "end": from the next one that is written after the history is first seen. `digest`: that of the
    message before `start`, if it is known, to be sure that the history is the same one.

    `source` is where the next messages will come from ("none": there is no history to read), `trouble` why
    the history can not be read now; `taken` counts messages by source. `next_offset` is None until the end is
    known.
    """

    def __init__(
        self,
        topic: str,
        data_directory: Path,
        start: int | Literal["end"],
        *,
        digest: bytes = b"",
        clock: Clock | None = None,
    ) -> None:
        self.topic = topic
        self.next_offset: int | None = None if start == "end" else start
        self.source: Source = "none"
        self.trouble: str | None = None
        self.taken: dict[Source, int] = {"ring": 0, "table": 0}
        self._directory = data_directory
        self._clock = clock or SystemClock()
        self._failure_log = OncePer(LOG_PERIOD_S)
        self._table = HistoryReader(data_directory / HISTORY_FILE)
        self._table_due_us = 0
        self._ring: MessageReader | None = None
        self._generation = 0  # of the ring at the latest look into the table
        self._last: Message | None = None  # given out
        self._digest = digest  # of the message before `start`, while none was given out

    def poll(self, limit: int) -> list[Message]:
        """The next messages, at most `limit`; empty: none yet.

        Raises: MessagesGone, AnotherHistory.
        """
        now_us = self._clock.monotonic_us()
        if self.source == "ring":
            found = self._read_ring(limit)
            if found:
                self._table_due_us = now_us + CHECK_US
                return found
        if now_us < self._table_due_us:
            return []
        found = self._read_table(limit, now_us)
        if found and self.source == "ring":
            self.source = "table"  # committed, and not on the ring yet when we looked there: it is to be set
        if len(found) < limit and self.source == "table" and self._is_on_ring():
            self.source = "ring"
        pause_us = CHECK_US if self.source == "ring" else TABLE_PAUSE_US
        self._table_due_us = now_us + (pause_us if len(found) < limit else 0)
        return found

    @property
    def is_placed(self) -> bool:
        """Whether the end is known: what is written from now on is given out."""
        return self.next_offset is not None

    def close(self) -> None:
        """Ends the connections."""
        self._table.close()
        if self._ring is not None:
            self._ring.close()
            self._ring = None

    # -- the ring ------------------------------------------------------------------------------

    def _is_on_ring(self) -> bool:
        """Attaches to the ring, if there is one, and sets it to the next message."""
        assert self.next_offset is not None, "the table was read"
        if self._ring is None:
            try:
                system_id = self._table.system_id()
            except HistoryUnavailable:
                return False
            name = message_ring_name(system_id, self._directory, self.topic)
            self._ring = MessageReader(name, self.next_offset)
        ring = self._ring
        ring.next_number = self.next_offset
        if not ring.is_alive:
            return False
        self._generation = ring.generation
        return True

    def _read_ring(self, limit: int) -> list[Message]:
        """What the ring has; on any doubt nothing, and the table is next."""
        ring = self._ring
        assert ring is not None, "it was attached"
        try:
            entries = ring.read(limit)
        except Lapped:
            self._leave_ring()
            return []
        if not ring.is_attached or ring.generation != self._generation:
            # Another writer may write another history: the table tells.
            self._leave_ring()
            return []
        if not entries:
            return []
        assert entries[0][0] == self.next_offset, "the ring gives what it is asked for"
        found = [unpack_message(number, entry) for number, entry in entries]
        self._took(found, "ring")
        return found

    def _leave_ring(self) -> None:
        self.source = "table"
        self._table_due_us = 0

    # -- the table -----------------------------------------------------------------------------

    def _read_table(self, limit: int, now_us: int) -> list[Message]:
        try:
            if self.next_offset is None:
                self._find_end()
            assert self.next_offset is not None, "the end was found"
            after = self.next_offset - 1
            # The message before comes along, to be compared.
            found = self._table.messages(self.topic, max(after, 0), limit + 1)
        except HistoryUnavailable as error:
            # The recorder is making the file, or will notice what is wrong with it and make another one.
            self.source, self.trouble = "none", str(error)
            if self._failure_log.allows(now_us / 1_000_000):
                _log.warning("%s", error)
            return []
        self.trouble = None
        if self.source == "none":
            self.source = "table"
        if found and found[0].offset == after:
            self._demand_same(found.pop(0))
        if found and found[0].offset != after + 1:
            first = found[0].offset
            raise MessagesGone(
                f"messages {after + 1} to {first - 1} of the topic {self.topic} are no longer there", first
            )
        assert not found or found[-1].offset == after + len(found), "the recorder leaves no gaps"
        del found[limit:]
        if found:
            self._took(found, "table")
        return found

    def _find_end(self) -> None:
        end = self._table.next_offset(self.topic)
        before = self._table.messages(self.topic, end - 1, 1) if end else []
        self.next_offset = end
        if before:
            self._last = before[0]

    def _demand_same(self, message: Message) -> None:
        last = self._last
        is_same = message == last if last is not None else self._digest in (b"", digest(message.payload))
        if not is_same:
            raise AnotherHistory(
                f"message {message.offset} of the topic {self.topic} is not the one that was read there: the "
                "history was restored from another time"
            )

    def _took(self, messages: list[Message], source: Source) -> None:
        self._last = messages[-1]
        self.next_offset = self._last.offset + 1
        self.taken[source] += len(messages)


def digest(payload: str) -> bytes:
    """By which a message is known again after a restart."""
    return hashlib.blake2b(payload.encode(), digest_size=DIGEST_BYTES).digest()
