"""Pushes of marketprice's numbers: last price, state of the last 24 hours, today, and the newest candle.

    interval ----------------------------> query --> topic: pushed if it differs from what was pushed last
    deal in the market --> wanted soon --'
    deal in the market (plain style) ----> price, at once

Prices are compared as numbers, states as JSON values, candles by the text of the last one. A new subscriber
gets what was pushed last. State, today and candles change with the hour too, so they are asked for each
interval whatever happens. A price that messages told is not asked for any more: marketprice may be a moment
behind them.

Source: protocol.md 9.6, 6.6; 12.6 number 84.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from gateways.accessws.counters import Counters
from gateways.accessws.polling import PolledTopic, Poller
from gateways.accessws.push_format import PushFormat, name_text
from gateways.accessws.sources import Answer
from gateways.accessws.topics import Key, Kind, Topic
from vxutils import fixed
from vxutils.fixed import power10
from vxutils.protocol.commands import MARKET_KLINE, MARKET_LAST, MARKET_STATUS, MARKET_STATUS_TODAY
from vxutils.ws import Frame

STATE_PERIOD_S: Final = 86_400
REPEATS_MAX: Final = 3
"""Queries after a deal that show nothing new: marketprice has not seen it yet."""

QUOTE_KINDS: Final = (Kind.KLINE, Kind.PRICE, Kind.STATE, Kind.TODAY)

_decode_text = msgspec.json.Decoder(str).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode = msgspec.json.decode


class QuoteTopic(PolledTopic):
    """One number or candle of one market."""

    __slots__ = ("board", "frame", "market", "market_text", "repeats")

    def __init__(self, board: QuoteBoard, kind: Kind, key: Key) -> None:
        super().__init__(kind, key)
        market = key[0]
        assert isinstance(market, str)
        self.board = board
        self.market = market
        self.market_text = name_text(market)
        self.frame: Frame | None = None
        """What was pushed last."""
        self.repeats = 0

    def full_frame(self) -> Frame | None:
        return self.frame

    def has_traded(self) -> None:
        """A deal was made in the market."""
        self.repeats = REPEATS_MAX
        self.board.poller.want(self)

    def push(self, frame: Frame) -> None:
        """Push to all, and keep it for those who come later."""
        self.frame = frame
        self.repeats = 0
        self.board.counters.pushed(self.kind, len(self.clients))
        self.send(frame)

    def unchanged(self) -> None:
        """An answer showed nothing new."""
        if self.repeats:
            self.repeats -= 1
            self.board.poller.want(self)


class PriceTopic(QuoteTopic):
    """The last price; 0 while nothing was ever traded, which is not pushed."""

    __slots__ = ("_price", "is_told")

    command = MARKET_LAST

    def __init__(self, board: QuoteBoard, key: Key) -> None:
        super().__init__(board, Kind.PRICE, key)
        self._price = (0, 0)
        self.is_told = False
        """Messages tell the price of this market, so nobody is asked."""

    def params(self) -> bytes:
        return msgspec.json.encode([self.market])

    def take_answer(self, answer: Answer, now: float) -> None:
        if not self.is_told:
            self.take(_decode_text(answer.result))

    def take(self, text: str) -> None:
        """The price as results show it."""
        parsed = fixed.parse_exact(text)
        if parsed is None or _is_same(parsed, self._price):
            return
        self._price = parsed
        form = self.board.format
        self.push(form.push("price.update", form.array((self.market_text, f'"{text}"'))))
        # Those who come later are shown the short text. Source: protocol.md 9.6.
        text = form.decimal(*parsed)
        self.frame = form.push("price.update", form.array((self.market_text, f'"{text}"')))

    def has_traded(self) -> None:
        return


class StatusTopic(QuoteTopic):
    """An object of marketprice: the state of 24 hours, or of today."""

    __slots__ = ("_method", "_params", "_shown", "command")

    def __init__(self, board: QuoteBoard, kind: Kind, key: Key) -> None:
        super().__init__(board, kind, key)
        is_state = kind is Kind.STATE
        self.command = MARKET_STATUS if is_state else MARKET_STATUS_TODAY
        self._method = f"{kind.value}.update"
        self._params = msgspec.json.encode([self.market, STATE_PERIOD_S] if is_state else [self.market])
        self._shown = b""

    def params(self) -> bytes:
        return self._params

    def take_answer(self, answer: Answer, now: float) -> None:
        result = answer.result
        if result == self._shown or (self._shown and _decode(result) == _decode(self._shown)):
            self.unchanged()
            return
        self._shown = result
        form = self.board.format
        self.push(form.push(self._method, form.array((self.market_text, result.decode()))))


class KlineTopic(QuoteTopic):
    """The newest candles of one interval, the last of which is not finished."""

    __slots__ = ("_interval", "_last")

    command = MARKET_KLINE

    def __init__(self, board: QuoteBoard, key: Key) -> None:
        super().__init__(board, Kind.KLINE, key)
        self._interval = key[1]
        self._last = b""

    def params(self) -> bytes:
        now_s = self.board.wall_s()
        return msgspec.json.encode([self.market, now_s - self.board.kline_span_s, now_s, self._interval])

    def take_answer(self, answer: Answer, now: float) -> None:
        candles = _decode_items(answer.result)
        last = bytes(candles[-1]) if candles else b""
        if last == self._last:
            self.unchanged()
            return
        self._last = last
        if last:
            self.push(self.board.format.push("kline.update", answer.result.decode()))


class QuoteBoard:
    """All quotes of a worker; `wall_s` tells the time of day in whole seconds."""

    def __init__(
        self,
        push_format: PushFormat,
        counters: Counters,
        poller: Poller,
        wall_s: Callable[[], int],
        kline_interval_s: float,
    ) -> None:
        self.format = push_format
        self.counters = counters
        self.poller = poller
        self.wall_s = wall_s
        self.kline_span_s = int(kline_interval_s + 1)
        self._by_market: dict[str, dict[QuoteTopic, None]] = {}

    def make(self, kind: Kind, key: Key) -> Topic:
        """A topic; it is asked for at once."""
        topic: QuoteTopic
        if kind is Kind.PRICE:
            topic = PriceTopic(self, key)
        elif kind is Kind.KLINE:
            topic = KlineTopic(self, key)
        else:
            topic = StatusTopic(self, kind, key)
        self._by_market.setdefault(topic.market, {})[topic] = None
        self.poller.want(topic)
        return topic

    def remove(self, topic: Topic) -> None:
        assert isinstance(topic, QuoteTopic)
        topics = self._by_market[topic.market]
        del topics[topic]
        if not topics:
            del self._by_market[topic.market]

    def traded(self, market: str, price: str) -> None:
        """Deals were made in a market, the last one at `price` (as results show it)."""
        for topic in list(self._by_market.get(market, ())):
            if isinstance(topic, PriceTopic):
                topic.is_told = True
                topic.take(price)
            else:
                topic.has_traded()

    def lost_track(self) -> None:
        """Messages were missed: prices have to be asked for until the next deal."""
        for topics in self._by_market.values():
            for topic in topics:
                if isinstance(topic, PriceTopic):
                    topic.is_told = False

    def due(self, topic: PolledTopic) -> bool:
        """Whether a topic is asked for each interval."""
        return not (isinstance(topic, PriceTopic) and topic.is_told)


def _is_same(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] * power10(other[1]) == other[0] * power10(one[1])
