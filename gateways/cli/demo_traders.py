"""The traders of `vx demo`: makers that keep ladders, takers that cross, over the HTTP gateway.

    maker, each market in turn:  order.pending -> requote -> order.cancel ... order.put_limit ...
    taker, a market by chance:   taken -> order.put_market | order.put_limit, and order.cancel of what is left

What to do is decided in `quoting`. A maker remembers no order: what rests is asked each time, so after a
failure of anybody it goes on from what is true. Nothing that changes something is sent twice. All bots share
one pace.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import msgspec

from gateways.cli.answers import expect, problem_text
from gateways.cli.demo_funds import Amount, fund
from gateways.cli.quoting import OpenOrder, Quote, Terms, Walk, ladder, requote, taken
from vxutils import fixed
from vxutils.client import AsyncClient, ExchangeError, NoAnswer, Outcome
from vxutils.protocol import codes

SOURCE: Final = "vx-demo"
PAGE: Final = 100
SEEDING_PER_S: Final = 400.0
"""The pace of the first ladders, so that there is a book soon."""
PAUSE_FIRST_S: Final = 0.5
PAUSE_MAX_S: Final = 4.0
FUND_PERIOD_S: Final = 10.0
TAKERS_PART: Final = 0.2
"""Of all requests, those of takers: makers need the others to keep up with them."""
CANCEL_ROUNDS_MAX: Final = 50

_EXPECTED: Final = frozenset({codes.ORDER_NO_ENOUGH_TRADER.code, codes.ORDER_AMOUNT_TOO_SMALL.code})


class Stopped(Exception):
    """The demo ends: no further request is sent."""


class Pace:
    """`per_s` turns a second, for all who ask, in order. `stop` ends every wait."""

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self._next = 0.0
        self._stop = asyncio.Event()

    async def turn(self) -> None:
        """Raises: Stopped."""
        now = asyncio.get_running_loop().time()
        mine = max(self._next, now)
        self._next = mine + 1 / self.per_s
        await self.sleep(mine - now)

    async def sleep(self, seconds: float) -> None:
        """Raises: Stopped."""
        if not self._stop.is_set() and seconds > 0:
            try:
                await asyncio.wait_for(self._stop.wait(), seconds)
            except TimeoutError:
                return
        if self._stop.is_set():
            raise Stopped

    def stop(self) -> None:
        self._stop.set()


class Placed(msgspec.Struct, frozen=True):
    """An order as it stands right after matching."""

    id: int
    left: str

    @property
    def is_open(self) -> bool:
        return (fixed.parse_exact(self.left) or (0, 0))[0] > 0


class _Pending(msgspec.Struct, frozen=True):
    records: list[OpenOrder]


class Venue(msgspec.Struct, frozen=True):
    """One market: its terms, and where its price is."""

    terms: Terms
    walk: Walk


class Counts(msgspec.Struct):
    """What the bots did. `problem`: why nothing goes on, "" while all is well."""

    orders: int = 0
    cancels: int = 0
    problem: str = ""


class Floor:
    """What all bots share."""

    def __init__(
        self, client: AsyncClient, venues: list[Venue], funds: Mapping[str, Amount], rate_per_s: float
    ) -> None:
        self.venues = venues
        self.pace = Pace(rate_per_s)
        self.counts = Counts()
        self._client = client
        self._funds = funds
        self._funded_at: dict[int, float] = {}

    async def repeat(self, act: Callable[[], Awaitable[None]], times: int | None = None) -> None:
        """One bot, so many times or until the pace stops; while the exchange does not answer it waits."""
        pause_s = PAUSE_FIRST_S
        try:
            for _ in itertools.count() if times is None else range(times):
                try:
                    await act()
                    pause_s = PAUSE_FIRST_S
                    self.counts.problem = ""
                except ExchangeError as error:
                    self.counts.problem = f"{problem_text(error)}; trying again"
                    await self.pace.sleep(pause_s)
                    pause_s = min(pause_s * 2, PAUSE_MAX_S)
        except Stopped:
            return

    async def put(self, user: int, venue: Venue, quote: Quote) -> Placed | None:
        """Place an order; what became of it, None if it was refused for a reason that is part of the game."""
        await self.pace.turn()
        terms = venue.terms
        try:
            if quote.is_market:
                order = await self._client.call("order.put_market", user, *terms.market_params(quote), SOURCE)
            else:
                order = await self._client.call("order.put_limit", user, *terms.limit_params(quote), SOURCE)
        except ExchangeError as error:
            if not _is_refusal(error):
                raise
            if error.code == codes.ORDER_BALANCE_NOT_ENOUGH.code:
                await self._fund_again(user)
            elif error.code not in _EXPECTED:
                raise
            return None
        self.counts.orders += 1
        return expect(order, Placed)

    async def cancel(self, user: int, venue: Venue, order_id: int) -> None:
        """An order that is gone meanwhile is fine."""
        await self.pace.turn()
        if await cancel(self._client, user, venue.terms.rules.name, order_id):
            self.counts.cancels += 1

    async def resting(self, user: int, venue: Venue) -> list[OpenOrder]:
        await self.pace.turn()
        return await open_orders(self._client, user, venue.terms.rules.name)

    async def fund(self, user: int) -> None:
        self._funded_at[user] = asyncio.get_running_loop().time()
        await fund(self._client, user, self._funds)

    async def _fund_again(self, user: int) -> None:
        if asyncio.get_running_loop().time() - self._funded_at.get(user, 0.0) >= FUND_PERIOD_S:
            await self.fund(user)


class Maker:
    """Keeps a ladder in every market; `index` of `makers`."""

    def __init__(self, floor: Floor, user: int, index: int, makers: int, chance: random.Random) -> None:
        self._floor = floor
        self._user = user
        self._index = index
        self._makers = makers
        self._chance = chance
        self._turn = 0

    async def act(self) -> None:
        """Look after the next market. Raises: ExchangeError; Stopped."""
        venue = self._floor.venues[self._turn % len(self._floor.venues)]
        self._turn += 1
        resting = await self._floor.resting(self._user, venue)
        wanted = ladder(venue.terms, venue.walk.ticks, self._index, self._makers)
        cancels, quotes = requote(venue.terms, wanted, resting, self._chance)
        for order_id in cancels:
            await self._floor.cancel(self._user, venue, order_id)
        for quote in quotes:
            await self._floor.put(self._user, venue, quote)


class Taker:
    """Trades against the ladders, in any market."""

    def __init__(self, floor: Floor, user: int, acts_per_s: float, chance: random.Random) -> None:
        self._floor = floor
        self._user = user
        self._acts_per_s = acts_per_s
        self._chance = chance

    async def act(self) -> None:
        """A pause, and one trade or an attempt. Raises: ExchangeError; Stopped."""
        await self._floor.pace.sleep(self._chance.expovariate(self._acts_per_s))
        venue = self._chance.choice(self._floor.venues)
        quote = taken(venue.terms, venue.walk.ticks, self._chance)
        order = await self._floor.put(self._user, venue, quote)
        if order is not None and not quote.is_market and order.is_open:
            await self._floor.cancel(self._user, venue, order.id)


async def open_orders(client: AsyncClient, user: int, market: str) -> list[OpenOrder]:
    """The newest PAGE open orders of a user. Raises: ExchangeError."""
    return expect(await client.call("order.pending", user, market, 0, PAGE), _Pending).records


async def cancel(client: AsyncClient, user: int, market: str, order_id: int) -> bool:
    """Whether it was there. Raises: ExchangeError."""
    try:
        await client.call("order.cancel", user, market, order_id)
    except ExchangeError as error:
        if _is_refusal(error) and error.code == codes.CANCEL_ORDER_NOT_FOUND.code:
            return False
        raise
    return True


async def cancel_all(client: AsyncClient, users: Iterable[int], markets: Iterable[str]) -> int:
    """Until no order of these users is open in these markets; how many there were. Raises: ExchangeError."""
    places = [(user, market) for user in users for market in markets]
    return sum(await asyncio.gather(*(_cancel_all(client, *place) for place in places)))


async def _cancel_all(client: AsyncClient, user: int, market: str) -> int:
    count = 0
    for _ in range(CANCEL_ROUNDS_MAX):
        orders = await open_orders(client, user, market)
        if not orders:
            return count
        for order in orders:
            count += await cancel(client, user, market, order.id)
    raise NoAnswer(f"user {user} has open orders in {market}, however many are cancelled", Outcome.REFUSED)


def _is_refusal(error: ExchangeError) -> bool:
    return not isinstance(error, NoAnswer) and error.outcome is Outcome.REFUSED
