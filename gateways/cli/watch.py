"""`vx watch`: one market in the terminal, from the websocket.

    is there such a market? -> once:  queries -> picture -> printed
                            -> live:  subscriptions -> picture -> drawn after changes, at most ten times a s

It only listens. A lost connection is shown and made again; the last picture stays meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec
import uvloop
from rich.console import Console
from rich.live import Live

from gateways.cli.answers import expect, problem_text
from gateways.cli.gateway_urls import http_beside
from gateways.cli.keyboard import Keyboard
from gateways.cli.live import Gateway, LiveConnection, connected, follow, parse_gateway
from gateways.cli.market_drawing import page, screen
from gateways.cli.market_picture import CANDLE_S, CANDLES, DEALS, DEPTH, MarketPicture
from vxutils.client import AsyncClient, ExchangeError, NoAnswer, Outcome
from vxutils.exits import ExitCode, ProcessExit
from vxutils.protocol import codes

DRAW_PERIOD_S: Final = 0.1
LIST_TIMEOUT_S: Final = 2.0
PRINTED_COLUMNS: Final = 100
"""Where there is no terminal that would say how wide it is."""

NOT_MERGED: Final = "0"


def watch(options: argparse.Namespace) -> int:
    """`vx watch`. Raises: ProcessExit with a sentence."""
    try:
        gateway = parse_gateway(options.url, options.ca)
    except ValueError as error:
        raise ProcessExit(ExitCode.USAGE, str(error)) from None
    picture = MarketPicture(options.market)
    is_live = sys.stdout.isatty() and not options.once
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_watch(gateway, options.ca, picture, is_live))
    return ExitCode.OK


async def _watch(gateway: Gateway, ca: Path | None, picture: MarketPicture, is_live: bool) -> None:
    """Raises: ProcessExit."""
    try:
        async with connected(gateway) as connection:
            if not await _is_there(connection, picture.market):
                raise ProcessExit(ExitCode.USAGE, await _unknown(gateway, ca, picture.market))
            if not is_live:
                await _ask(connection, picture)
    except ExchangeError as error:
        raise ProcessExit(ExitCode.FAILURE, problem_text(error)) from None
    except msgspec.ValidationError as error:
        raise ProcessExit(ExitCode.FAILURE, f"{gateway.url} answered something else ({error})") from None
    if is_live:
        await _show_live(gateway, picture)
    else:
        _print(picture)


async def _is_there(connection: LiveConnection, market: str) -> bool:
    """Whether the engine knows the market. Raises: ExchangeError."""
    try:
        await connection.call("depth.query", market, 1, NOT_MERGED)
    except ExchangeError as error:
        if error.code == codes.INVALID_ARGUMENT.code and not isinstance(error, NoAnswer):
            return False
        raise
    return True


async def _unknown(gateway: Gateway, ca: Path | None, market: str) -> str:
    """A sentence, with the markets that there are if the HTTP gateway tells."""
    names = ""
    with suppress(ExchangeError):
        async with AsyncClient(http_beside(gateway.url), None, LIST_TIMEOUT_S, ca=ca) as client:
            names = ", ".join(rules["name"] for rules in await client.call("market.list"))
    return f"there is no market '{market}'" + (f"; there are: {names}" if names else "")


async def _ask(connection: LiveConnection, picture: MarketPicture) -> None:
    """Everything, by queries. Raises: ExchangeError; msgspec.ValidationError."""
    market = picture.market
    picture.take_depth(await connection.call("depth.query", market, DEPTH, NOT_MERGED))
    picture.take("deals.update", [market, await connection.call("deals.query", market, DEALS, 0)])
    picture.take("price.update", [market, await connection.call("price.query", market)])
    picture.take("today.update", [market, await connection.call("today.query", market)])
    await _ask_candles(connection, picture)


async def _ask_candles(connection: LiveConnection, picture: MarketPicture) -> None:
    """The time is that of the exchange. Raises: ExchangeError; msgspec.ValidationError."""
    now_s = expect(await connection.call("server.time"), int)
    start_s = now_s - now_s % CANDLE_S - (CANDLES - 1) * CANDLE_S
    picture.take_candles(await connection.call("kline.query", picture.market, start_s, now_s, CANDLE_S))


def _print(picture: MarketPicture) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a bar becomes a ? where there are no such characters
    console = Console(width=None if sys.stdout.isatty() else PRINTED_COLUMNS)
    console.print(page(picture))


async def _show_live(gateway: Gateway, picture: MarketPicture) -> None:
    """Until q or a signal. The terminal is as before then."""
    stop, changed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGWINCH, changed.set)

    def take_push(method: str, params: list[Any]) -> None:
        picture.take(method, params)
        changed.set()

    def tell(problem: str) -> None:
        picture.problem = f"{problem}; trying again" if problem else ""
        changed.set()

    def press(key: str) -> None:
        if key in ("q", "Q"):
            stop.set()

    async def begin(connection: LiveConnection) -> None:
        try:
            await _subscribe(connection, picture)
        except NoAnswer:
            raise
        except (ExchangeError, msgspec.ValidationError) as error:
            text = problem_text(error) if isinstance(error, ExchangeError) else str(error)
            raise NoAnswer(text, Outcome.REFUSED) from error

    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live, Keyboard(press):
        tasks = [
            asyncio.create_task(follow(gateway, take_push, begin, tell)),
            asyncio.create_task(_draw(live, console, picture, changed)),
            asyncio.create_task(stop.wait()),
        ]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()  # an error of ours ends it with its traceback, on a terminal that is in order


async def _subscribe(connection: LiveConnection, picture: MarketPicture) -> None:
    """Raises: ExchangeError; msgspec.ValidationError."""
    market = picture.market
    picture.deals = []  # those of an exchange that was restored may have lower ids
    await connection.call("depth.subscribe", market, DEPTH, NOT_MERGED)
    for kind in ("deals", "price", "today"):
        await connection.call(f"{kind}.subscribe", market)
    await connection.call("kline.subscribe", market, CANDLE_S)
    await _ask_candles(connection, picture)


async def _draw(live: Live, console: Console, picture: MarketPicture, changed: asyncio.Event) -> NoReturn:
    while True:
        live.update(screen(picture, console.size.height), refresh=True)
        await asyncio.sleep(DRAW_PERIOD_S)
        await changed.wait()
        changed.clear()
