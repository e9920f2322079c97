"""What the load generator sends: prebuilt order packets in the proportions of loadgen.c.

- mix: of 100 requests 53 resting limit orders within 1 % of the middle, 27 crossing ones, 20 cancels
  of own resting orders (their ids are learnt from replies, so cancels are built on the fly)
- pairs: alternating maker ask and taker bid, same price and amount: every second order trades once
- rest: resting orders only

Pure: no socket, no clock. The generator owns the positions in the list.
"""

from __future__ import annotations

from random import Random
from typing import Any, Literal

import msgspec

from vxutils.rpc.packet import KIND_REQUEST, encode_packet

Mode = Literal["mix", "pairs", "rest"]

PACKETS = 65_536  # cycled; a power of two, so that a position wraps with a mask
CANCEL_EVERY = 5  # in mix: every fifth request, when there is something to cancel
BALANCE_UPDATE = 102
PUT_LIMIT = 201
CANCEL = 204
ASK, BID = 1, 2

_MIDDLE_PRICE = 10_000.0
_STOCK_CREDIT = "1000000"
_MONEY_CREDIT = "10000000000"


class Prebuilt(msgspec.Struct, frozen=True):
    """Parallel lists of `PACKETS` entries: the packet, its user, and whether it is meant to rest."""

    packets: list[bytes]
    users: list[int]
    rests: list[bool]


def prebuild(mode: Mode, market: str, users: int, seed: int) -> Prebuilt:
    """All order packets of one run; the same seed gives the same packets."""
    random = Random(seed)
    packets: list[bytes] = []
    owners: list[int] = []
    rests: list[bool] = []
    for index in range(PACKETS):
        user = 1 + int(random.random() * users)
        if mode == "pairs":
            rest = index % 2 == 0
            side, amount, price = (ASK if rest else BID), 0.1, _MIDDLE_PRICE
        else:
            rest = mode == "rest" or random.random() < 2 / 3
            side = ASK if random.random() < 0.5 else BID
            offset = random.random() * 0.01
            amount = 0.1 + random.random() * 0.9
            price = _MIDDLE_PRICE * _distance(rest, side, offset)
        body = f'[{user}, "{market}", {side}, "{amount:.8f}", "{price:.2f}", "0.002", "0.001", "load"]'
        packets.append(request(PUT_LIMIT, index + 1, body.encode()))
        owners.append(user)
        rests.append(rest)
    return Prebuilt(packets, owners, rests)


def _distance(rest: bool, side: int, offset: float) -> float:
    """The price as a multiple of the middle: away from the other side, or across all of it."""
    if rest:
        return 1 + offset + 0.00001 if side == ASK else 1 - offset - 0.00001
    return 0.98 if side == ASK else 1.02


def request(command: int, sequence: int, body: bytes) -> bytes:
    """One request packet; sequence and request id are the same number."""
    return encode_packet(command, KIND_REQUEST, sequence, sequence, body)


def cancel_packet(user: int, market: str, order_id: int) -> bytes:
    """A cancel of one resting order."""
    return request(CANCEL, 1, b'[%d, "%s", %d]' % (user, market.encode(), order_id))


def credit_params(users: int, stock: str, money: str, first_business_id: int) -> list[list[Any]]:
    """Params of the balance updates that make users 1 to `users` rich in both assets."""
    params: list[list[Any]] = []
    for user in range(1, users + 1):
        for asset, change in ((stock, _STOCK_CREDIT), (money, _MONEY_CREDIT)):
            params.append([user, asset, "load", first_business_id + len(params), change, {}])
    return params
