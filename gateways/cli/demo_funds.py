"""The money of `vx demo`: whether an exchange is one to play with, and test balances for its users.

    total of each asset - what users made for tests have = what belongs to others: a real exchange has some

Deposits go to the demo users only. They stay there when the demo ends, for the next one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

from gateways.cli import demo_users
from vxutils import fixed
from vxutils.client import AsyncClient

BUSINESS: Final = "vx-demo"
MAKERS_MAX: Final = 10
TAKERS_MAX: Final = 10
FIRST_MAKER: Final = 9_000_001
FIRST_TAKER: Final = FIRST_MAKER + MAKERS_MAX
USERS: Final = range(FIRST_MAKER, FIRST_TAKER + TAKERS_MAX)

_LOOKS: Final = 3
_PAUSE_S: Final = 0.1

Amount = tuple[int, int]
"""(coefficient, scale)"""


async def assets_of_others(client: AsyncClient) -> list[str]:
    """The assets of which users that are not ours have some; ours are USERS and those of `vx up`.

    Looked at up to three times: something may move between the questions. Raises: ExchangeError.
    """
    for _ in range(_LOOKS):
        found = await _look(client)
        if not found:
            break
        await asyncio.sleep(_PAUSE_S)
    return found


async def _look(client: AsyncClient) -> list[str]:
    held: dict[str, Amount] = {}
    users = (*demo_users.USERS, *USERS)
    for balances in await asyncio.gather(*(client.call("balance.query", user) for user in users)):
        for asset, balance in balances.items():
            held[asset] = _sum(held.get(asset, (0, 0)), _total(balance))
    found = []
    scales = {asset["name"]: asset["prec"] for asset in await client.call("asset.list")}
    for row in await client.call("asset.summary"):
        # Of each balance, available and frozen, what is shown is cut; the total has all digits.
        cut = 2 * len(users), scales[row["name"]]
        if _is_less(_sum(held.get(row["name"], (0, 0)), cut), _amount(row["total_balance"])):
            found.append(row["name"])
    return found


async def fund(client: AsyncClient, user: int, wanted: Mapping[str, Amount]) -> None:
    """Deposit what the user has less than `wanted`. Raises: ExchangeError."""
    balances = await client.call("balance.query", user, *wanted)
    for asset, amount in wanted.items():
        has = _total(balances[asset])
        if _is_less(has, amount):
            missing = _sum(amount, (-has[0], has[1]))
            number = time.time_ns() // 1_000  # a business id is used once per user and asset
            text = fixed.plain(*missing)
            await client.call("balance.update", user, asset, BUSINESS, number, text, {"demo": "test money"})


def total_funds(needs: Sequence[Mapping[str, Amount]]) -> dict[str, Amount]:
    """What is needed in all."""
    total: dict[str, Amount] = {}
    for need in needs:
        for asset, amount in need.items():
            total[asset] = _sum(total.get(asset, (0, 0)), amount)
    return total


def _total(balance: dict[str, str]) -> Amount:
    return _sum(_amount(balance["available"]), _amount(balance["freeze"]))


def _amount(text: str) -> Amount:
    return fixed.parse_exact(text) or (0, 0)


def _sum(one: Amount, other: Amount) -> Amount:
    scale = max(one[1], other[1])
    return fixed.rescale(*one, scale) + fixed.rescale(*other, scale), scale


def _is_less(one: Amount, other: Amount) -> bool:
    return _sum(one, (-other[0], other[1]))[0] < 0
