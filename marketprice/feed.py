"""Deals as they come: the topic `deals` in the recorder's history file, from a position on.

    history.db (read-only) --> messages behind the position, in order, no gap --> owner

The recorder writes the file and may set it aside and make another one. A file that does not exist yet, or has
not reached the position (it is being made again), has nothing new. Two things end a feed, because going on
would leave something out: messages which are gone, and a history in which the message at our position is
another one. Then candles are made again from the history (`rebuild`).

How far we are is published in `run/consumers/marketprice.json`: the recorder keeps what we still need.

Not here: what a message means, and where the position is kept.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Final

from marketprice.messages import TOPIC
from marketprice.persistence import Position
from vxnet.clock import Clock, OncePer
from vxutils.disk import Disk
from vxutils.store.embedded.consumers import publish_consumer
from vxutils.store.embedded.history import HistoryReader, HistoryUnavailable
from vxutils.store.embedded.schema import HISTORY_FILE, Message

LOG_PERIOD_S: Final = 60.0
DIGEST_BYTES: Final = 16
CONSUMER: Final = "marketprice"

_log = logging.getLogger("vx.marketprice.feed")


class HistoryChanged(Exception):
    """The messages behind our position are not to be had from this history; the text says why."""


class DealsFeed:
    """Reads behind a position, from the history of a data directory.

    `trouble`: why the history can not be read now, None while it can.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.trouble: str | None = None
        self._reader = HistoryReader(directory / HISTORY_FILE)
        self._clock = clock
        self._failure_log = OncePer(LOG_PERIOD_S)

    def read(self, position: Position, limit: int) -> list[Message]:
        """The next messages, at most `limit`. Cost 0.1 ms when there is none.

        Raises: HistoryChanged.
        """
        try:
            # The message at the position comes along, to be compared.
            found = self._reader.messages(TOPIC, max(position.offset, 0), limit + 1)
        except HistoryUnavailable as error:
            # The recorder is making the file, or will notice what is wrong with it and make another one.
            self.trouble = str(error)
            if self._failure_log.allows(self._clock.monotonic_us() / 1_000_000):
                _log.warning("%s", error)
            return []
        self.trouble = None
        if found and found[0].offset == position.offset:
            _demand_same(position, found[0])
            del found[0]
        _demand_no_gap(position.offset, found)
        return found[:limit]

    def close(self) -> None:
        """Ends the connection."""
        self._reader.close()


def position_of(message: Message) -> Position:
    """The position behind a message."""
    return Position(message.offset, message.sequence, digest(message.payload))


def digest(payload: str) -> bytes:
    """By which a message is known again."""
    return hashlib.blake2b(payload.encode(), digest_size=DIGEST_BYTES).digest()


def publish(disk: Disk, directory: Path, position: Position) -> None:
    """Tells the recorder which message is needed next. Raises: OSError."""
    publish_consumer(disk, directory, CONSUMER, {TOPIC: position.offset + 1})


def _demand_same(position: Position, message: Message) -> None:
    if position.digest and position != position_of(message):
        raise HistoryChanged(
            f"message {position.offset} of the topic {TOPIC} is not the one that the candles were made with: "
            "the history was restored from another time"
        )


def _demand_no_gap(after: int, messages: list[Message]) -> None:
    if messages and messages[0].offset != after + 1:
        raise HistoryChanged(
            f"messages {after + 1} to {messages[0].offset - 1} of the topic {TOPIC} are no longer there"
        )
    assert not messages or messages[-1].offset == after + len(messages), "the recorder leaves no gaps"
