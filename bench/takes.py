"""Trades at a constant rate, each of which can be recognised in what is pushed because of it.

Before: in every market one ask of BIG rests at the best price, and some levels on both sides. Trade n of a
market (from 1) takes STEP of that ask. So after it BIG - n * STEP are left at PRICE, the taker's stock has
grown by n * STEP of all markets together, and in a fresh engine the deal's id tells how many there were.

As a command (`python -m bench.takes SETTINGS`, a `TakeSettings` as JSON) it sends them on one connection,
open loop, turn about in all markets, and writes when each request was sent and answered as two arrays of
doubles (seconds of the monotonic clock, which all processes share). They come at random: the pauses between
them are distributed exponentially, the same in each run.
"""

from __future__ import annotations

import array
import bisect
import itertools
import select
import socket
import struct
import sys
import time
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from bench.process import ServiceError
from bench.workload import ASK, BALANCE_UPDATE, BID, PUT_LIMIT, request
from vxutils.rpc.packet import HEADER_SIZE

MAKER, TAKER = 1, 2
BIG: Final = 1_000_000
STEP: Final = 0.001
PRICE: Final = 10_000
STOCK, MONEY = "COIN", "USD"
LEVELS: Final = 20
"""Of each side, the big one included."""

REPLY_DEADLINE_S: Final = 30.0
_TICK_S: Final = 0.001
_SIZES = struct.Struct("<IH")  # body_size, ext_size; protocol.md 1.1
_SIZES_OFFSET: Final = 30
_SUCCESS: Final = b'{"error":null'

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
money = "{money}"
money_prec = 2
min_amount = "0.001"

"""


class TakeSettings(msgspec.Struct, frozen=True):
    """One run. `path`: where the times go."""

    host: str
    port: int
    markets: int
    rate: float
    seconds: float
    path: str


def market_name(number: int) -> str:
    return f"M{number}"


def rules(markets: int) -> str:
    """Assets and markets, for the engine's settings."""
    assets = [_ASSET.format(name=name) for name in (STOCK, MONEY)]
    names = map(market_name, range(markets))
    return "".join(assets + [_MARKET.format(name=name, stock=STOCK, money=MONEY) for name in names])


def number_of(left: float) -> int:
    """Which trade of the market left so much of the big ask."""
    return round((BIG - left) / STEP)


def prepare(address: tuple[str, int], markets: int) -> None:
    """Funds maker and taker, and makes the books. Raises: ServiceError when anything is refused, OSError."""
    packets = []
    for user, asset in ((MAKER, STOCK), (MAKER, MONEY), (TAKER, MONEY)):
        body = f'[{user}, "{asset}", "deposit", 1, "100000000000000", {{}}]'
        packets.append(request(BALANCE_UPDATE, 1, body.encode()))
    for name in map(market_name, range(markets)):
        for level in range(LEVELS):
            for side, price in ((ASK, PRICE + level), (BID, PRICE - 1 - level)):
                amount = BIG if side == ASK and not level else 1 + level
                packets.append(_order(MAKER, name, side, str(amount), price))
    with socket.create_connection(address, timeout=REPLY_DEADLINE_S) as connected:
        replies = _Replies()
        for packet in packets:
            connected.sendall(packet)
            while replies.take(connected.recv(1 << 16)) == 0:
                pass


def read_times(path: Path) -> tuple[array.array[float], array.array[float]]:
    """When each trade was sent, and when it was answered."""
    times = array.array("d", path.read_bytes())
    half = len(times) // 2
    return times[:half], times[half:]


def run(settings: TakeSettings) -> None:
    """Sends for `seconds`, then waits for the last reply. Raises: ServiceError, OSError."""
    packets = [
        _order(TAKER, market_name(number), BID, str(STEP), PRICE) for number in range(settings.markets)
    ]
    sent, replied = array.array("d"), array.array("d")
    replies = _Replies()
    random = Random(1)
    total = int(settings.rate * settings.seconds)
    due_at = list(itertools.accumulate(random.expovariate(settings.rate) for _ in range(total)))
    with socket.create_connection((settings.host, settings.port), timeout=REPLY_DEADLINE_S) as connected:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = time.monotonic()
        while len(replied) < total:
            now = time.monotonic()
            due = bisect.bisect_right(due_at, now - begun)
            first = len(sent)
            if first < due:
                block = b"".join([packets[number % settings.markets] for number in range(first, due)])
                sent.extend([now] * (due - first))
                connected.sendall(block)
            wait_s = REPLY_DEADLINE_S
            if len(sent) < total:
                wait_s = max(_TICK_S, begun + due_at[len(sent)] - time.monotonic())
            if select.select([connected], [], [], wait_s)[0]:
                count = replies.take(connected.recv(1 << 18))
                replied.extend([time.monotonic()] * count)
    Path(settings.path).write_bytes((sent + replied).tobytes())


class _Replies:
    """Counts whole replies; each must be a success."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, received: bytes) -> int:
        if not received:
            raise ServiceError("the engine closed the connection")
        data, start, count = self._rest + received, 0, 0
        while len(data) - start >= HEADER_SIZE:
            body_size, ext_size = _SIZES.unpack_from(data, start + _SIZES_OFFSET)
            body = start + HEADER_SIZE + ext_size
            end = body + body_size
            if end > len(data):
                break
            if not data.startswith(_SUCCESS, body):
                raise ServiceError(f"refused: {data[body:end]!r}")
            count += 1
            start = end
        self._rest = data[start:]
        return count


def _order(user: int, market: str, side: int, amount: str, price: int) -> bytes:
    body = f'[{user}, "{market}", {side}, "{amount}", "{price}", "0", "0", "bench"]'
    return request(PUT_LIMIT, 1, body.encode())


def main(arguments: list[str]) -> int:
    """The exit code."""
    run(msgspec.json.decode(arguments[0], type=TakeSettings))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
