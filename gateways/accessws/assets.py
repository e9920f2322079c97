"""Pushes of a user's balances: when one may have changed the engine is asked, and its answer pushed.

    message of `orders` or `balances` --> changed(user, asset) --end of the tick--> 101 [user, asset]
        --> asset.update [{asset: {available, freeze}}] to the subscriptions of (user, asset)

Of each balance one query is on its way at a time; what changes meanwhile is asked for after it. A query
without an answer is repeated until there is one: while somebody is subscribed, the last push always becomes
the balance that the engine has. Pushes carry the journal sequence that the engine's answer shows.

Source: protocol.md 9.8, 5.1; 12.6 number 87 (one query per event, none repeated).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from gateways.accessws.counters import Counters
from gateways.accessws.push_format import PushFormat
from gateways.accessws.sources import Answer, Asker
from gateways.accessws.topics import Key, Kind, Registry, Topic
from vxnet.clock import OncePer
from vxutils.protocol.commands import BALANCE_QUERY
from vxutils.store.embedded.schema import Message
from vxutils.ws import Frame

TOPIC: Final = "balances"
ELEMENTS_MIN: Final = 3
RETRY_S: Final = 0.5
QUERIES_MAX: Final = 1_000
"""On their way at once in a worker; more wait for the next tick, each balance at most once."""
UNREADABLE_LOG_PERIOD_S: Final = 60.0

_log = logging.getLogger("vx.accessws.assets")

_decode_message = msgspec.json.Decoder(list[Any]).decode


class AssetTopic(Topic):
    """One balance of one user; key (user, asset)."""

    __slots__ = ("is_asked", "not_before")

    is_conflatable = False

    def __init__(self, key: Key) -> None:
        super().__init__(Kind.ASSET, key)
        self.is_asked = False
        self.not_before = 0.0

    def full_frame(self) -> Frame | None:
        return None


class AssetPushes:
    """Asks and pushes for the topics in `registry`."""

    def __init__(self, push_format: PushFormat, counters: Counters, registry: Registry, asker: Asker) -> None:
        self._format = push_format
        self._counters = counters
        self._registry = registry
        self._asker = asker
        self._changed: dict[AssetTopic, None] = {}
        self._on_their_way = 0
        self._unreadable_log = OncePer(UNREADABLE_LOG_PERIOD_S)

    def take(self, messages: Iterable[Message], now: float) -> None:
        """Messages of the topic `balances`; one that can not be read is counted and skipped.

        While nobody is subscribed to an order or a balance they are not read at all.
        """
        topics = self._registry.topics
        if not topics[Kind.ORDER] and not topics[Kind.ASSET]:
            return
        for message in messages:
            try:
                elements = _decode_message(message.payload)
            except msgspec.MsgspecError:
                elements = []
            if len(elements) >= ELEMENTS_MIN and type(elements[1]) is int and type(elements[2]) is str:
                if elements[1]:
                    self.changed(elements[1], elements[2])
                continue
            self._counters.unreadable[TOPIC] = self._counters.unreadable.get(TOPIC, 0) + 1
            if self._unreadable_log.allows(now):
                _log.error("message %d of the topic %s can not be read", message.offset, TOPIC)

    def changed(self, user: int, asset: str) -> None:
        """The balance may be another one. Cheap when nobody is subscribed."""
        topic = self._registry.get(Kind.ASSET, (user, asset))
        if topic is not None and topic.clients:
            assert isinstance(topic, AssetTopic)
            self._changed[topic] = None

    def all_changed(self) -> None:
        """Any balance may be another one."""
        for topic in self._registry.topics[Kind.ASSET].values():
            if topic.clients:
                assert isinstance(topic, AssetTopic)
                self._changed[topic] = None

    def tick(self, now: float) -> None:
        """Ask for what has changed and is not being asked for."""
        if not self._changed:
            return
        for topic in list(self._changed):
            if not topic.clients:
                del self._changed[topic]
            elif not topic.is_asked and now >= topic.not_before:
                if self._on_their_way >= QUERIES_MAX:
                    return
                self._ask(topic, now)

    def _ask(self, topic: AssetTopic, now: float) -> None:
        del self._changed[topic]
        topic.is_asked = True
        self._on_their_way += 1
        params = msgspec.json.encode(topic.key)
        self._asker.ask(BALANCE_QUERY, params, lambda answer: self._answered(topic, answer, now))

    def _answered(self, topic: AssetTopic, answer: Answer | None, asked_at: float) -> None:
        topic.is_asked = False
        self._on_their_way -= 1
        if answer is None:
            self._counters.failed += 1
            topic.not_before = asked_at + RETRY_S
            self._changed[topic] = None
            return
        if answer.code:  # no such asset: nothing of it can change
            self._counters.refused += 1
            return
        self._counters.answered += 1
        if not topic.clients:
            return
        form = self._format
        frame = form.push("asset.update", form.array((answer.result.decode(),)), answer.sequence or None)
        self._counters.pushed(Kind.ASSET, len(topic.clients))
        topic.send(frame)
