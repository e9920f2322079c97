"""What the traders of `vx demo` do: decisions from rules, a price and chance. No I/O, no clock.

    market.list --> Terms (tick, grid, lot) --> Walk (where the price is) --> ladder -> cancels, new orders
                                                                          `-> what a taker wants

Prices are whole ticks of 10^-money_prec, amounts whole units of 10^-stock_prec. The walk itself is a float:
it is a made-up price, no money.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from vxutils import fixed

SELL: Final = 1
BUY: Final = 2

LEVELS: Final = 10
TICKS_MIN: Final = 200
"""No walk begins lower, so that a ladder has room below."""

VALUES: Final[Mapping[str, int]] = MappingProxyType(
    {"BTC": 60_000, "ETH": 3_000, "USDT": 1, "USDC": 1, "USD": 1, "EUR": 1}
)
VALUE_OF_OTHERS: Final = 100
LOT_VALUE: Final = 1_000
"""What an order of usual size is worth, in the unit of VALUES."""
FUND_LOTS: Final = 1_000
"""How many usual orders of each market a trader can pay for."""

_GRID_PART: Final = 3_300  # of the price: some 0.03 % between two levels
_STEP_PART: Final = 0.0002  # standard deviation of one step, some 0.3 % in a minute of four steps a second
_PULL_BACK: Final = 0.0005
_FOLLOW: Final = 0.05
_SMALL_PARTS: Final = (30, 170)  # per cent of a lot
_REQUOTE_CHANCE: Final = 0.5
_MARKET_ORDER_CHANCE: Final = 0.7
_TAKER_FEE: Final = (1, 3)  # 0.001
_MAKER_FEE: Final = (5, 4)  # 0.0005


class MarketRules(msgspec.Struct, frozen=True):
    """One element of `market.list`. Source: protocol.md 2.7, 307."""

    name: str
    stock: str
    money: str
    stock_prec: int
    money_prec: int
    fee_prec: int
    min_amount: str


class OpenOrder(msgspec.Struct, frozen=True):
    """As much of an order object as a maker looks at."""

    id: int
    side: int
    price: str


class Quote(msgspec.Struct, frozen=True):
    """An order to be placed; with `is_market` a market order, and `price_ticks` is what a buy may cost."""

    side: int
    price_ticks: int
    amount_units: int
    is_market: bool = False


class Terms:
    """A market and the sizes that suit it; `last_price` is a text, "0" if nothing was ever traded."""

    def __init__(self, rules: MarketRules, last_price: str) -> None:
        self.rules = rules
        scale = fixed.power10(rules.money_prec)
        money_value = VALUES.get(rules.money, VALUE_OF_OTHERS)
        typical = scale * VALUES.get(rules.stock, VALUE_OF_OTHERS) // money_value
        last = fixed.parse(last_price, rules.money_prec) or 0
        self.start_ticks = max(last or typical, TICKS_MIN)
        self.grid_ticks = max(1, self.start_ticks // _GRID_PART)
        minimum = fixed.parse_exact(rules.min_amount) or (0, 0)
        self.min_units = max(1, fixed.rescale(*minimum, rules.stock_prec))
        if fixed.rescale(self.min_units, rules.stock_prec, minimum[1]) < minimum[0]:
            self.min_units += 1
        lot_ticks = LOT_VALUE * scale // money_value
        lot_units = lot_ticks * fixed.power10(rules.stock_prec) // self.start_ticks
        self.lot_units = max(lot_units, 4 * self.min_units)

    @property
    def funds(self) -> dict[str, tuple[int, int]]:
        """What a trader needs of each asset, (coefficient, scale)."""
        rules = self.rules
        money = self.lot_units * self.start_ticks
        return {
            rules.stock: (FUND_LOTS * self.lot_units, rules.stock_prec),
            rules.money: (FUND_LOTS * money, rules.stock_prec + rules.money_prec),
        }

    def price_text(self, ticks: int) -> str:
        return fixed.plain(ticks, self.rules.money_prec)

    def limit_params(self, quote: Quote) -> tuple[str, int, str, str, str, str]:
        """The parameters of `order.put_limit` between the user and the source."""
        return (
            self.rules.name,
            quote.side,
            fixed.plain(quote.amount_units, self.rules.stock_prec),
            self.price_text(quote.price_ticks),
            self._fee(_TAKER_FEE),
            self._fee(_MAKER_FEE),
        )

    def market_params(self, quote: Quote) -> tuple[str, int, str, str]:
        """The parameters of `order.put_market` between the user and the source: a buy names its money."""
        rules = self.rules
        if quote.side == BUY:
            cost = quote.amount_units * quote.price_ticks
            amount = fixed.rescale(cost, rules.stock_prec + rules.money_prec, rules.stock_prec)
        else:
            amount = quote.amount_units
        return rules.name, quote.side, fixed.plain(amount, rules.stock_prec), self._fee(_TAKER_FEE)

    def _fee(self, rate: tuple[int, int]) -> str:
        return fixed.plain(fixed.rescale(*rate, self.rules.fee_prec), self.rules.fee_prec)


class Walk:
    """A price that wanders between half and twice its start; it owns where it is."""

    def __init__(self, terms: Terms, chance: random.Random) -> None:
        self._terms = terms
        self._chance = chance
        self._start = float(terms.start_ticks)
        self._place = self._start

    @property
    def ticks(self) -> int:
        return round(self._place)

    def step(self) -> None:
        """A quarter of a second has passed."""
        self._place += self._place * self._chance.gauss(0, _STEP_PART)
        self._move((self._start - self._place) * _PULL_BACK)

    def follow(self, price: str) -> None:
        """Something was traded at this price, by whomever: makers go after it a little."""
        ticks = fixed.parse(price, self._terms.rules.money_prec)
        if ticks:
            self._move((ticks - self._place) * _FOLLOW)

    def _move(self, distance: float) -> None:
        self._place = min(max(self._place + distance, self._start / 2), self._start * 2)


def ladder(terms: Terms, center_ticks: int, maker: int, makers: int) -> set[tuple[int, int]]:
    """(side, price) of LEVELS levels a side.

    They lie on a grid, so that a small move leaves most as they are; each maker has lines of his own.
    """
    grid = terms.grid_ticks
    offset = grid * maker // makers
    first_ask = (center_ticks + grid // 2 - offset) // grid + 1
    first_bid = -((offset + grid // 2 - center_ticks) // grid) - 1
    asks = {(SELL, (first_ask + level) * grid + offset) for level in range(LEVELS)}
    bids = {(BUY, (first_bid - level) * grid + offset) for level in range(LEVELS)}
    return asks | {bid for bid in bids if bid[1] > 0}


def requote(
    terms: Terms, wanted: set[tuple[int, int]], resting: Sequence[OpenOrder], chance: random.Random
) -> tuple[list[int], list[Quote]]:
    """The ids to cancel (first), and the orders to place, so that `wanted` is what rests.

    Now and then one that could stay is replaced by another amount: a book that only moves looks dead.
    """
    kept: dict[tuple[int, int], int] = {}
    cancels = []
    for order in resting:
        level = order.side, fixed.parse(order.price, terms.rules.money_prec) or 0
        if level in wanted and level not in kept:
            kept[level] = order.id
        else:
            cancels.append(order.id)
    if len(kept) == len(wanted) and not cancels and chance.random() < _REQUOTE_CHANCE:
        cancels.append(kept.pop(chance.choice(sorted(kept))))
    best_first = sorted(wanted - kept.keys(), key=lambda level: level[1] if level[0] == SELL else -level[1])
    return cancels, [Quote(side, ticks, _amount(terms, chance)) for side, ticks in best_first]


def taken(terms: Terms, center_ticks: int, chance: random.Random) -> Quote:
    """What a taker does next."""
    side = chance.choice((SELL, BUY))
    away = terms.grid_ticks * chance.randint(1, 3)
    price = max(1, center_ticks + (away if side == BUY else -away))
    return Quote(side, price, _amount(terms, chance), chance.random() < _MARKET_ORDER_CHANCE)


def _amount(terms: Terms, chance: random.Random) -> int:
    return max(2 * terms.min_units, terms.lot_units * chance.randint(*_SMALL_PARTS) // 100)
