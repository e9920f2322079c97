"""The words of `vx demo` and `vx watch`, and how they are begun.

What they need, a websocket client and a library that draws in terminals, is loaded by them alone: every other
command, and `vx up` as long as it runs, does without.
"""

from __future__ import annotations

import argparse
import functools
import math
from pathlib import Path
from typing import Final

from gateways.cli.demo_funds import MAKERS_MAX, TAKERS_MAX
from gateways.cli.gateway_urls import HTTP_URL, WEBSOCKET_URL

MARKETS_MAX: Final = 20
RATE_DEFAULT: Final = 50.0
RATE_MAX: Final = 1_000.0

DEMO_TEXT: Final = """\
Trade with test users through the gateways, until Ctrl-C: a live market to look at.

Makers (users 9000001 and up) keep ladders of 10 levels a side, takers (9000011 and up) cross them. They get
test money. Ctrl-C cancels their orders. Nothing is done on another machine, or where others have money,
unless --yes is given.
"""
DEMO_EXAMPLES: Final = """\
examples:
  vx demo                                     all markets of the exchange on this machine
  vx demo --markets BTCUSDT --rate 200
  vx demo --http http://127.0.0.1:8180        that of a `vx up --port-offset 100`
"""

WATCH_TEXT: Final = """\
Show a market live: depth, last deals, candles. Ends with q or Ctrl-C.

Without a terminal, or with --once, it is printed once.
"""
WATCH_EXAMPLES: Final = """\
examples:
  vx watch BTCUSDT
  vx watch BTCUSDT --once
  vx watch BTCUSDT --url ws://127.0.0.1:8190    that of a `vx up --port-offset 100`
"""


def add_demo(parser: argparse.ArgumentParser) -> None:
    """The words of `vx demo`."""
    parser.add_argument("--markets", metavar="M,...", help=f"default: the first {MARKETS_MAX} of market.list")
    count = functools.partial(_count, MAKERS_MAX)
    parser.add_argument("--makers", type=count, default=3, metavar="N", help="market makers (default: 3)")
    count = functools.partial(_count, TAKERS_MAX)
    parser.add_argument("--takers", type=count, default=2, metavar="N", help="takers (default: 2)")
    parser.add_argument(
        "--rate",
        type=_rate,
        default=RATE_DEFAULT,
        metavar="N",
        help=f"requests a second of all together (default: {RATE_DEFAULT:g})",
    )
    parser.add_argument(
        "--http", default=HTTP_URL, metavar="URL", help=f"the HTTP gateway (default: {HTTP_URL})"
    )
    parser.add_argument(
        "--websocket", metavar="URL", help="the websocket gateway (default: 10 ports above the HTTP gateway)"
    )
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="bearer token for the HTTP gateway")
    parser.add_argument(
        "--ca", type=Path, metavar="FILE", help="PEM file of who is trusted for https and wss"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the same N, the same wishes of all traders")
    parser.add_argument("--yes", action="store_true", help="trade although this may be a real exchange")


def add_watch(parser: argparse.ArgumentParser) -> None:
    """The words of `vx watch`."""
    parser.add_argument("market", metavar="MARKET", help="such as BTCUSDT")
    parser.add_argument(
        "--url", default=WEBSOCKET_URL, help=f"the websocket gateway (default: {WEBSOCKET_URL})"
    )
    parser.add_argument("--ca", type=Path, metavar="FILE", help="PEM file of who is trusted for wss")
    parser.add_argument("--once", action="store_true", help="print the market as it is now, and end")


def demo(options: argparse.Namespace) -> int:
    """`vx demo`. Raises: ProcessExit with a sentence."""
    from gateways.cli.demo import demo

    return demo(options)


def watch(options: argparse.Namespace) -> int:
    """`vx watch`. Raises: ProcessExit with a sentence."""
    from gateways.cli.watch import watch

    return watch(options)


def _count(most: int, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to {most}")
    return int(text)


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1 <= value <= RATE_MAX:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of requests from 1 to {RATE_MAX:g}")
    return value
