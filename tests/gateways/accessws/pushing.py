"""Subscriptions without sockets and processes: a loop that is moved by hand, clients that keep what they get,
backends that answer when the test says so, books and messages that the test makes up.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, cast

from gateways.accessws.client import Client
from gateways.accessws.outgoing import Outbox
from gateways.accessws.push_settings import PushSettings
from gateways.accessws.sources import Answer, Done
from gateways.accessws.subscriptions import Subscriptions
from gateways.common.errors import GatewayError, WireStyle
from vxnet.clock import ManualClock
from vxutils.protocol.book import BookSnapshot
from vxutils.protocol.commands import Service
from vxutils.store.embedded.feed import FeedBroken
from vxutils.store.embedded.schema import Message
from vxutils.ws import Frame, text_frame

WALL_US = 1_800_000_000_000_000


class _Handle:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class ManualLoop:
    """As much of an event loop as timers and `call_soon` need; time passes in `advance` only."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._soon: list[Callable[[], None]] = []
        self._later: list[tuple[float, int, _Handle]] = []
        self._count = 0

    def time(self) -> float:
        return self.now

    def call_soon(self, call: Callable[..., None], *arguments: Any) -> _Handle:
        handle = _Handle(lambda: call(*arguments))
        self._soon.append(lambda: None if handle.is_cancelled else handle.call())
        return handle

    def call_at(self, when: float, call: Callable[..., None], *arguments: Any) -> _Handle:
        handle = _Handle(lambda: call(*arguments))
        self._count += 1
        heapq.heappush(self._later, (when, self._count, handle))
        return handle

    def run_soon(self) -> None:
        while self._soon:
            calls, self._soon = self._soon, []
            for call in calls:
                call()

    def advance(self, seconds: float) -> None:
        """Let time pass: every timer fires at its time."""
        end = self.now + seconds
        self.run_soon()
        while self._later and self._later[0][0] <= end:
            when, _, handle = heapq.heappop(self._later)
            self.now = max(self.now, when)
            if not handle.is_cancelled:
                handle.call()
            self.run_soon()
        self.now = end


class FakeConnection:
    """Keeps what is sent. While `is_stuck`, everything stays unsent."""

    def __init__(self) -> None:
        self.is_open = True
        self.is_stuck = False
        self.pending_output = 0
        self.sends: list[list[Frame]] = []
        self.closed_with: tuple[int, str] | None = None

    def send(self, frames: Sequence[Frame]) -> None:
        assert self.is_open
        self.sends.append(list(frames))
        if self.is_stuck:
            self.pending_output += sum(len(frame.plain) for frame in frames)

    def close(self, code: int, reason: str = "") -> None:
        self.is_open = False
        self.closed_with = (code, reason)


def text_of(frame: Frame) -> str:
    """The payload of a frame as it goes to a client without compression."""
    length = frame.plain[1]
    skip = 2 + {126: 2, 127: 8}.get(length, 0)
    return frame.plain[skip:].decode()


class FakeClient:
    """A client and all that it was sent."""

    def __init__(self, outbox: Outbox, user_id: int = 0) -> None:
        self.connection = FakeConnection()
        self.client = Client(cast(Any, self.connection), outbox.open(self.connection))
        self.client.user_id = user_id
        self._seen = 0

    def texts(self) -> list[str]:
        """What has come since the last call."""
        texts = [text_of(frame) for frames in self.connection.sends for frame in frames]
        fresh = texts[self._seen :]
        self._seen = len(texts)
        return fresh

    def pushes(self) -> list[tuple[str, Any]]:
        """Method and params of each push since the last call; replies are left out."""
        frames = [json.loads(text) for text in self.texts()]
        return [(frame["method"], frame["params"]) for frame in frames if "method" in frame]


class FakeBackends:
    """Answers queries by `answers[command](params)`: a result as a JSON value or text, or an error code.

    While `is_silent`, queries wait; `fail` ends those without an answer.
    """

    def __init__(self, style: WireStyle) -> None:
        self.answers: dict[int, Callable[[list[Any]], Any]] = {}
        self.asked: list[tuple[int, list[Any]]] = []
        self.is_silent = False
        self.is_up = True
        self.sequence = 0
        self._style = style
        self._waiting: list[tuple[int, list[Any], Done]] = []

    def is_connected(self, service: Service) -> bool:
        return self.is_up

    def ask(self, command: int, params: bytes, done: Done) -> None:
        decoded = json.loads(params)
        self.asked.append((command, decoded))
        if self.is_silent:
            self._waiting.append((command, decoded, done))
        else:
            self._answer(command, decoded, done)

    def answer_all(self) -> None:
        """Those that waited are answered now, oldest first."""
        waiting, self._waiting = self._waiting, []
        for command, params, done in waiting:
            self._answer(command, params, done)

    def fail(self) -> None:
        """Those that waited get no answer."""
        waiting, self._waiting = self._waiting, []
        for _, _, done in waiting:
            done(None)

    def count(self, command: int) -> int:
        return sum(asked == command for asked, _ in self.asked)

    def _answer(self, command: int, params: list[Any], done: Done) -> None:
        if not self.is_up:
            done(None)
            return
        make = self.answers.get(command)
        found = make(params) if make is not None else 1
        if isinstance(found, int):
            done(Answer(b"", 0, found))
            return
        text = found if isinstance(found, str) else self.dump(found)
        done(Answer(text.encode(), self.sequence))

    def dump(self, value: object) -> str:
        return json.dumps(value) if self._style == "viabtc" else json.dumps(value, separators=(",", ":"))


class FakeBooks:
    """Books by market."""

    def __init__(self) -> None:
        self.generation = 1
        self.books: dict[str, BookSnapshot] = {}
        self.reads = 0
        self._numbers: dict[str, int] = {}

    def publish(self, snapshot: BookSnapshot) -> None:
        self.books[snapshot.market] = snapshot
        self._numbers[snapshot.market] = self._numbers.get(snapshot.market, 0) + 1

    def peek(self, market: str) -> tuple[int, int] | None:
        return (self.generation, self._numbers[market]) if market in self._numbers else None

    def read(self, market: str) -> BookSnapshot | None:
        self.reads += 1
        return self.books.get(market)


class FakeFeed:
    """The messages that the test wrote."""

    source = "ring"
    trouble = None

    def __init__(self) -> None:
        self.is_placed = True
        self.messages: list[Message] = []
        self.broken: FeedBroken | None = None

    def poll(self, limit: int) -> list[Message]:
        if self.broken is not None:
            raise self.broken
        found, self.messages = self.messages[:limit], self.messages[limit:]
        return found

    def close(self) -> None:
        return


def book(
    market: str,
    sequence: int,
    asks: Sequence[tuple[int, int]],
    bids: Sequence[tuple[int, int]],
    *,
    scale: int = 2,
    levels: int = 100,
) -> BookSnapshot:
    """A snapshot with prices and amounts at `scale` decimals."""
    return BookSnapshot(market, sequence, 1, scale, scale, list(asks), list(bids), levels)


class Pushing:
    """Everything together; `settings` are those of `PushSettings` that differ from the defaults."""

    def __init__(
        self,
        style: WireStyle = "plain",
        *,
        has_books: bool = True,
        has_feeds: bool = True,
        is_recorder_here: bool = True,
        **settings: Any,
    ) -> None:
        self.loop = ManualLoop()
        self.clock = ManualClock(WALL_US)
        self.backends = FakeBackends(style)
        self.books = FakeBooks()
        self.feeds: dict[str, FakeFeed] = {}
        self.recorded: int | None = 0
        self.may_place = True  # whether a feed that is opened finds its end at once
        loop = cast(Any, self.loop)
        self.outbox = Outbox(loop, settings.get("client_queue_size_bytes_max", 1 << 20))
        self.subscriptions = Subscriptions(
            loop,
            PushSettings(**settings),
            style,
            self.outbox,
            self.backends,
            self.clock,
            books=self.books if has_books else None,
            open_feed=self._open if has_feeds else None,
            recorded=(lambda: self.recorded) if is_recorder_here else None,
        )
        self.methods = self.subscriptions.methods()
        self.subscriptions.start()
        self.loop.advance(0.2)  # the engine is connected
        self._offsets: dict[str, int] = {}

    def _open(self, topic: str) -> FakeFeed:
        feed = self.feeds[topic] = FakeFeed()
        feed.is_placed = self.may_place
        return feed

    def client(self, user_id: int = 0) -> FakeClient:
        return FakeClient(self.outbox, user_id)

    def call(self, client: FakeClient, method: str, *params: Any) -> int:
        """Call a method; 0 for success, else the code of the error."""
        successes: list[None] = []

        def succeed() -> None:
            successes.append(None)
            client.client.outgoing.queue(text_frame('{"result":"success"}'))

        error = self.methods[method](client.client, list(params), succeed)
        assert (error is None) == (len(successes) == 1)
        self.loop.run_soon()
        return error.error.code if isinstance(error, GatewayError) else 0

    def leave(self, client: FakeClient) -> None:
        """The connection is closed."""
        client.connection.is_open = False
        client.client.outgoing.close()
        self.subscriptions.left(client.client)

    def write(self, topic: str, payload: str, sequence: int = 1) -> None:
        """A message of the recorder."""
        offset = self._offsets[topic] = self._offsets.get(topic, -1) + 1
        self.feeds[topic].messages.append(Message(offset, sequence, 0, payload))

    def deal(
        self, deal_id: int, market: str = "BTCUSD", price: str = "10.00", amount: str = "1.50", side: int = 2
    ) -> None:
        """A deal as the recorder tells it."""
        self.write(
            "deals",
            f'[1700000000.5, "{market}", 1, 2, 3, 4, "{price}", "{amount}", "0", "0", {side}, {deal_id},'
            f' "BTC", "USD"]',
            deal_id,
        )

    def order(
        self, event: int, user: int, sequence: int, market: str = "BTCUSD", left: str = "1.00", **more: Any
    ) -> None:
        """An order event as the recorder tells it."""
        fields = {
            "id": 8,
            "market": market,
            "source": "web",
            "type": 1,
            "side": 1,
            "user": user,
            "ctime": 1700000000.25,
            "mtime": 1700000001.5,
            "price": "20",
            "amount": "1.00",
            "taker_fee": "0.002",
            "maker_fee": "0.001",
            "left": left,
            "deal_stock": "0e-8",
            "deal_money": "0",
            "deal_fee": "5.0e-7",
        } | more
        payload = json.dumps({"event": event, "order": fields, "stock": "BTC", "money": "USD"})
        self.write("orders", payload, sequence)

    def deposit(self, user: int, asset: str, sequence: int) -> None:
        """A balance update as the recorder tells it."""
        self.write("balances", f'[1700000000.5, {user}, "{asset}", "deposit", "1.00"]', sequence)


class DepthReader:
    """What a client of the websocket does with depth pushes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.sides: dict[str, dict[Decimal, str]] = {}

    def apply(self, params: list[Any]) -> None:
        clean, changes, _ = params
        if clean:
            self.sides = {"asks": {}, "bids": {}}
        for name, levels in changes.items():
            side = self.sides[name]
            for price, amount in levels:
                if Decimal(amount):
                    side[Decimal(price)] = amount
                else:
                    del side[Decimal(price)]  # only what was shown is taken back
            best = sorted(side, reverse=name == "bids")[: self.limit]
            self.sides[name] = {price: side[price] for price in best}

    def shown(self) -> dict[str, list[list[Decimal]]]:
        return {
            name: [[price, Decimal(amount)] for price, amount in side.items()]
            for name, side in self.sides.items()
        }
