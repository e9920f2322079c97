"""The names of all markets, asked of the engine (or of the HTTP gateway) again and again.

At the start until it answers, then once in a while, because markets are added at run time. A market that is
traded is known anyway: this is for those that never were. The C system asks once and does not start without
an answer (protocol.md 6.2).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from vxnet.clock import Clock, OncePer
from vxnet.timer import Timer
from vxutils.client import AsyncClient, ExchangeError

TIMEOUT_S = 1.0
RETRY_S = 0.25
REFRESH_S = 30.0
LOG_PERIOD_S = 60.0

_log = logging.getLogger("vx.marketprice.market_list")


class MarketList:
    """Asks `source` (an URL or an RPC address) from `start` to `stop`; names go to `receive`, on the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        source: str,
        receive: Callable[[list[str]], None],
        clock: Clock,
    ) -> None:
        self._loop = loop
        self._source = source
        self._receive = receive
        self._clock = clock
        self._client = AsyncClient(source, timeout_s=TIMEOUT_S, connections_max=1)
        self._task: asyncio.Task[None] | None = None
        self._retry = Timer(loop, RETRY_S, self._ask, repeat=False)
        self._refresh = Timer(loop, REFRESH_S, self._ask, repeat=False)
        self._failure_log = OncePer(LOG_PERIOD_S)

    def start(self) -> None:
        """Asks now."""
        self._ask()

    def stop(self) -> None:
        """Asks no more; `ended` is to be awaited then."""
        self._retry.stop()
        self._refresh.stop()
        if self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        """Returns when the question that was under way is given up."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def _ask(self) -> None:
        self._task = self._loop.create_task(self._exchange())
        self._task.add_done_callback(self._raise_our_fault)

    async def _exchange(self) -> None:
        try:
            names = _names(await self._client.call("market.list"))
            await self._client.close()  # nothing to be asked for half a minute
        except ExchangeError as error:
            if self._failure_log.allows(self._clock.monotonic_us() / 1_000_000):
                _log.warning("market.list of %s: %s", self._source, error)
            self._retry.start()
            return
        self._refresh.start()
        self._receive(names)

    @staticmethod
    def _raise_our_fault(task: asyncio.Task[None]) -> None:
        """A callback of the loop: what it raises ends the process, as everywhere else."""
        if not task.cancelled():
            task.result()


def _names(result: object) -> list[str]:
    if not isinstance(result, list):
        return []
    return [item["name"] for item in result if isinstance(item, dict) and isinstance(item.get("name"), str)]
