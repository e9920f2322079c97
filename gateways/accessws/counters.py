"""What the pushes of a worker count: plain integers, turned into samples for the report to the listener.

Source: issue of the websocket gateway (which source is in use must be seen).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateways.accessws.topics import Kind
from gateways.common.numbers import Metric

PUSH_METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "pushes": Metric("counter", "Pushes made for clients, by kind.", ("kind",)),
        "subscriptions": Metric("gauge", "Subscriptions of clients, by kind.", ("kind",)),
        "topics": Metric("gauge", "Different things that are watched, by kind.", ("kind",)),
        "pushes_conflated": Metric("counter", "Pushes that a later state replaced for a slow client."),
        "clients_slow": Metric("gauge", "Clients that do not take what they are sent."),
        "clients_too_slow": Metric("counter", "Clients disconnected because too much waited for them."),
        "books_taken": Metric("counter", "Depth states taken, by source (shm, rpc).", ("source",)),
        "queries": Metric("counter", "Queries to backends for pushes, by outcome.", ("outcome",)),
        "messages": Metric("counter", "Messages taken from the recorder, by topic.", ("topic",)),
        "messages_unreadable": Metric("counter", "Messages that could not be read, by topic.", ("topic",)),
        "feed_source": Metric("gauge", "1 for where the latest messages came from.", ("topic", "source")),
        "feed_behind_seconds": Metric("gauge", "How far user events lag behind the engine."),
        "feed_lost": Metric("counter", "Times the messages to come were no longer there.", ("topic",)),
    }
)
"""Names, kinds and labels of the samples of `Subscriptions.samples`."""


class Counters:
    """Counted by all parts of the pushes of one worker."""

    __slots__ = (
        "answered",
        "failed",
        "lost",
        "messages",
        "pushes",
        "refused",
        "taken_ring",
        "taken_rpc",
        "unreadable",
    )

    def __init__(self) -> None:
        self.pushes = dict.fromkeys(Kind, 0)
        self.taken_ring = 0
        self.taken_rpc = 0
        self.answered = 0
        self.refused = 0
        self.failed = 0
        self.messages: dict[str, int] = {}
        self.unreadable: dict[str, int] = {}
        self.lost: dict[str, int] = {}

    def pushed(self, kind: Kind, clients: int) -> None:
        """One push went to so many clients."""
        self.pushes[kind] += clients
