"""Pushes of a user's orders: each event of an order to the subscriptions of its user and market.

    message of the topic `orders` --> assets.changed(user, stock), (user, money)
                                  '-> order.update [event, order] to (user, market)

Messages are in the C system's form; in plain style an order is printed as the engine's results show it.
Nothing is conflated: each event is pushed, with the journal sequence that caused it.

Source: protocol.md 5.1, 9.8, 2.7 (the order object).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from gateways.accessws.counters import Counters
from gateways.accessws.push_format import PushFormat
from gateways.accessws.topics import Key, Kind, Registry, Topic
from vxnet.clock import OncePer
from vxutils.json_text import quote
from vxutils.store.embedded.schema import Message
from vxutils.ws import Frame

TOPIC: Final = "orders"
UNREADABLE_LOG_PERIOD_S: Final = 60.0

_log = logging.getLogger("vx.accessws.orders")


class _Message(msgspec.Struct, gc=False):
    event: int
    order: msgspec.Raw
    stock: str
    money: str


class _Owner(msgspec.Struct, gc=False):
    """Whose order it is."""

    user: int
    market: str


class _Order(msgspec.Struct, gc=False):
    """The whole order. Source: protocol.md 2.7."""

    id: int
    market: str
    type: int
    side: int
    user: int
    ctime: float
    mtime: float
    price: str
    amount: str
    taker_fee: str
    maker_fee: str
    left: str
    deal_stock: str
    deal_money: str
    deal_fee: str
    source: str | None = None


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_owner = msgspec.json.Decoder(_Owner).decode
_decode_order = msgspec.json.Decoder(_Order).decode

Changed = Callable[[int, str], None]
"""Told of a user and an asset whose balance may be another one."""


class OrderTopic(Topic):
    """The orders of one user in one market; key (user, market)."""

    __slots__ = ()

    is_conflatable = False

    def __init__(self, key: Key) -> None:
        super().__init__(Kind.ORDER, key)

    def full_frame(self) -> Frame | None:
        return None


class OrderPushes:
    """Pushes what the messages say, to the topics in `registry`."""

    def __init__(
        self, push_format: PushFormat, counters: Counters, registry: Registry, changed: Changed
    ) -> None:
        self._format = push_format
        self._counters = counters
        self._registry = registry
        self._changed = changed
        self._unreadable_log = OncePer(UNREADABLE_LOG_PERIOD_S)

    def take(self, messages: Iterable[Message], now: float) -> None:
        """Messages in order; one that can not be read is counted, logged now and then, and skipped.

        While nobody is subscribed to an order or a balance they are not read at all.
        """
        topics = self._registry.topics
        if not topics[Kind.ORDER] and not topics[Kind.ASSET]:
            return
        for message in messages:
            try:
                self._take_one(message)
            except msgspec.MsgspecError as error:
                self._counters.unreadable[TOPIC] = self._counters.unreadable.get(TOPIC, 0) + 1
                if self._unreadable_log.allows(now):
                    _log.error("message %d of the topic %s: %s", message.offset, TOPIC, error)

    def _take_one(self, message: Message) -> None:
        found = _decode_message(message.payload)
        owner = _decode_owner(found.order)
        if not found.event or not owner.user:
            return
        self._changed(owner.user, found.stock)
        self._changed(owner.user, found.money)
        topic = self._registry.get(Kind.ORDER, (owner.user, owner.market))
        if topic is None or not topic.clients:
            return
        form = self._format
        text = self._order_text(_decode_order(found.order)) if form.is_plain else bytes(found.order).decode()
        frame = form.push("order.update", form.array((str(found.event), text)), message.sequence)
        self._counters.pushed(Kind.ORDER, len(topic.clients))
        topic.send(frame)

    def _order_text(self, order: _Order) -> str:
        form = self._format
        source = () if order.source is None else (("source", quote(order.source)),)
        decimals = (
            (name, f'"{form.number(getattr(order, name))}"')
            for name in (
                "price",
                "amount",
                "taker_fee",
                "maker_fee",
                "left",
                "deal_stock",
                "deal_money",
                "deal_fee",
            )
        )
        return form.object(
            ("id", str(order.id)),
            ("market", quote(order.market)),
            *source,
            ("type", str(order.type)),
            ("side", str(order.side)),
            ("user", str(order.user)),
            ("ctime", form.seconds(round(order.ctime * 1_000_000))),
            ("mtime", form.seconds(round(order.mtime * 1_000_000))),
            *decimals,
        )
