"""A seeded stream of commands, legal and illegal, which keeps small books busy.

It knows no exchange: it proposes a command and is told the reply, from which it learns which orders it
may cancel and which balances it may spend to the last unit. The same seed and the same replies give the
same stream. It owns the rules (assets and markets) under which its numbers make sense: scales from 0 to
20 decimals, and fees with more decimals than the balance keeps.
"""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

ASSETS: list[dict[str, Any]] = [
    {"name": "BTC", "prec_save": 12, "prec_show": 8},
    {"name": "BCH", "prec_save": 20, "prec_show": 8},
    {"name": "CNY", "prec_save": 8, "prec_show": 2},
    {"name": "SHR", "prec_save": 8, "prec_show": 0},
    {"name": "WEI", "prec_save": 20},
]


def _market(stock: str, stock_prec: int, money: str, money_prec: int, **more: Any) -> dict[str, Any]:
    sides = {"stock": {"name": stock, "prec": stock_prec}, "money": {"name": money, "prec": money_prec}}
    return {"name": stock + money, **sides, **more}


MARKETS = [
    _market("BTC", 8, "BCH", 8, min_amount="0.001"),
    _market("BTC", 4, "CNY", 2),
    _market("SHR", 0, "CNY", 2, fee_prec=2, min_amount="2"),
    _market("WEI", 12, "BCH", 8, fee_prec=8, min_amount="0.0000010"),
]
# market -> (middle price, price step, usual amount)
SHAPES = {
    "BTCBCH": (Decimal("8.00000000"), Decimal("0.01234567"), Decimal("0.7")),
    "BTCCNY": (Decimal("46000.00"), Decimal("33.33"), Decimal("0.4")),
    "SHRCNY": (Decimal("12.50"), Decimal("0.01"), Decimal("90")),
    "WEIBCH": (Decimal("0.00000700"), Decimal("0.00000011"), Decimal("3.000000000001")),
}
MINIMUM = {market["name"]: Decimal(market.get("min_amount", "0.01")) for market in MARKETS}
INTERVALS = ("0", "0.01", "0.00000013", "1", "7.77", "1000", "1e29", "0.000000001")

USERS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 2**31, 2**32 - 1)
FEES = ("0", "0", "0.001", "0.002", "0.0025", "0.12345678", "0.99", "0.9999", "-0.000000001")
SOURCES = ("", "api", "web", "x" * 30, "é" * 15, 'quo"te\\')
BUSINESSES = ("deposit", "withdraw", "b" * 30, "é" * 15, "é" * 16, "")
DETAILS: tuple[Any, ...] = (
    {},
    {"id": 5, "memo": "ünï"},
    {"deep": [{"a": [1, 2.5, None, True]}]},
    {"k": "x" * 4088},
)
HUGE = (
    "0.09223372036854775808",
    "0.18446744073709551616",
    "92233720368.54775807",
    "18446744073709551616",
    "123456789012345678901.23456789012345678901",
    "99999999999999999999999999999.99999999",
    "999999999999999999999999999999",
    "999999999999999999999999999999.99999999999999999999",
)
ODD_NUMBERS = (
    *(
        "0",
        "-0",
        "+0",
        "0e60",
        "0e61",
        "-1",
        "-0.00000001",
        "+1",
        ".5",
        "5.",
        ".",
        "",
        "+",
        "-",
        "e5",
        "1e",
        "1e+",
    ),
    *(
        "1e5",
        "1E-2",
        "1e+1",
        "1e0000000001",
        "1e29",
        "1e30",
        "-1e30",
        "1e60",
        "1e61",
        "1e-8",
        "1e-60",
        "1e-61",
        "1e7000",
    ),
    *("0.000000001", "0.0000000000000000000099999", "0.99999999", "1.99999999999999999999999999999999999999"),
    *(
        "NaN",
        "nan",
        "sNaN",
        "NaN7",
        "-NaN",
        "Infinity",
        "-inf",
        " 1",
        "1 ",
        "1_0",
        "0x10",
        "1,5",
        "1.2.3",
        "--1",
        "\u0661",
    ),
    *("0" * 63 + "1", "0" * 64 + "1", "1." + "0" * 62, "1." + "0" * 63, "9" * 30, "1" + "0" * 30),
)
ODD_INTEGERS = (-1, 0, 3, 101, 102, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**63 - 1, -(2**63))
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    1.0,
    0.5,
    [],
    {},
    ["BTC"],
    {"a": 1},
    "BTC",
    "NOPE",
    "btcbch",
    "y" * 31,
)
ODD_VALUES += ("é" * 16, {"k": "x" * 4089})
REMEMBERED_ORDERS_MAX = 240


class RandomCommands:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._orders: list[tuple[int, str, int]] = []
        self._gone: list[tuple[int, str, int]] = []
        self._updates: list[list[Any]] = []
        self._purse: tuple[int, str, str] | None = None
        self._business_id = 0
        self._now_us = 1_700_000_000_000_000
        self._makers = (self._put_limit, self._put_market, self._cancel, self._update, self._query)
        self._weights = (40, 9, 14, 12, 17)

    def funding(self) -> list[tuple[int, list[Any]]]:
        """The opening deposits: every user can trade in every market, two of them in huge numbers."""
        commands: list[tuple[int, list[Any]]] = []
        for user in USERS:
            for asset, amount in (
                ("BTC", "50"),
                ("BCH", "900.12345678"),
                ("CNY", "2e6"),
                ("SHR", "5000"),
                ("WEI", "7e2"),
            ):
                self._business_id += 1
                commands.append((102, [user, asset, "opening", self._business_id, amount, {}]))
        for user in USERS[-2:]:
            for asset in ("WEI", "BCH"):
                self._business_id += 1
                commands.append((102, [user, asset, "opening", self._business_id, HUGE[-1], {}]))
        return commands

    def now_us(self) -> int:
        """The time of the next command: it stands still at times, and never goes back."""
        self._now_us += self._random.choice((0, 1, 999, 123_457, 1_500_001))
        return self._now_us

    def next(self) -> tuple[int, list[Any]]:
        maker = self._cancel
        if len(self._orders) < REMEMBERED_ORDERS_MAX:
            maker = self._random.choices(self._makers, self._weights)[0]
        if self._purse is not None:
            maker = self._spend_all
        command, params = maker()
        if self._random.random() < 0.1:
            self._spoil(params)
        return command, params

    def saw(self, command: int, params: list[Any], reply: dict[str, Any]) -> None:
        """Learns from the reply which orders rest, which are gone, and what somebody owns."""
        refused = reply["error"] is not None
        if command == 201 and not refused and Decimal(reply["result"]["left"]):
            self._orders.append((params[0], params[1], reply["result"]["id"]))
        elif command == 204 and len(params) == 3 and (not refused or reply["error"]["code"] == 10):
            order = next((order for order in self._orders if order[1:] == (params[1], params[2])), None)
            if order is not None:
                self._orders.remove(order)
                self._gone = [*self._gone[-20:], order]
        elif command == 101 and not refused and self._random.random() < 0.5:
            asset = self._random.choice(list(reply["result"]))
            self._purse = (params[0], asset, reply["result"][asset]["available"])

    # Legal commands

    def _side(self) -> int:
        return self._random.choice((1, 2))

    def _amount(self, market: str) -> Decimal:
        usual = SHAPES[market][2]
        return usual * Decimal(
            self._random.choice(("1", "1", "0.5", "2", "3.14159", "0.01", "0.0003", "10", "1.00000001"))
        )

    def _put_limit(self) -> tuple[int, list[Any]]:
        pick = self._random.choice
        market = pick(tuple(SHAPES))
        side = self._side()
        middle, step, _ = SHAPES[market]
        away = self._random.randint(-7, 12)
        price = f"{middle + step * (away if side == 1 else -away):f}"
        amount = f"{self._amount(market):f}"
        if self._random.random() < 0.03:
            market, amount, price = "WEIBCH", pick(HUGE), pick(("0.00000001", "0.00000700", "0.000007", "1"))
            return 201, [pick(USERS[-2:]), market, side, amount, price, pick(FEES), pick(FEES), pick(SOURCES)]
        return 201, [pick(USERS), market, side, amount, price, pick(FEES), pick(FEES), pick(SOURCES)]

    def _put_market(self) -> tuple[int, list[Any]]:
        pick = self._random.choice
        market = pick(tuple(SHAPES))
        side = self._side()
        middle, step, _ = SHAPES[market]
        amount, price = self._amount(market), middle
        if self._random.random() < 0.1:  # the smallest order allowed, if that is the best price
            amount, price = MINIMUM[market], middle + step * self._random.randint(-4, 4)
        text = f"{amount if side == 1 else amount * price:f}"
        if self._random.random() < 0.03:
            text = pick(HUGE)
        return 202, [pick(USERS), market, side, text, pick(FEES), pick(SOURCES)]

    def _spend_all(self) -> tuple[int, list[Any]]:
        """All that is shown to be available, or a hair more than that."""
        assert self._purse is not None
        user, asset, available = self._purse
        self._purse = None
        amount = f"{Decimal(available) + self._random.choice((Decimal(0), Decimal(0), Decimal('1e-8'))):f}"
        stock = [market["name"] for market in MARKETS if market["stock"]["name"] == asset]
        money = [market["name"] for market in MARKETS if market["money"]["name"] == asset]
        choices: list[tuple[int, list[Any]]] = [(102, [user, asset, "spend", self._now_us, f"-{amount}", {}])]
        for market in stock:
            choices.append((202, [user, market, 1, amount, "0.001", "all"]))
            choices.append((201, [user, market, 1, amount, f"{SHAPES[market][0]:f}", "0", "0.001", "all"]))
        for market in money:
            choices.append((202, [user, market, 2, amount, "0.001", "all"]))
            choices.append((201, [user, market, 2, "2", f"{Decimal(amount) / 2:f}", "0.001", "0", "all"]))
        return self._random.choice(choices)

    def _cancel(self) -> tuple[int, list[Any]]:
        pick = self._random.choice
        user, market, order_id = pick(
            (self._orders if self._random.random() < 0.9 else self._gone) or [(1, "BTCBCH", 1)]
        )
        draw = self._random.random()
        if draw < 0.05:
            user = pick(USERS)
        elif draw < 0.1:
            market = pick(tuple(SHAPES))
        return 204, [user, market, order_id]

    def _update(self) -> tuple[int, list[Any]]:
        pick = self._random.choice
        if self._updates and self._random.random() < 0.3:
            return 102, list(pick(self._updates))
        self._business_id += 1
        asset = pick(("BTC", "BCH", "CNY", "SHR", "WEI"))
        change = pick(
            ("0.5", "1.23456789", "20", "-0.5", "-3", "-40", "0.000000001", "-0.00000001", "1e2", *HUGE[:3])
        )
        if asset in ("WEI", "BCH") and self._random.random() < 0.2:
            change = pick(("", "-")) + pick(HUGE)
        business_id = pick(
            (self._business_id, -self._business_id, self._business_id % 7, 2**63 - 1, -(2**63))
        )
        params: list[Any] = [pick(USERS), asset, pick(BUSINESSES), business_id, change, pick(DETAILS)]
        self._updates = [*self._updates[-200:], params]
        return 102, list(params)

    def _query(self) -> tuple[int, list[Any]]:
        pick = self._random.choice
        market, user = pick(tuple(SHAPES)), pick(USERS)
        offset, limit = pick((0, 0, 0, 1, 5, 1000, -1, -5, 2**63 - 1)), pick((0, 1, 3, 10, 100, 101))
        names = [asset["name"] for asset in ASSETS]
        queries: tuple[tuple[int, list[Any]], ...] = (
            (101, [user, *self._random.choices(names, k=self._random.randint(0, 4))]),
            (104, []),
            (105, self._random.choices(names, k=self._random.randint(0, 3))),
            (203, [user, market, offset, limit]),
            (205, [market, self._side(), offset, limit]),
            (206, [market, limit, pick(INTERVALS)]),
            (207, list(pick(self._orders + self._gone or [(1, market, 1)])[1:])),
            (307, []),
            (308, self._random.choices(tuple(SHAPES), k=self._random.randint(0, 3))),
        )
        return pick(queries)

    # Illegal ones

    def _spoil(self, params: list[Any]) -> None:
        """Breaks one thing, or tries to: some odd values are legal where they land."""
        draw = self._random.random()
        if draw < 0.08 and params:
            params.pop(self._random.randrange(len(params)))
        elif draw < 0.16 or not params:
            params.insert(self._random.randint(0, len(params)), self._random.choice(ODD_VALUES))
        else:
            at = self._random.randrange(len(params))
            odd: tuple[Any, ...] = ODD_VALUES
            if self._random.random() < 0.75:
                odd = ODD_NUMBERS if isinstance(params[at], str) else ODD_INTEGERS
            params[at] = self._random.choice(odd)
