"""Depth pushes: the whole book of a key first, then what changed in it, now and then the whole again.

    ring of the market --changed--> cut to the limit --.
    206 by RPC (merged, deeper, no ring) --reply-------+--> DepthTopic.take --> clean | differences | nothing

A key is (market, interval as typed, limit). A state taken once is stored, differences are always against
it, and a client that subscribes gets the stored one whole; so whoever applies the pushes in order has the
book. After a restart of the engine the next push is whole.

Who asks when is `DepthBoard`'s business: the ring is looked at all the time. By RPC a depth is asked for soon
after the ring of its market has changed, or each interval while there is no ring.

Source: protocol.md 9.5, 9.6, 9.7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from gateways.accessws.book import Book, LevelPrinter
from gateways.accessws.counters import Counters
from gateways.accessws.polling import PolledTopic, Poller
from gateways.accessws.push_format import PushFormat, name_text
from gateways.accessws.sources import Answer, Books
from gateways.accessws.topics import Key, Kind, Topic
from vxutils import fixed
from vxutils.protocol.commands import ORDER_DEPTH
from vxutils.ws import Frame

CLEAN_PERIOD_S: Final = 60.0
"""So often at least the whole book is pushed, if anything is. Source: protocol.md 9.7."""


QUICK_MARKETS_MAX: Final = 50
"""Rings that are looked at more often than once in a push tick; each look costs about a microsecond."""


class DepthTopic(PolledTopic):
    """One depth. `take` is given each new state, `now` is the loop's time in seconds."""

    __slots__ = (
        "_board",
        "_clean_at",
        "_clean_frame",
        "_name",
        "book",
        "interval",
        "is_merged",
        "limit",
        "market",
        "sequence",
        "wants_clean",
    )

    command = ORDER_DEPTH

    def __init__(self, board: DepthBoard, key: Key) -> None:
        super().__init__(Kind.DEPTH, key)
        market, interval, limit = key
        assert isinstance(market, str) and isinstance(interval, str) and isinstance(limit, int)
        self.market = market
        self.interval = interval
        self.limit = limit
        parsed = fixed.parse_exact(interval)
        self.is_merged = parsed is None or parsed[0] != 0
        self.book: Book | None = None
        self.sequence: int | None = None
        self.wants_clean = False
        """The next push is whole whatever has changed."""
        self._board = board
        self._name = name_text(market)
        self._clean_at = 0.0
        self._clean_frame: Frame | None = None

    def params(self) -> bytes:
        return msgspec.json.encode([self.market, self.limit, self.interval])

    def take_answer(self, answer: Answer, now: float) -> None:
        book = self._board.printer.of_text(answer.result)
        if book is not None:
            self._board.counters.taken_rpc += 1
            self.take(book, answer.sequence or None, now)

    def take(self, book: Book, sequence: int | None, now: float) -> None:
        """Compare with the stored state, store, and push what is to be pushed."""
        if self.sequence is not None and sequence is not None and sequence < self.sequence:
            return  # older than what clients have: a reply that a ring read has overtaken
        old = self.book
        differences = old.differences(book, self.limit) if old is not None else ""
        self.sequence = sequence
        if old is not None and not differences and not self.wants_clean:
            self._clean_frame = None  # it says another sequence now
            return
        self.book = book
        self._clean_frame = None
        if old is None or self.wants_clean or now - self._clean_at >= CLEAN_PERIOD_S:
            self.wants_clean = False
            self._clean_at = now
            frame = self.full_frame()
            assert frame is not None
        else:
            frame = self._frame("false", differences)
        self._board.counters.pushed(Kind.DEPTH, len(self.clients))
        self.send(frame)

    def full_frame(self) -> Frame | None:
        if self._clean_frame is None and self.book is not None:
            self._clean_frame = self._frame("true", self.book.text)
        return self._clean_frame

    def forget_sequence(self) -> None:
        """The engine is another one: what comes next is whole, and right whatever it says."""
        self.sequence = None
        self.wants_clean = self.book is not None

    def _frame(self, clean: str, text: str) -> Frame:
        form = self._board.format
        return form.push("depth.update", form.array((clean, text, self._name)), self.sequence)


class DepthBoard:
    """All depths of a worker.

    `books` None: never from shared memory; `may_ask` False: what a ring can have comes from there only.
    `saw_sequence` is told each sequence of the engine that a ring shows, `refreshed` of a ring that is
    another one.
    """

    def __init__(
        self,
        push_format: PushFormat,
        counters: Counters,
        poller: Poller,
        books: Books | None,
        saw_sequence: Callable[[int], None],
        refreshed: Callable[[], None],
        *,
        may_ask: bool,
        push_tick_s: float,
    ) -> None:
        self.format = push_format
        self.printer = LevelPrinter(push_format)
        self.counters = counters
        self._poller = poller
        self._books = books
        self._may_ask = may_ask
        self._saw_sequence = saw_sequence
        self._refreshed = refreshed
        self._by_market: dict[str, dict[DepthTopic, None]] = {}
        self._marks: dict[str, tuple[int, int]] = {}
        self._push_tick_s = push_tick_s
        self._quiet_until: dict[str, float] = {}
        self._look_at = 0.0

    def make(self, key: Key) -> Topic:
        """A topic; it has no state yet."""
        topic = DepthTopic(self, key)
        self._by_market.setdefault(topic.market, {})[topic] = None
        return topic

    def remove(self, topic: Topic) -> None:
        assert isinstance(topic, DepthTopic)
        topics = self._by_market[topic.market]
        del topics[topic]
        if not topics:
            del self._by_market[topic.market]
            self._marks.pop(topic.market, None)
            self._quiet_until.pop(topic.market, None)

    def first_read(self, topic: DepthTopic, now: float) -> None:
        """Give a topic without a state one at once if the ring has it, else as soon as it is answered."""
        if self._books is not None:
            self._look(topic.market, (topic,), now)
        else:
            self._want(topic)

    def look(self, now: float) -> None:
        """Look at the rings of all markets; what changed is pushed, or asked for soon.

        A market that was pushed has a push tick of quiet, in which its changes add up. Of many markets each
        look costs something, so they are looked at once in a push tick.
        """
        books = self._books
        if books is None or now < self._look_at:
            return
        if len(self._by_market) > QUICK_MARKETS_MAX:
            self._look_at = now + self._push_tick_s
        for market, topics in list(self._by_market.items()):
            if now < self._quiet_until.get(market, 0.0):
                continue
            mark = books.peek(market)
            if mark is None or mark == self._marks.get(market):
                continue
            known = self._marks.get(market)
            if known is not None and known[0] != mark[0]:
                self._begin_again(topics)
            self._look(market, topics, now)
            self._marks[market] = mark
            self._quiet_until[market] = now + self._push_tick_s

    def due(self, topic: PolledTopic) -> bool:
        """Whether this topic has to be asked for again although no ring says that its book has changed."""
        assert isinstance(topic, DepthTopic)
        if not self._may_ask and not topic.is_merged:
            return False
        return topic.book is None or self._books is None or self._books.peek(topic.market) is None

    def begin_again(self) -> None:
        """The engine was restarted, as its connection tells: everything is pushed whole."""
        for topics in self._by_market.values():
            for topic in topics:
                topic.forget_sequence()
                self._want(topic)
        self._marks.clear()

    def _begin_again(self, topics: Iterable[DepthTopic]) -> None:
        for topic in topics:
            topic.forget_sequence()
        self._refreshed()

    def _look(self, market: str, topics: Iterable[DepthTopic], now: float) -> None:
        books = self._books
        assert books is not None
        snapshot = books.read(market)
        if snapshot is not None:
            self._saw_sequence(snapshot.sequence)
            self.counters.taken_ring += 1
        for topic in list(topics):
            if not topic.clients and topic.book is not None:
                continue
            if snapshot is not None and not topic.is_merged and snapshot.covers(topic.limit):
                topic.take(self.printer.of_snapshot(snapshot, topic.limit), snapshot.sequence, now)
            else:
                self._want(topic, is_beyond=snapshot is not None)

    def _want(self, topic: DepthTopic, *, is_beyond: bool = False) -> None:
        """Only the engine can show it. `is_beyond`: a ring is there, and does not have it."""
        if self._may_ask or topic.is_merged or is_beyond:
            self._poller.want(topic)
