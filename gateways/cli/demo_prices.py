"""What `vx demo` hears from the websocket: the last price of each market, and how many deals there were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

import msgspec

from gateways.cli.answers import expect
from gateways.cli.live import Gateway, LiveConnection, connected, follow
from vxutils.client import ExchangeError, NoAnswer

SHOWN_MAX: Final = 6


class _Deal(msgspec.Struct, frozen=True):
    id: int


class DemoPrices:
    """Prices of some markets. `problem`: why nothing is heard, "" while all is well."""

    def __init__(self, gateway: Gateway, markets: Sequence[str]) -> None:
        self.problem = ""
        self.deals = 0
        self._gateway = gateway
        self._markets = markets
        self._prices: dict[str, str] = {}
        self._last_deal = dict.fromkeys(markets, 0)
        self._watching: dict[str, Callable[[str], None]] = {}

    @property
    def shown(self) -> str:
        """The prices as part of a line."""
        known = [f"{market} {self._prices[market]}" for market in self._markets if market in self._prices]
        return "   ".join(known[:SHOWN_MAX])

    async def last(self) -> dict[str, str]:
        """Asked now: the last price of each market, "0" if there is none. Raises: ExchangeError."""
        async with connected(self._gateway) as connection:
            for market in self._markets:
                newest = expect(await connection.call("deals.query", market, 1, 0), list[_Deal])
                self._last_deal[market] = newest[0].id if newest else 0
            return {market: await connection.call("price.query", market) for market in self._markets}

    def watch(self, market: str, take_price: Callable[[str], None]) -> None:
        """`take_price` gets each new last price of the market."""
        self._watching[market] = take_price

    async def run(self) -> NoReturn:
        """Listen for ever, and come back after failures."""
        await follow(self._gateway, self._take, self._begin, self._tell)

    async def _begin(self, connection: LiveConnection) -> None:
        try:
            await connection.call("price.subscribe", *self._markets)
            await connection.call("deals.subscribe", *self._markets)
        except NoAnswer:
            raise
        except ExchangeError as error:
            raise NoAnswer(f"no prices: {error.message}", error.outcome) from error

    def _take(self, method: str, params: list[Any]) -> None:
        if method == "price.update":
            market, price = msgspec.convert(params, tuple[str, str])
            self._prices[market] = price
            if market in self._watching:
                self._watching[market](price)
        elif method == "deals.update":
            market, deals = msgspec.convert(params, tuple[str, list[_Deal]])
            last = self._last_deal.get(market, 0)
            self.deals += sum(deal.id > last for deal in deals)
            self._last_deal[market] = max([last, *(deal.id for deal in deals)])

    def _tell(self, problem: str) -> None:
        self.problem = f"{problem}; trying again" if problem else ""
