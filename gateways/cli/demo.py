"""`vx demo`: market makers and takers through the public interfaces, so that there is a market to look at.

    checks -> test balances -> prices from the websocket -> first ladders -> makers, takers, walks
    Ctrl-C -> every bot finishes its request -> all their orders are cancelled

It must never disturb a real exchange: it trades on this machine only, and only where nobody but test users
has any money, unless `--yes` is given. It keeps nothing: what an earlier demo left open is cancelled at the
start.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import time
from typing import Final

import uvloop

from gateways.cli.answers import expect, problem_text
from gateways.cli.call import read_token
from gateways.cli.demo_funds import (
    FIRST_MAKER,
    FIRST_TAKER,
    USERS,
    assets_of_others,
    total_funds,
)
from gateways.cli.demo_prices import DemoPrices
from gateways.cli.demo_traders import (
    SEEDING_PER_S,
    TAKERS_PART,
    Floor,
    Maker,
    Taker,
    Venue,
    cancel_all,
)
from gateways.cli.gateway_urls import is_on_this_machine, websocket_beside
from gateways.cli.live import Gateway, parse_gateway
from gateways.cli.live_commands import MARKETS_MAX
from gateways.cli.methods import MethodError
from gateways.cli.output import show
from gateways.cli.quoting import MarketRules, Terms, Walk
from gateways.cli.status_line import StatusLine
from vxutils.client import AsyncClient, ExchangeError
from vxutils.exits import ExitCode, ProcessExit

TIMEOUT_S: Final = 5.0
WALK_PERIOD_S: Final = 0.25
SEED_BITS: Final = 32


def demo(options: argparse.Namespace) -> int:
    """`vx demo`. Raises: ProcessExit with a sentence."""
    try:
        gateway = parse_gateway(options.websocket or websocket_beside(options.http), options.ca)
        client = AsyncClient(options.http, read_token(options.token_file), TIMEOUT_S, ca=options.ca)
        is_here = is_on_this_machine(options.http)
    except (ValueError, MethodError) as error:
        raise ProcessExit(ExitCode.USAGE, str(error)) from None
    if not is_here and not options.yes:
        text = f"{options.http} is not this machine; --yes trades there nevertheless, with test money"
        raise ProcessExit(ExitCode.USAGE, text)
    seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(SEED_BITS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Demo(client, gateway, options, random.Random(seed)).run())  # noqa: S311


class _Demo:
    """One run of `vx demo`; it owns the bots."""

    def __init__(
        self, client: AsyncClient, gateway: Gateway, options: argparse.Namespace, chance: random.Random
    ) -> None:
        self._client = client
        self._gateway = gateway
        self._options = options
        self._chance = chance
        self._makers = range(FIRST_MAKER, FIRST_MAKER + options.makers)
        self._takers = range(FIRST_TAKER, FIRST_TAKER + options.takers)

    async def run(self) -> int:
        """Until a signal. Raises: ProcessExit."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
        async with self._client:
            try:
                rules = await self._markets()
                names = [one.name for one in rules]
                await self._refuse_a_real_exchange()
                await cancel_all(self._client, USERS, names)
                prices = DemoPrices(self._gateway, names)
                floor = self._floor(rules, await prices.last())
                for user in (*self._makers, *self._takers):
                    await floor.fund(user)
            except ExchangeError as error:
                raise ProcessExit(ExitCode.FAILURE, problem_text(error)) from None
            show(
                f"{len(self._makers)} makers and {len(self._takers)} takers trade in {', '.join(names)}; "
                "Ctrl-C stops them"
            )
            await self._trade(floor, prices, stop)
            return await self._clear(names)

    async def _markets(self) -> list[MarketRules]:
        """Raises: ExchangeError; ProcessExit for a market that is not there."""
        listed = expect(await self._client.call("market.list"), list[MarketRules])
        if self._options.markets is None:
            return listed[:MARKETS_MAX]
        by_name = {rules.name: rules for rules in listed}
        names = list(dict.fromkeys(self._options.markets.split(",")))
        for name in names:
            if name not in by_name:
                known = ", ".join(by_name) or "none"
                raise ProcessExit(ExitCode.USAGE, f"there is no market '{name}'; there are: {known}")
        if len(names) > MARKETS_MAX:
            raise ProcessExit(ExitCode.USAGE, f"at most {MARKETS_MAX} markets")
        return [by_name[name] for name in names]

    async def _refuse_a_real_exchange(self) -> None:
        """Raises: ExchangeError; ProcessExit."""
        others = [] if self._options.yes else await assets_of_others(self._client)
        if others:
            text = (
                f"users who are not made for tests have balances ({', '.join(others)}): this may be a real "
                "exchange; if it is not, --yes starts the demo"
            )
            raise ProcessExit(ExitCode.USAGE, text)

    def _floor(self, rules: list[MarketRules], last_prices: dict[str, str]) -> Floor:
        terms = [Terms(one, last_prices[one.name]) for one in rules]
        venues = [Venue(one, Walk(one, self._fork())) for one in terms]
        return Floor(self._client, venues, total_funds([one.funds for one in terms]), self._options.rate)

    async def _trade(self, floor: Floor, prices: DemoPrices, stop: asyncio.Event) -> None:
        """Until `stop`; then every bot has got the answer to its last request."""
        makers = [
            Maker(floor, user, index, len(self._makers), self._fork())
            for index, user in enumerate(self._makers)
        ]
        acts_per_s = self._options.rate * TAKERS_PART / len(self._takers)
        takers = [Taker(floor, user, acts_per_s, self._fork()) for user in self._takers]
        for venue in floor.venues:
            prices.watch(venue.terms.rules.name, venue.walk.follow)
        helpers = [
            asyncio.create_task(prices.run()),
            asyncio.create_task(_wander(floor)),
            asyncio.create_task(_tell(floor, prices)),
        ]
        bots = asyncio.create_task(_bots(floor, makers, takers, self._options.rate))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([bots, stopping, *helpers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            floor.pace.stop()
            for task in (stopping, *helpers):
                task.cancel()
            await bots
            ended = await asyncio.gather(stopping, *helpers, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome

    async def _clear(self, names: list[str]) -> int:
        """Cancel everything. Raises: ProcessExit if that can not be done."""
        try:
            count = await cancel_all(self._client, (*self._makers, *self._takers), names)
        except ExchangeError as error:
            text = f"orders may be left open, the next `vx demo` cancels them: {problem_text(error)}"
            raise ProcessExit(ExitCode.FAILURE, text) from None
        show(f"stopped; {count} open orders were cancelled")
        return ExitCode.OK

    def _fork(self) -> random.Random:
        """Chance of its own for each, so that what one does next does not depend on who was faster."""
        return random.Random(self._chance.getrandbits(SEED_BITS))  # noqa: S311


async def _bots(floor: Floor, makers: list[Maker], takers: list[Taker], rate_per_s: float) -> None:
    """The first ladders quickly; then everybody at the pace that was asked for."""
    floor.pace.per_s = max(rate_per_s, SEEDING_PER_S)
    await asyncio.gather(*(floor.repeat(maker.act, len(floor.venues)) for maker in makers))
    floor.pace.per_s = rate_per_s
    acts = [*(maker.act for maker in makers), *(taker.act for taker in takers)]
    await asyncio.gather(*(floor.repeat(act) for act in acts))


async def _wander(floor: Floor) -> None:
    while True:
        await asyncio.sleep(WALK_PERIOD_S)
        for venue in floor.venues:
            venue.walk.step()


async def _tell(floor: Floor, prices: DemoPrices) -> None:
    """How it goes, on one line."""
    with StatusLine() as line:
        begun = time.monotonic()
        while True:
            counts = floor.counts
            passed_s = int(time.monotonic() - begun)
            line.show(
                counts.problem
                or prices.problem
                or f"{passed_s} s   {counts.orders} orders   {counts.cancels} cancelled   "
                f"{prices.deals} deals   {prices.shown}"
            )
            await asyncio.sleep(line.period_s)
