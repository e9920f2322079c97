"""Who is subscribed to what: topics with their clients, clients with their topics by kind.

    client --kind--> topics        topic --> clients, in the order in which they came

A topic is one thing that is pushed: the depth of a market at one limit and interval, its last price, the
orders of a user in it. It is made by the first subscription, and removed by `sweep` when nobody is left.
Leaving costs what the client had. What is sent, and when, is decided by the owner of a kind.

Source: protocol.md 9.5.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Final

from gateways.accessws.client import Client
from vxutils.ws import Frame

Key = tuple[object, ...]


class Kind(enum.Enum):
    """What can be subscribed to, by the first part of its methods."""

    KLINE = "kline"
    DEPTH = "depth"
    PRICE = "price"
    STATE = "state"
    TODAY = "today"
    DEALS = "deals"
    ORDER = "order"
    ASSET = "asset"


PRIVATE_KINDS: Final = (Kind.ORDER, Kind.ASSET)
"""Those that belong to the user of a connection; one topic is one user's."""


class Topic(ABC):
    """What is pushed under one key. `is_conflatable`: its full state may replace what was pushed before."""

    __slots__ = ("clients", "key", "kind")

    is_conflatable = True

    def __init__(self, kind: Kind, key: Key) -> None:
        self.kind = kind
        self.key = key
        self.clients: dict[Client, None] = {}

    @abstractmethod
    def full_frame(self) -> Frame | None:
        """The whole state as a push for a client that knows nothing of it; None if it is not known."""

    def send(self, frame: Frame) -> None:
        """Push to every client."""
        topic = self if self.is_conflatable else None
        # One that is too slow is disconnected in here, and leaves with a later turn of the loop.
        for client in self.clients:
            client.outgoing.queue(frame, topic)

    def send_full(self, client: Client) -> None:
        """Push the state to one client, if it is known."""
        frame = self.full_frame()
        if frame is not None:
            client.outgoing.queue(frame, self if self.is_conflatable else None)


class TooManyTopics(Exception):
    """So many different things are watched that there is no room for another one."""


class TooManySubscriptions(Exception):
    """The client has as many subscriptions as one may have."""


Make = Callable[[Key], Topic]


class Registry:
    """All topics of a worker.

    `make` makes a topic of a kind. `subscriptions_max`: of one client; `topics_max`: topics which are not of
    one user only.
    """

    def __init__(
        self,
        make: dict[Kind, Make],
        removed: Callable[[Topic], None],
        *,
        subscriptions_max: int,
        topics_max: int,
    ) -> None:
        self.topics: dict[Kind, dict[Key, Topic]] = {kind: {} for kind in Kind}
        self._make = make
        self._removed = removed
        self._subscriptions_max = subscriptions_max
        self._topics_max = topics_max
        self._public_topics = 0
        self._clients: dict[Client, dict[Kind, dict[Topic, None]]] = {}
        self._abandoned: dict[Topic, None] = {}

    def subscribe(self, client: Client, kind: Kind, key: Key) -> Topic:
        """Add one subscription; done again: no effect.

        Raises: TooManySubscriptions, TooManyTopics; nothing was changed.
        """
        kinds = self._clients.setdefault(client, {})
        mine = kinds.setdefault(kind, {})
        topic = self.topics[kind].get(key)
        if topic is not None and topic in mine:
            return topic
        if sum(map(len, kinds.values())) >= self._subscriptions_max:
            raise TooManySubscriptions
        if topic is None:
            topic = self._new(kind, key)
        topic.clients[client] = None
        mine[topic] = None
        self._abandoned.pop(topic, None)
        return topic

    def unsubscribe(self, client: Client, kind: Kind) -> None:
        """Remove all subscriptions of one kind."""
        kinds = self._clients.get(client)
        if kinds is not None:
            self._leave(client, kinds.pop(kind, {}))

    def leave(self, client: Client) -> None:
        """Remove all subscriptions; the client is forgotten."""
        for topics in self._clients.pop(client, {}).values():
            self._leave(client, topics)

    def get(self, kind: Kind, key: Key) -> Topic | None:
        """The topic, if somebody is, or was a moment ago, subscribed to it."""
        return self.topics[kind].get(key)

    def clients(self, kinds: Iterable[Kind]) -> list[Client]:
        """Those that have a subscription of one of these kinds."""
        wanted = tuple(kinds)
        return [client for client, mine in self._clients.items() if any(mine.get(kind) for kind in wanted)]

    def sweep(self) -> None:
        """Remove the topics that nobody is subscribed to."""
        abandoned, self._abandoned = self._abandoned, {}
        for topic in abandoned:
            del self.topics[topic.kind][topic.key]
            if topic.kind not in PRIVATE_KINDS:
                self._public_topics -= 1
            self._removed(topic)

    def _new(self, kind: Kind, key: Key) -> Topic:
        if kind not in PRIVATE_KINDS:
            if self._public_topics >= self._topics_max:
                self.sweep()
            if self._public_topics >= self._topics_max:
                raise TooManyTopics
            self._public_topics += 1
        topic = self.topics[kind][key] = self._make[kind](key)
        return topic

    def _leave(self, client: Client, topics: Iterable[Topic]) -> None:
        for topic in topics:
            del topic.clients[client]
            client.outgoing.forget(topic)
            if not topic.clients:
                self._abandoned[topic] = None
