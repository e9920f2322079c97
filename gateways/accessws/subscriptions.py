"""All that clients subscribe to, and everything that is pushed because of it.

    `subscribe_methods` --> Registry (who, what)
    look ------> feeds ----> deals, orders, balances pushed
            '--> rings ----> depth pushed, or wanted
            '--> poller, assets: queries that are wanted
    intervals -> rounds of queries
    slow tick -> slow clients, restarts of the engine, lag, topics that nobody wants any more

`timing` "change" looks for changes every LOOK_S, so that the first one after a quiet time leaves at once;
those that follow are gathered for `push_tick_ms`. "interval" makes market pushes each interval, as the C
system does. After very many pushes there is a rest (`outgoing`). One `Subscriptions` per worker; it owns all
topics and timers of the pushes.

Source: protocol.md 9.4 - 9.8.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from gateways.accessws.assets import TOPIC as BALANCES
from gateways.accessws.assets import AssetPushes, AssetTopic
from gateways.accessws.client import Client
from gateways.accessws.counters import Counters
from gateways.accessws.deals import TOPIC as DEALS
from gateways.accessws.deals import DealsBoard
from gateways.accessws.depth import DepthBoard, DepthTopic
from gateways.accessws.feeds import MESSAGES_PER_POLL, Feeds, Open
from gateways.accessws.orders import TOPIC as ORDERS
from gateways.accessws.orders import OrderPushes, OrderTopic
from gateways.accessws.outgoing import Outbox
from gateways.accessws.polling import PolledTopic, Poller
from gateways.accessws.push_format import PushFormat
from gateways.accessws.push_settings import PushSettings
from gateways.accessws.quotes import QUOTE_KINDS, QuoteBoard
from gateways.accessws.sources import Asker, Books
from gateways.accessws.status import PROBE_S, SystemStatus
from gateways.accessws.subscribe_methods import Method, SubscribeMethods
from gateways.accessws.topics import PRIVATE_KINDS, Key, Kind, Registry, Topic
from gateways.common.errors import WireStyle
from gateways.common.handover import Sample
from gateways.common.market_snapshots import SnapshotSource
from vxnet.clock import Clock
from vxnet.timer import Timer
from vxutils.protocol.commands import Service

LOOK_S: Final = 0.002
"""Between two looks at feeds and rings, some 30 us each."""
POLLS_MAX: Final = 10
"""Of full feeds in one look: what came in a rest goes out together, and nobody waits for more than 50 ms."""

SLOW_TICK_S: Final = 0.1


class Subscriptions:
    """All subscriptions of one worker.

    `books` None: no shared memory here; `snapshot_source` as in the settings. `open_feed` None: no messages
    of the recorder, so there are no user events: `order.subscribe` and `asset.subscribe` answer error 3.
    `feed_patience_s`: how long a start may wait for the ends of the topics. `recorded` reads the sequence the
    recorder has come to; None where only messages tell.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: PushSettings,
        style: WireStyle,
        outbox: Outbox,
        asker: Asker,
        clock: Clock,
        *,
        books: Books | None = None,
        snapshot_source: SnapshotSource = "auto",
        open_feed: Open | None = None,
        feed_patience_s: float = 0.0,
        recorded: Callable[[], int | None] | None = None,
    ) -> None:
        self.counters = Counters()
        self._loop = loop
        self._outbox = outbox
        self._asker = asker
        self._is_on_change = settings.timing == "change"
        form = PushFormat(style)
        counters = self.counters
        self.registry = Registry(
            {kind: self._maker(kind) for kind in Kind},
            self._removed,
            subscriptions_max=settings.subscriptions_max,
            topics_max=settings.topics_max,
        )
        self._methods = SubscribeMethods(
            self.registry, settings, self._begin, has_user_events=open_feed is not None
        )
        self.status = SystemStatus(form, self.registry, asker, recorded, loop.time)
        self._poller = Poller(asker, counters, loop.time, settings.changed_interval_s)
        self._depth = DepthBoard(
            form,
            counters,
            self._poller,
            None if snapshot_source == "rpc" else books,
            self.status.saw_engine,
            self._begin_again,
            may_ask=snapshot_source != "shm",
            push_tick_s=settings.push_tick_ms / 1_000 if self._is_on_change else 0.0,
        )
        self._quotes = QuoteBoard(
            form, counters, self._poller, lambda: clock.wall_us() // 1_000_000, settings.kline_interval_s
        )
        has_deals_feed = open_feed is not None and self._is_on_change
        self._deals = DealsBoard(form, counters, self._poller, self._quotes.traded, has_feed=has_deals_feed)
        self._assets = AssetPushes(form, counters, self.registry, asker)
        self._orders = OrderPushes(form, counters, self.registry, self._assets.changed)
        self._feeds: Feeds | None = None
        if open_feed is not None:
            takers = {
                ORDERS: lambda messages: self._orders.take(messages, loop.time()),
                BALANCES: lambda messages: self._assets.take(messages, loop.time()),
            }
            if has_deals_feed:
                takers[DEALS] = lambda messages: self._deals.take(messages, loop.time())
            self._feeds = Feeds(open_feed, takers, counters, self._lost)
        self._feed_patience_s = feed_patience_s
        self._push_tick_s = settings.push_tick_ms / 1_000
        self._feeds_at = 0.0
        self._was_connected = False
        self._begun_again_at = -PROBE_S
        self._timers = [
            Timer(loop, min(LOOK_S, self._push_tick_s), self._look, repeat=True),
            Timer(loop, SLOW_TICK_S, self._slow_tick, repeat=True),
            Timer(loop, PROBE_S, self._probe, repeat=True),
            *(
                Timer(loop, interval_s, partial(self._round, kind), repeat=True)
                for kind, interval_s in (
                    (Kind.DEPTH, settings.depth_interval_s),
                    (Kind.PRICE, settings.price_interval_s),
                    (Kind.STATE, settings.state_interval_s),
                    (Kind.TODAY, settings.today_interval_s),
                    (Kind.KLINE, settings.kline_interval_s),
                    (Kind.DEALS, settings.deals_interval_s),
                )
            ),
        ]

    def start(self) -> None:
        """Begin to push. Messages that were written before are not pushed."""
        if self._feeds is not None:
            self._feeds.start(self._feed_patience_s)
        for timer in self._timers:
            timer.start()

    def stop(self) -> None:
        """End; nothing is pushed any more."""
        for timer in self._timers:
            timer.stop()
        if self._feeds is not None:
            self._feeds.stop()

    def methods(self) -> Mapping[str, Method]:
        """The methods by name: (client, params, succeed) -> None after `succeed` was called, or the error."""
        return self._methods.table()

    def left(self, client: Client) -> None:
        """The connection is gone: it is subscribed to nothing any more."""
        self.registry.leave(client)

    def user_changed(self, client: Client) -> None:
        """The connection speaks for another user, or nobody: what it had of the former one is removed."""
        for kind in PRIVATE_KINDS:
            self.registry.unsubscribe(client, kind)

    def samples(self) -> list[Sample]:
        """The samples of `PUSH_METRICS`."""
        counters, outbox = self.counters, self._outbox
        found: list[Sample] = [("pushes", (kind.value,), count) for kind, count in counters.pushes.items()]
        for kind, topics in self.registry.topics.items():
            found.append(("topics", (kind.value,), len(topics)))
            found.append(
                ("subscriptions", (kind.value,), sum(len(topic.clients) for topic in topics.values()))
            )
        found += [
            ("pushes_conflated", (), outbox.conflated),
            ("clients_slow", (), len(outbox.slow)),
            ("clients_too_slow", (), outbox.disconnected_slow),
            ("books_taken", ("shm",), counters.taken_ring),
            ("books_taken", ("rpc",), counters.taken_rpc),
            ("queries", ("answered",), counters.answered),
            ("queries", ("refused",), counters.refused),
            ("queries", ("failed",), counters.failed),
            ("feed_behind_seconds", (), self.status.behind_s),
        ]
        for name, counts in (
            ("messages", counters.messages),
            ("messages_unreadable", counters.unreadable),
            ("feed_lost", counters.lost),
        ):
            found += [(name, (topic,), count) for topic, count in counts.items()]
        if self._feeds is not None:
            found += [("feed_source", (topic, source), 1) for topic, source in self._feeds.sources.items()]
        return found

    # Time.

    def _look(self) -> None:
        if self._outbox.is_resting:
            return
        now = self._loop.time()
        if self._feeds is not None and now >= self._feeds_at:
            count = 0
            for _ in range(POLLS_MAX):
                count = self._feeds.poll()
                if count < MESSAGES_PER_POLL:
                    break
            if 0 < count < MESSAGES_PER_POLL:
                self._feeds_at = now + self._push_tick_s
        if self._is_on_change:
            self._depth.look(now)
        self._poller.tick()
        self._assets.tick(now)

    def _round(self, kind: Kind) -> None:
        is_due: Callable[[PolledTopic], bool]
        if kind is Kind.DEPTH:
            is_due = self._depth.due
            if not self._is_on_change:
                self._depth.look(self._loop.time())
        elif kind is Kind.DEALS:
            is_due = self._deals.due
        else:
            is_due = self._quotes.due
        self._poller.round(self.registry.topics[kind].values(), is_due)

    def _slow_tick(self) -> None:
        self._outbox.look_at_slow()
        is_connected = self._asker.is_connected(Service.MATCHENGINE)
        if is_connected and not self._was_connected:
            self._begin_again()
        self._was_connected = is_connected

    def _probe(self) -> None:
        self.registry.sweep()
        if self._feeds is not None:
            self.status.lag.saw_recorder(self._feeds.sequence)
            self.status.probe()

    # Seams.

    def _begin_again(self) -> None:
        """The engine was restarted: books are pushed whole, balances asked for, clients told. Rings and the
        connection both tell of one restart."""
        now = self._loop.time()
        if now - self._begun_again_at < PROBE_S:
            return
        self._begun_again_at = now
        self.status.lag.begin_again()
        self._depth.begin_again()
        self._assets.all_changed()
        self.status.tell(refreshed=True)

    def _lost(self, topic: str) -> None:
        if topic == DEALS:
            self._deals.lost_track()
            self._quotes.lost_track()
        else:
            self._assets.all_changed()
            self.status.tell(refreshed=True, missed=topic == ORDERS)

    # Topics.

    def _maker(self, kind: Kind) -> Callable[[Key], Topic]:
        def make(key: Key) -> Topic:
            if kind is Kind.DEPTH:
                return self._depth.make(key)
            if kind is Kind.DEALS:
                return self._deals.make(key)
            if kind is Kind.ORDER:
                return OrderTopic(key)
            if kind is Kind.ASSET:
                return AssetTopic(key)
            return self._quotes.make(kind, key)

        return make

    def _removed(self, topic: Topic) -> None:
        if topic.kind is Kind.DEPTH:
            self._depth.remove(topic)
        elif topic.kind is Kind.DEALS:
            self._deals.remove(topic)
        elif topic.kind in QUOTE_KINDS:
            self._quotes.remove(topic)

    def _begin(self, topic: Topic, client: Client) -> None:
        """Give the client the state, now if it is known."""
        if isinstance(topic, DepthTopic) and topic.book is None:
            self._depth.first_read(topic, self._loop.time())
        else:
            topic.send_full(client)
