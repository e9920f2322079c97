"""Everything there is as one batch, made in small steps between answers while the state goes on changing.

    step, step, ..: texts of candles, then of deals, market by market --done--> what changed meanwhile on top

For a Redis that has lost what it had. It changes nothing of the state but what counts as unsaved.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from marketprice.core.market import Market, Markets
from marketprice.core.trades import RECENT_MAX
from marketprice.redis_batch import Batch, candles_key, deals_key, last_key
from marketprice.texts import Texts

STEP_CANDLES: Final = 2_000  # some 10 ms


class WholeState:
    """Begins at once. `changes`: what has changed since, to which `gather` adds what a market has unsaved."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        markets: Markets,
        texts: Texts,
        changes: Batch,
        gather: Callable[[Market], None],
    ) -> None:
        self.is_done = False
        self._loop = loop
        self._markets = markets
        self._texts = texts
        self._changes = changes
        self._gather = gather
        self._batch = Batch(changes.position, is_all=True)
        self._steps = self._copy()
        self._next = loop.call_soon(self._step)

    def stop(self) -> None:
        self._next.cancel()

    def batch(self) -> Batch:
        """All of it, once it is done and all that is unsaved has been gathered."""
        assert self.is_done
        batch, changes = self._batch, self._changes
        batch.position = changes.position
        for key, candles in changes.candles.items():
            batch.candles.setdefault(key, {}).update(candles)
        for key, starts in changes.dropped.items():
            for start in starts:
                batch.candles.get(key, {}).pop(start, None)
        for key, deals in changes.deals.items():
            batch.deals.setdefault(key, deque(maxlen=RECENT_MAX)).extend(deals)
        for market in self._markets.by_name.values():
            batch.last[last_key(market.name)] = self._texts.last(market)
        return batch

    def _step(self) -> None:
        if next(self._steps, None) is None:
            self.is_done = True
        else:
            self._next = self._loop.call_soon(self._step)

    def _copy(self) -> Iterator[bool]:
        candle_text, deal_text = self._texts.candle, self._texts.deal
        for market in list(self._markets.by_name.values()):
            for period, series in market.series.items():
                into = self._batch.candles.setdefault(candles_key(market.name, period), {})
                starts = list(series.starts)
                for first in range(0, len(starts), STEP_CANDLES):
                    for start in starts[first : first + STEP_CANDLES]:
                        candle = series.by_start.get(start)
                        if candle is not None:  # dropped meanwhile
                            into[start] = candle_text(candle)
                    yield True
            # Deals that come from now on are in `changes`, and no others.
            self._gather(market)
            key = deals_key(market.name)
            self._changes.deals.pop(key, None)
            recent = reversed(market.recent.newest_first)
            self._batch.deals[key] = deque(map(deal_text, recent), maxlen=RECENT_MAX)
            yield True
