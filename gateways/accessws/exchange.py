"""Where the gateway's messages come from: Kafka, the data directory of an engine beside it, or nowhere.

    Kafka           topics that the settings name
    DIR/SYSTEM      whether there is an exchange
    DIR/history.db  messages of the recorder, and how far it has come

A gateway on another host has no SYSTEM file: without Kafka it asks the backends for all it pushes, and has
no user events. Nothing is written here.

Source: design, "Shared memory".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from gateways.accessws.feeds import PLACE_S, Open
from vxnet.clock import Clock
from vxutils.store.embedded.feed import MessageFeed
from vxutils.store.embedded.history import HistoryReader, HistoryUnavailable
from vxutils.store.embedded.schema import HISTORY_FILE
from vxutils.store.kafka.consumer import KafkaFeed
from vxutils.store.kafka.settings import ConsumerSettings
from vxutils.system_id import read_system_id


class Exchange:
    """What can be had from one data directory. Made in the process that uses it."""

    def __init__(
        self, data_directory: Path, clock: Clock, topics: Mapping[str, ConsumerSettings] | None = None
    ) -> None:
        """`topics`: by their usual names, if they are read from Kafka."""
        self._topics = topics
        self._directory = data_directory
        self._clock = clock
        self.is_here = read_system_id(data_directory) is not None
        """Whether there is one beside us."""
        self.has_messages = self.is_here or topics is not None
        self._history = HistoryReader(data_directory / HISTORY_FILE)

    def open_feed(self) -> Open | None:
        """Opens the feed of a topic at its end; None if there is none."""
        topics = self._topics
        if topics is not None:
            return lambda topic: KafkaFeed(topics[topic], "end", clock=self._clock)
        if not self.is_here:
            return None
        return lambda topic: MessageFeed(topic, self._directory, "end", clock=self._clock)

    @property
    def feed_patience_s(self) -> float:
        """How long a start should wait until the feeds know where they begin."""
        return PLACE_S if self._topics is not None else 0.0

    def recorded(self) -> Callable[[], int | None] | None:
        """Reads the sequence that the recorder of the messages has come to, None if that can not be read now.
        There is nothing to read unless the messages are in the data directory."""
        if self._topics is not None or not self.is_here:
            return None

        def read() -> int | None:
            try:
                return self._history.position().sequence
            except HistoryUnavailable:
                return None

        return read

    def close(self) -> None:
        self._history.close()
