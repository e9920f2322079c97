"""The five commands: parameters to results. Reads the state, changes nothing.

Source: protocol.md 6.6, in its order of checks; 3.8 (the reply cache).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from marketprice import problems
from marketprice.core.kline import Retention, base_period, kline
from marketprice.core.market import Market, Markets
from marketprice.core.ticker import status, status_today
from marketprice.core.trades import RECENT_MAX
from marketprice.views import Views
from vxnet.clock import Clock
from vxutils.protocol.codes import ErrorCode
from vxutils.protocol.commands import (
    MARKET_DEALS,
    MARKET_KLINE,
    MARKET_LAST,
    MARKET_STATUS,
    MARKET_STATUS_TODAY,
)

CACHE_ENTRIES_MAX = 1_000  # all are dropped when one more would come
CACHED: Final = frozenset({MARKET_STATUS, MARKET_KLINE, MARKET_STATUS_TODAY})

Params = list[Any]
Answer = str | ErrorCode


class Requests:
    """Answers from `markets`. `cache_timeout_us`: how long a result is repeated, 0 = never.

    `before(market, now)` is called before anything of a market is given out that is so at the second `now`.
    """

    def __init__(
        self,
        markets: Markets,
        views: Views,
        retention: Retention,
        clock: Clock,
        *,
        buckets_max: int,
        cache_timeout_us: int,
        before: Callable[[Market, int], None] = lambda market, now: None,
    ) -> None:
        self._markets = markets
        self._views = views
        self._retention = retention
        self._clock = clock
        self._buckets_max = buckets_max
        self._cache_timeout_us = cache_timeout_us
        self._before = before
        self._cache: dict[tuple[int, bytes], tuple[int, str]] = {}
        self._wrong_period = problems.wrong_period(retention.sec_max)
        self._too_many = problems.too_many_buckets(buckets_max)
        self._commands: dict[int, Callable[[Params], Answer]] = {
            MARKET_STATUS: self._status,
            MARKET_KLINE: self._kline,
            MARKET_DEALS: self._deals,
            MARKET_LAST: self._last,
            MARKET_STATUS_TODAY: self._status_today,
        }

    def knows(self, command: int) -> bool:
        """Whether this is a command of ours."""
        return command in self._commands

    def answer(self, command: int, params: Params, body: bytes) -> Answer:
        """The result as JSON text, or the error. `body` is what `params` were read from."""
        answer = self._commands[command]
        if self._cache_timeout_us <= 0 or command not in CACHED:
            return answer(params)
        now_us = self._clock.monotonic_us()
        known = self._cache.get((command, body))
        if known is not None and now_us - known[0] <= self._cache_timeout_us:
            return known[1]
        result = answer(params)
        if isinstance(result, str):
            if len(self._cache) >= CACHE_ENTRIES_MAX:
                self._cache.clear()
            self._cache[command, body] = (now_us, result)
        return result

    def _status(self, params: Params) -> Answer:
        """301 `[market, period]`"""
        if len(params) != 2:
            return problems.wrong_count("market, period")
        market = self._market(params[0])
        if market is None:
            return problems.UNKNOWN_MARKET
        period = params[1]
        if type(period) is not int or not 1 <= period <= self._retention.sec_max:
            return self._wrong_period
        now = self._now()
        self._before(market, now)
        return self._views.status(market, period, status(market, self._markets.calendar, period, now))

    def _kline(self, params: Params) -> Answer:
        """302 `[market, start, end, interval]`"""
        if len(params) != 4:
            return problems.wrong_count("market, start, end, interval")
        name, start, end, interval = params
        market = self._market(name)
        if market is None:
            return problems.UNKNOWN_MARKET
        if type(start) is not int or start <= 0:
            return problems.START
        now = self._now()
        if type(end) is not int or end <= 0:
            return problems.END
        end = min(end, now)
        if start > end:
            return problems.START
        self._before(market, now)
        if type(interval) is not int or base_period(interval) is None:
            return problems.INTERVAL
        found = kline(market, self._markets.calendar, self._retention, start, end, interval, now)
        if found.count > self._buckets_max:
            return self._too_many
        text = self._views.kline(market.name, found)
        return self._too_many if text is None else text

    def _deals(self, params: Params) -> Answer:
        """303 `[market, limit, last_id]`"""
        if len(params) != 3:
            return problems.wrong_count("market, limit, last_id")
        name, limit, last_id = params
        market = self._market(name)
        if market is None:
            return problems.UNKNOWN_MARKET
        if type(limit) is not int or not 1 <= limit <= RECENT_MAX:
            return problems.LIMIT
        if type(last_id) is not int:
            return problems.LAST_ID
        self._before(market, self._now())
        text = self._views.deals(market.recent.after(last_id, limit))
        return problems.REPLY_TOO_LARGE if text is None else text

    def _last(self, params: Params) -> Answer:
        """304 `[market]`"""
        if len(params) != 1:
            return problems.wrong_count("market")
        market = self._market(params[0])
        if market is None:
            return problems.UNKNOWN_MARKET
        self._before(market, self._now())
        return self._views.last(market)

    def _status_today(self, params: Params) -> Answer:
        """305 `[market]`"""
        if len(params) != 1:
            return problems.wrong_count("market")
        market = self._market(params[0])
        if market is None:
            return problems.UNKNOWN_MARKET
        now = self._now()
        self._before(market, now)
        return self._views.status_today(status_today(market, self._markets.calendar, now))

    def _market(self, name: object) -> Market | None:
        return self._markets.by_name.get(name) if type(name) is str else None

    def _now(self) -> int:
        return self._clock.wall_us() // 1_000_000
