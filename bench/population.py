"""A big state, made through the engine's own door: many users, several markets, orders that rest.

    users 1 .. N   each credited with USD and with the stock of one market
    order n        of user n % N, turn about a bid in some market and an ask in the user's own one
    prices         within 1 % of the middle at 10000.00, bids below and asks above: nothing trades

So `pairs` of the load generator, which trade at the middle, leave this state as it is. The same numbers
give the same packets; a population may be made larger in steps. Pipelined on one connection.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from itertools import islice
from random import Random

import msgspec

from bench.process import ServiceError
from bench.workload import ASK, BALANCE_UPDATE, BID, PUT_LIMIT, request
from vxutils.rpc.packet import HEADER_SIZE

MARKETS = 5
PROGRESS_ORDERS = 100_000
BLOCK = 256  # requests sent in one write
BLOCKS_OUTSTANDING = 4
REPLY_DEADLINE_S = 60

_MIDDLE_CENTS = 1_000_000
_SPREAD_CENTS = 10_000
_SIZES = struct.Struct("<IH")  # body_size, ext_size; protocol.md 1.1
_SIZES_OFFSET = 30
_SUCCESS = (b'{"error":null', b'{"error": null')

_ASSET = """\
[[asset]]
name = "{name}"
prec_save = 12
prec_show = 8

"""
_MARKET = """\
[[market]]
name = "{name}"
stock = "{stock}"
stock_prec = 6
money = "USD"
money_prec = 2
min_amount = "0.001"

"""


class Population(msgspec.Struct):
    """How much of it is there already."""

    users: int
    credited: int = 0
    orders: int = 0


def stock_name(number: int) -> str:
    return f"S{number % MARKETS}"


def market_name(number: int) -> str:
    return f"S{number % MARKETS}USD"


def rules() -> str:
    """Assets and markets, for the settings file."""
    assets = [_ASSET.format(name=name) for name in ("USD", *map(stock_name, range(MARKETS)))]
    markets = [_MARKET.format(name=market_name(n), stock=stock_name(n)) for n in range(MARKETS)]
    return "".join(assets + markets)


def grow(
    population: Population, orders: int, address: tuple[str, int], progress: Callable[[str], None]
) -> None:
    """Adds users until all are there, and resting orders until there are `orders`.

    Raises: ServiceError when anything is refused, OSError.
    """
    begun = time.monotonic()
    with socket.create_connection(address, timeout=REPLY_DEADLINE_S) as connected:
        sender = _Sender(connected)
        if population.credited < population.users:
            sender.send_all(_credits(population.credited, population.users))
            population.credited = population.users
            progress(f"{population.users:,} users, {time.monotonic() - begun:.1f} s")
        while population.orders < orders:
            end = min(orders, population.orders + PROGRESS_ORDERS)
            sender.send_all(_orders(population.users, population.orders, end))
            population.orders = end
            progress(f"{end:,} of {orders:,} orders rest, {time.monotonic() - begun:.1f} s")


def _credits(first: int, last: int) -> Iterator[bytes]:
    for user in range(first + 1, last + 1):
        for asset in (stock_name(user), "USD"):
            body = f'[{user}, "{asset}", "deposit", {user}, "1000000", {{}}]'
            yield request(BALANCE_UPDATE, user, body.encode())


def _orders(users: int, first: int, last: int) -> Iterator[bytes]:
    for number in range(first, last):
        random = Random(number)
        user, turn = 1 + number % users, number // users
        offset = 1 + int(random.random() * _SPREAD_CENTS)
        if turn % 2:
            side, market, cents = ASK, market_name(user), _MIDDLE_CENTS + offset
        else:
            side, market, cents = BID, market_name(user + turn), _MIDDLE_CENTS - offset
        amount = 0.001 + random.random()
        body = (
            f'[{user}, "{market}", {side}, "{amount:.6f}", "{cents // 100}.{cents % 100:02}", "0.002", '
            '"0.001", "load"]'
        )
        yield request(PUT_LIMIT, number, body.encode())


class _Sender:
    """Some blocks of requests outstanding; every reply must be a success."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._input = b""
        self._outstanding = 0

    def send_all(self, packets: Iterator[bytes]) -> None:
        while block := list(islice(packets, BLOCK)):
            self._socket.sendall(b"".join(block))
            self._outstanding += len(block)
            self._receive((BLOCKS_OUTSTANDING - 1) * BLOCK)
        self._receive(0)

    def _receive(self, outstanding_max: int) -> None:
        while self._outstanding > outstanding_max:
            received = self._socket.recv(1 << 18)
            if not received:
                raise ServiceError("the engine closed the connection")
            data, start = self._input + received, 0
            while len(data) - start >= HEADER_SIZE:
                body_size, ext_size = _SIZES.unpack_from(data, start + _SIZES_OFFSET)
                body = start + HEADER_SIZE + ext_size
                end = body + body_size
                if end > len(data):
                    break
                if not data.startswith(_SUCCESS, body):
                    raise ServiceError(f"refused: {data[body:end]!r}")
                self._outstanding -= 1
                start = end
            self._input = data[start:]
