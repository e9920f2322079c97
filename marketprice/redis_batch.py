"""What goes into Redis at once: changed candles, new deals, last prices, and the position they belong to.

    k:<market>:1s :1m :1h :1d   hash   start of the candle -> its text
    k:<market>:deals            list   newest first, the latest RECENT_MAX
    k:<market>:last             string 0 while nothing was ever traded
    k:offset                    string last message that is in all of the above; none: not there
    k:vx                        string ours: which batch it was, whose days, what the message was

`k:vx` is not known to the C system, which leaves it alone. With it two batches can be told apart, and it is
seen whether somebody else has written since. Texts are those of the C system. Knows no connection.

Source: protocol.md 6.4.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from marketprice.core.candle import PERIODS
from marketprice.core.market import Market
from marketprice.core.trades import RECENT_MAX
from marketprice.persistence import Position
from marketprice.texts import Texts
from vxutils.store.redis.connection import Command

OFFSET_KEY: Final = "k:offset"
OURS_KEY: Final = "k:vx"
FIELDS_MAX: Final = 5_000
"""Candles, or deals, of one command."""


class Ours(msgspec.Struct, frozen=True):
    """The text of `k:vx`. `batch`: its name, never used twice; `digest`: hexadecimal. `generation`: of the
    process that wrote it: one more than it found at its start, so the later one has the higher."""

    batch: str
    offset: int
    sequence: int
    digest: str
    time_zone: str
    generation: int = 0


class Mark(msgspec.Struct, frozen=True):
    """Which batch is the last one in a Redis: `k:offset`, and the name in `k:vx`; "": it is not there."""

    offset: str = ""
    batch: str = ""


def candles_key(market: str, period: str) -> str:
    return f"k:{market}:{period}"


def deals_key(market: str) -> str:
    return f"k:{market}:deals"


def last_key(market: str) -> str:
    return f"k:{market}:last"


class Batch:
    """Changes in the order in which they happened, the later one of the same key in force.

    `position`: of the last message in it. `is_all`: it takes the place of whatever is there. Bounded by the
    state: a candle is in it once, and of the deals the latest ones.
    """

    def __init__(self, position: Position, is_all: bool = False) -> None:
        self.position = position
        self.is_all = is_all
        self.candles: dict[str, dict[int, str]] = {}
        self.dropped: dict[str, set[int]] = {}
        self.deals: dict[str, deque[str]] = {}
        self.last: dict[str, str] = {}
        self.before = Mark()
        self.ours = Ours("", -1, 0, "", "")

    @property
    def is_empty(self) -> bool:
        """Whether it would change nothing but the position."""
        return not (self.candles or self.dropped or self.deals or self.last)

    @property
    def size(self) -> int:
        """Texts in it."""
        parts = [*self.candles.values(), *self.dropped.values(), *self.deals.values()]
        return sum(map(len, parts)) + len(self.last)

    @property
    def mark(self) -> Mark:
        """What is found in a Redis that has it."""
        return Mark(str(self.position.offset) if self.position.offset >= 0 else "", self.ours.batch)

    def name(self, batch: str, before: Mark, zone: str, generation: int) -> None:
        """Nothing is added from now on: it goes into a Redis where `before` is found."""
        offset, sequence, digest = self.position.offset, self.position.sequence, self.position.digest
        self.ours = Ours(batch, offset, sequence, digest.hex(), zone, generation)
        self.before = before

    def add_changed(self, market: Market, texts: Texts) -> None:
        """What of a market is not saved."""
        for period, start in market.changed:
            candle = market.candle(period, start)
            if candle is not None:  # dropped meanwhile
                self._add_candle(candles_key(market.name, period), start, texts.candle(candle))
        if market.unsaved_deals:
            deals = self.deals.setdefault(deals_key(market.name), deque(maxlen=RECENT_MAX))
            deals.extend(map(texts.deal, market.unsaved_deals))
        self.last[last_key(market.name)] = texts.last(market)

    def add_all(self, market: Market, texts: Texts) -> None:
        """Everything that is known of a market."""
        for period, series in market.series.items():
            self.candles[candles_key(market.name, period)] = {
                start: texts.candle(candle) for start, candle in series.by_start.items()
            }
        self.deals[deals_key(market.name)] = deque(map(texts.deal, reversed(market.recent.newest_first)))
        self.last[last_key(market.name)] = texts.last(market)

    def drop(self, key: str, starts: list[int]) -> None:
        """These candles are not kept any longer."""
        if not starts:
            return
        self.dropped.setdefault(key, set()).update(starts)
        candles = self.candles.get(key, {})
        for start in starts:
            candles.pop(start, None)

    def commands(self) -> list[Command]:
        """What changes a Redis from `before` to `mark`, all of it in one transaction."""
        commands: list[Command] = []
        for key, candles in self.candles.items():
            commands += _hset(key, candles)
        for key, starts in self.dropped.items():
            commands += [("HDEL", key, *part) for part in _parts(list(map(str, starts)))]
        for key, deals in self.deals.items():
            commands += [("LPUSH", key, *part) for part in _parts(list(deals))]
            commands.append(("LTRIM", key, 0, RECENT_MAX - 1))
        return commands + self._ends()

    def preparations(self) -> list[Command]:
        """Of a batch that is everything: candles and deals beside those that are there."""
        commands: list[Command] = []
        for key, candles in self.candles.items():
            commands += [("UNLINK", _beside(key)), *_hset(_beside(key), candles)]
        for key, deals in self.deals.items():
            commands += [("UNLINK", _beside(key))]
            commands += [("LPUSH", _beside(key), *part) for part in _parts(list(deals))]
        return commands

    def exchange(self) -> list[Command]:
        """After `preparations`: these take the place of what was there, all of it in one transaction."""
        commands: list[Command] = []
        for key, content in [*self.candles.items(), *self.deals.items()]:
            commands.append(("RENAME", _beside(key), key) if content else ("UNLINK", key))
        return commands + self._ends()

    def _add_candle(self, key: str, start: int, text: str) -> None:
        self.candles.setdefault(key, {})[start] = text
        dropped = self.dropped.get(key)
        if dropped is not None:
            dropped.discard(start)

    def _ends(self) -> list[Command]:
        commands: list[Command] = [("SET", key, text) for key, text in self.last.items()]
        has_offset = self.position.offset >= 0
        commands.append(("SET", OFFSET_KEY, self.position.offset) if has_offset else ("DEL", OFFSET_KEY))
        commands.append(("SET", OURS_KEY, msgspec.json.encode(self.ours).decode()))
        return commands


def keys_of(market: str) -> list[Command]:
    """What reads a market: its candles of each period, its deals, its last price."""
    candles: list[Command] = [("HGETALL", candles_key(market, period)) for period in PERIODS]
    return [*candles, ("LRANGE", deals_key(market), 0, RECENT_MAX - 1), ("GET", last_key(market))]


def _hset(key: str, candles: dict[int, str]) -> list[Command]:
    flat = [text for start, candle in candles.items() for text in (str(start), candle)]
    return [("HSET", key, *part) for part in _parts(flat)]


def _parts(texts: list[str]) -> list[list[str]]:
    return [texts[first : first + 2 * FIELDS_MAX] for first in range(0, len(texts), 2 * FIELDS_MAX)]


def _beside(key: str) -> str:
    return f"vx:new:{key}"
