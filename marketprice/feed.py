"""Deals as they come: the topic `deals`, from our position on, and how far we are for the recorder.

    ring or history.db --MessageFeed--> messages behind the position, in order, no gap --> owner
    or brokers         --KafkaDeals-->  (what the topic lost comes from the history, `FromHistory`)
    position, once it is safe --> run/consumers/marketprice.json: the recorder keeps what we still need

When the recorder's feed can not go on without leaving something out (`FeedBroken`), candles are made again
from the history (`rebuild`).

Not here: what a message means, and where the position is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from marketprice.messages import TOPIC
from marketprice.persistence import Position
from vxnet.clock import Clock
from vxutils.disk import Disk
from vxutils.store.embedded.consumers import publish_consumer
from vxutils.store.embedded.feed import MessageFeed, digest
from vxutils.store.embedded.schema import Message

CONSUMER: Final = "marketprice"


class FromHistory(Message, frozen=True, gc=False):
    """A deal that the topic does not hold. `position`: of the last message of the topic before it."""

    position: Position


class Feed(Protocol):
    """What `Ingest` takes deals from."""

    @property
    def source(self) -> str: ...

    @property
    def trouble(self) -> str | None: ...

    @property
    def taken(self) -> Mapping[Any, int]: ...

    def poll(self, limit: int) -> list[Message]: ...

    def close(self) -> None: ...


def open_feed(directory: Path, position: Position, clock: Clock) -> MessageFeed:
    """The deals behind `position`, from the recorder beside us."""
    return MessageFeed(TOPIC, directory, position.offset + 1, digest=position.digest, clock=clock)


def position_of(message: Message) -> Position:
    """The position behind a message."""
    if isinstance(message, FromHistory):
        return message.position
    return Position(message.offset, message.sequence, digest(message.payload))


def publish(disk: Disk, directory: Path, position: Position) -> None:
    """Tells the recorder which message is needed next. Raises: OSError."""
    publish_consumer(disk, directory, CONSUMER, {TOPIC: position.offset + 1})
