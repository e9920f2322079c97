"""The message rings of the recorder: what was committed, for whoever wants it at once.

    writer: COMMIT --numbered messages--> one ring per topic --> MessageFeed of gateways and marketprice

A message is put here after the transaction that holds it, so whoever misses it here finds it in the table: a
ring that can not be made or written is done without, tried again every RETRY_US, and stops nothing. It is
begun anew where the table stands, so its numbers, which are the offsets, have no gap.

Owned by the writer process, which has the only right to write the history. `now_us` is the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from vxutils.ring.message import MessageWriter
from vxutils.ring.segment import RingError
from vxutils.store.embedded.ring_messages import message_ring_name, pack_message
from vxutils.store.embedded.schema import NumberedMessage

BEAT_S: Final = 1.0
"""Between two signs of life, and looks whether the names still lead to our rings."""

RETRY_US: Final = 10_000_000


class MessageRings:
    """One ring for each topic in `offsets`, which says the offset of its next message.

    `trouble`: why a ring is missing; empty while none is. `size_bytes` of each ring.
    """

    def __init__(
        self,
        system_id: bytes,
        data_directory: Path,
        size_bytes: int,
        offsets: Mapping[str, int],
        now_us: int,
    ) -> None:
        self.trouble = ""
        self._names = {topic: message_ring_name(system_id, data_directory, topic) for topic in offsets}
        self._size_bytes = size_bytes
        self._rings: dict[str, MessageWriter] = {}
        self._retry_at_us = 0
        self._make_missing(offsets, now_us)

    def publish(self, messages: Sequence[NumberedMessage], offsets: Mapping[str, int], now_us: int) -> None:
        """Puts committed messages on the rings; `offsets` are those of the next ones. Some 4 us each."""
        rings = self._rings
        for topic, offset, sequence, idx, payload in messages:
            ring = rings.get(topic)
            if ring is not None:
                try:
                    ring.append(offset, pack_message(sequence, idx, payload))
                except RingError as error:
                    self._lose(topic, error)
        for ring in rings.values():
            ring.publish()
        self.beat(offsets, now_us)

    def beat(self, offsets: Mapping[str, int], now_us: int) -> None:
        """Tells that we live, makes rings anew whose names were removed. Once a second at least."""
        for topic, ring in list(self._rings.items()):
            try:
                ring.check()
                ring.beat(now_us)
            except RingError as error:
                self._lose(topic, error)
        if len(self._rings) < len(self._names) and now_us >= self._retry_at_us:
            self._make_missing(offsets, now_us)

    def close(self) -> None:
        """Removes the rings; readers know at once, and take the table."""
        for ring in self._rings.values():
            ring.close()
        self._rings.clear()

    def _lose(self, topic: str, error: RingError) -> None:
        """Ends one ring: messages that are missing in it must not look like none."""
        self.trouble = f"messages of {topic} are read from the table: {error}"
        self._rings.pop(topic).close()
        self._retry_at_us = 0

    def _make_missing(self, offsets: Mapping[str, int], now_us: int) -> None:
        self._retry_at_us = now_us + RETRY_US
        trouble = ""
        for topic, name in self._names.items():
            if topic in self._rings:
                continue
            try:
                self._rings[topic] = MessageWriter(name, self._size_bytes, offsets[topic])
            except RingError as error:
                trouble = f"messages of {topic} are read from the table: {error}"
        self.trouble = trouble
