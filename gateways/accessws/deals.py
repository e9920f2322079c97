"""Pushes of deals: what was traded, newest first, at most DEALS_MAX in one push.

    messages of the topic `deals` --> Recent of the market --> each tick: one push of the new ones
    303 by RPC (once, for what was before; or each interval, when there are no messages) --^

A new subscriber gets the newest DEALS_MAX. Deals have rising ids in a market; an id at or below the last one
pushed is never pushed again. When more than DEALS_MAX come at once the older ones are skipped; in plain style
such a push carries the mark `"gap": true`.

Source: protocol.md 5.1, 6.3, 9.6; 12.6 number 83.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

import msgspec

from gateways.accessws.counters import Counters
from gateways.accessws.polling import PolledTopic, Poller
from gateways.accessws.push_format import PushFormat, name_text
from gateways.accessws.sources import Answer
from gateways.accessws.topics import Key, Kind, Topic
from vxnet.clock import OncePer
from vxutils.protocol.commands import MARKET_DEALS
from vxutils.store.embedded.schema import Message
from vxutils.ws import Frame

DEALS_MAX: Final = 100
TOPIC: Final = "deals"
ELEMENTS_MIN: Final = 12
SELL: Final = 1
UNREADABLE_LOG_PERIOD_S: Final = 60.0

_log = logging.getLogger("vx.accessws.deals")

_decode_message = msgspec.json.Decoder(list[Any]).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Identified(msgspec.Struct, gc=False):
    id: int


_decode_identified = msgspec.json.Decoder(_Identified).decode

Shown = tuple[int, str]
"""Id and JSON text of a deal."""


class Recent:
    """The newest deals of one market, newest first. `fresh`: how many came since the last push."""

    __slots__ = ("deals", "fresh", "price")

    def __init__(self) -> None:
        self.deals: deque[Shown] = deque(maxlen=DEALS_MAX)
        self.fresh = 0
        self.price = ""

    @property
    def last_id(self) -> int:
        return self.deals[0][0] if self.deals else 0


class DealsTopic(PolledTopic):
    """The deals of one market.

    `is_live`: what was before is known, or could not be had; until then nothing is pushed.
    """

    __slots__ = ("_board", "has_history", "is_live", "market", "market_text", "recent")

    command = MARKET_DEALS
    is_conflatable = False

    def __init__(self, board: DealsBoard, key: Key, recent: Recent) -> None:
        super().__init__(Kind.DEALS, key)
        market = key[0]
        assert isinstance(market, str)
        self.market = market
        self.market_text = name_text(market)
        self.recent = recent
        self.is_live = False
        self.has_history = False
        self._board = board

    def params(self) -> bytes:
        last_id = self.recent.last_id if self.has_history else 0
        return msgspec.json.encode([self.market, DEALS_MAX, last_id])

    def take_answer(self, answer: Answer, now: float) -> None:
        items = [(_decode_identified(item).id, bytes(item).decode()) for item in _decode_items(answer.result)]
        recent = self.recent
        if self.has_history:
            fresh = [item for item in items if item[0] > recent.last_id]
            recent.deals.extendleft(reversed(fresh))
            recent.fresh += len(fresh)
            self.push_fresh(is_gap=len(fresh) == DEALS_MAX)
            return
        self.has_history = True
        # Messages may have told newer ones meanwhile, and are late with others.
        known = {deal[0] for deal in recent.deals}
        recent.fresh += sum(item[0] > recent.last_id for item in items)
        merged = [*recent.deals, *(item for item in items if item[0] not in known)]
        merged.sort(key=lambda deal: -deal[0])
        recent.deals = deque(merged[:DEALS_MAX], maxlen=DEALS_MAX)
        self._go_live()
        self.push_fresh()

    def take_failure(self) -> None:
        self._go_live()

    def full_frame(self) -> Frame | None:
        return self._frame(DEALS_MAX, is_gap=False) if self.is_live and self.recent.deals else None

    def push_fresh(self, *, is_gap: bool = False) -> None:
        """Push what came since the last push."""
        if not self.is_live:
            return
        count, self.recent.fresh = self.recent.fresh, 0
        if count and self.clients:
            self._push(self._frame(min(count, DEALS_MAX), is_gap=is_gap or count > DEALS_MAX))

    def _go_live(self) -> None:
        if not self.is_live:
            self.is_live = True
            self.recent.fresh = 0
            frame = self.full_frame()
            if frame is not None:
                self._push(frame)

    def _push(self, frame: Frame) -> None:
        self._board.counters.pushed(Kind.DEALS, len(self.clients))
        self.send(frame)

    def _frame(self, count: int, *, is_gap: bool) -> Frame:
        form = self._board.format
        deals = form.array(text for _, text in islice(self.recent.deals, count))
        return form.push("deals.update", form.array((self.market_text, deals)), gap=is_gap)


class DealsBoard:
    """All deals of a worker. `has_feed`: messages tell them, and only what was before is asked for.

    `traded` is told of each market with new deals, and the last price.
    """

    def __init__(
        self,
        push_format: PushFormat,
        counters: Counters,
        poller: Poller,
        traded: Callable[[str, str], None],
        *,
        has_feed: bool,
    ) -> None:
        self.format = push_format
        self.counters = counters
        self._poller = poller
        self._traded = traded
        self._has_feed = has_feed
        self._recent: dict[str, Recent] = {}
        self._topics: dict[str, DealsTopic] = {}
        self._unreadable_log = OncePer(UNREADABLE_LOG_PERIOD_S)

    def make(self, key: Key) -> Topic:
        """A topic; what was before is asked for at once."""
        market = key[0]
        assert isinstance(market, str)
        recent = self._recent.get(market) if self._has_feed else None
        topic = DealsTopic(self, key, recent or Recent())
        if self._has_feed:
            self._recent.setdefault(market, topic.recent)
        self._topics[market] = topic
        self._poller.want(topic)
        return topic

    def remove(self, topic: Topic) -> None:
        assert isinstance(topic, DealsTopic)
        del self._topics[topic.market]
        if not topic.recent.deals:
            self._recent.pop(topic.market, None)  # a name that a client made up, perhaps

    def take(self, messages: Iterable[Message], now: float) -> None:
        """Deals as the recorder tells them, in order; pushed at once."""
        changed: dict[str, Recent] = {}
        for message in messages:
            try:
                self._take_one(message.payload, changed)
            except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
                self.counters.unreadable[TOPIC] = self.counters.unreadable.get(TOPIC, 0) + 1
                if self._unreadable_log.allows(now):
                    _log.error("message %d of the topic %s is no deal: %s", message.offset, TOPIC, error)
        for market, recent in changed.items():
            topic = self._topics.get(market)
            if topic is not None:
                topic.push_fresh()
            else:
                recent.fresh = 0
            self._traded(market, recent.price)

    def due(self, topic: PolledTopic) -> bool:
        """Whether a topic is asked for each interval."""
        assert isinstance(topic, DealsTopic)
        return not self._has_feed or not topic.has_history

    def lost_track(self) -> None:
        """Messages were missed: what was before is asked for again."""
        self._recent = {}
        for market, topic in self._topics.items():
            topic.recent = self._recent[market] = Recent()
            topic.has_history = topic.is_live = False
            self._poller.want(topic)

    def _take_one(self, payload: str, changed: dict[str, Recent]) -> None:
        elements = _decode_message(payload)
        if len(elements) < ELEMENTS_MIN:
            raise ValueError(f"{len(elements)} elements instead of {ELEMENTS_MIN} or more")
        time, market, _, _, _, _, price, amount, _, _, side, deal_id = elements[:ELEMENTS_MIN]
        recent = self._recent.get(market)
        if recent is None:
            recent = self._recent[market] = Recent()
        if deal_id <= recent.last_id:
            return  # marketprice told it already
        form = self.format
        recent.price = form.number(price)
        text = form.object(
            ("id", str(deal_id)),
            ("time", form.seconds(round(time * 1_000_000))),
            ("price", f'"{recent.price}"'),
            ("amount", f'"{form.number(amount)}"'),
            ("type", '"sell"' if side == SELL else '"buy"'),
        )
        recent.deals.appendleft((deal_id, text))
        recent.fresh += 1
        changed[market] = recent
