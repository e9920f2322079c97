"""What the C system would not have of a state: digits that its slice columns or its numbers can not hold.

    our integer --column: rounded half up--> text --C: 34 digits, cut to the decimals of the market--> number

Two kinds. `is_fatal`: the C system could not take the state, or it would not be the same exchange: a value
out of a column's range, a price or an open amount that changes, less frozen than the orders need, a name that
is cut. The others only lose digits at the end of a balance or of what an order has done; an operator may
accept them. Columns are those in force: wider ones (`vx db migrate`) lose less.

Pure, except for reading the columns. Source: protocol.md 2.3, 2.6, 4.2, 4.4.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from matchengine.core.engine import Engine
from matchengine.core.market import Market
from matchengine.core.order import ASK, BID, Order
from vxutils.fixed import plain, power10, rescale
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.limits import DecimalLimit
from vxutils.store.mysql.schema import FoundColumn, found_columns, parse_type

C_DIGITS: Final = 34
"""Significant digits of a number in the C system. Source: protocol.md 2.3."""

LOSSES_MAX: Final = 10_000
"""More are counted only."""

LOSSES_SHOWN: Final = 20  # in a refusal

AVAILABLE: Final = 1
FROZEN: Final = 2

Number = tuple[int, int]
"""An integer count of 10^-scale, and the scale."""

DONE_SO_FAR: Final = ("deal_stock", "deal_money", "deal_fee")
"""Columns of an order that decide nothing any more."""


class Loss(msgspec.Struct, frozen=True):
    """One value that would not arrive as it is."""

    what: str
    reason: str
    is_fatal: bool

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


class ListedLosses:
    """The first LOSSES_MAX losses, and how many there are."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[Loss] = []

    def add(self, loss: Loss) -> None:
        self.count += 1
        if len(self._first) < LOSSES_MAX:
            self._first.append(loss)

    @property
    def lines(self) -> list[str]:
        """All that are kept, a line each."""
        return self._lines(LOSSES_MAX)

    @property
    def shown(self) -> str:
        """The first few, for a refusal."""
        return "".join(f"\n  {line}" for line in self._lines(LOSSES_SHOWN))

    def _lines(self, number: int) -> list[str]:
        lines = [str(loss) for loss in self._first[:number]]
        return lines + ([f"and {self.count - len(lines)} more"] if self.count > len(lines) else [])


class SliceColumns(msgspec.Struct, frozen=True):
    """What the columns of a slice hold. Names in characters; `takes_all`: also characters past U+FFFF."""

    decimals: Mapping[str, DecimalLimit]
    market_characters: int
    asset_characters: int
    takes_all: bool


def read_slice_columns(log: Database) -> SliceColumns:
    """Those that a slice made now would have. The schema was checked. Raises: MysqlError."""
    found = found_columns(log)
    orders, balances = found["slice_order_example"], found["slice_balance_example"]
    decimals = {
        name: DecimalLimit(parsed.size, parsed.scale)
        for name, column in (*orders.items(), ("balance", balances["balance"]))
        if (parsed := parse_type(column.type)).word == "decimal"
    }
    market, asset = orders["market"], balances["asset"]
    takes_all = market.charset == asset.charset == "utf8mb4"
    return SliceColumns(decimals, _characters(market), _characters(asset), takes_all)


def as_c_reads(value: int, scale: int, column: DecimalLimit, prec: int) -> Number:
    """A number (not negative) after it was in a column and the C system has read it.

    `prec`: decimals to which it cuts what it reads; 0: none, it keeps what is there.
    """
    surplus = scale - column.scale
    if surplus > 0:
        value = (value + power10(surplus) // 2) // power10(surplus)
    else:
        value *= power10(-surplus)
    return cut_as_c(value, column.scale, prec)


def cut_as_c(value: int, scale: int, prec: int) -> Number:
    """The number in a text of these digits, as the C system parses it. Source: protocol.md 2.4."""
    surplus = max(0, len(str(value)) - C_DIGITS)
    value, scale = value // power10(surplus), scale - surplus
    if scale < 0:
        value, scale = value * power10(-scale), 0
    return (rescale(value, scale, prec), prec) if prec else (value, scale)


def is_same(one: Number, other: Number) -> bool:
    """Whether two numbers are equal, whatever their scales."""
    scale = max(one[1], other[1])
    return rescale(*one, scale) == rescale(*other, scale)


def order_numbers(order: Order, market: Market) -> dict[str, tuple[int, int, int]]:
    """Column -> value, its scale, and the decimals to which the C system cuts what it reads."""
    stock, money, fee = market.stock_prec, market.money_prec, market.fee_prec
    fee_scale = stock + fee if order.side == BID else stock + money + fee
    return {
        "price": (order.price, money, money),
        "amount": (order.amount, stock, stock),
        "left": (order.left, stock, stock),
        "taker_fee": (order.taker_fee, fee, fee),
        "maker_fee": (order.maker_fee, fee, fee),
        "deal_stock": (order.deal_stock, stock, 0),
        "deal_money": (order.deal_money, stock + money, 0),
        "deal_fee": (order.deal_fee, fee_scale, 0),
    }


def losses(engine: Engine, columns: SliceColumns) -> Iterator[Loss]:
    """Everything of the state that would not arrive. O(state)."""
    yield from _name_losses(engine, columns)
    needs: defaultdict[tuple[str, int], int] = defaultdict(
        int
    )  # what the C system will find frozen too little
    for market in engine.markets.values():
        for order in market.orders.values():
            yield from _order_losses(order, market, columns)
            asset, amount = _frozen_by_c(order, market, columns)
            needs[asset, order.user] += amount
    for ledger in engine.assets.values():
        for kind, amounts in ((AVAILABLE, ledger.available), (FROZEN, ledger.frozen)):
            for user, amount in amounts.items():
                what = f"{'available' if kind == AVAILABLE else 'frozen'} {ledger.name} of user {user}"
                number = (amount, ledger.prec_save)
                loss, arrived = _loss(what, number, columns.decimals["balance"], ledger.prec_save)
                if loss is not None:
                    yield loss
                needed = needs[ledger.name, user] if kind == FROZEN else 0
                if (loss is None or not loss.is_fatal) and rescale(*arrived, ledger.prec_save) < needed:
                    yield Loss(what, "less would be frozen than the orders need, they could get stuck", True)


def _name_losses(engine: Engine, columns: SliceColumns) -> Iterator[Loss]:
    for label, names, characters in (
        ("asset", engine.assets, columns.asset_characters),
        ("market", engine.markets, columns.market_characters),
    ):
        for name in names:
            if len(name) > characters:
                yield Loss(f"{label} {name}", f"the column holds {characters} characters", True)
            elif not columns.takes_all and max(name) > "\uffff":
                yield Loss(f"{label} {name}", "the column holds characters up to U+FFFF", True)


def _order_losses(order: Order, market: Market, columns: SliceColumns) -> Iterator[Loss]:
    for column, (value, scale, prec) in order_numbers(order, market).items():
        what = f"{column} of order {order.id} in {market.name}"
        loss, _ = _loss(what, (value, scale), columns.decimals[column], prec)
        if loss is not None:
            changes = column not in DONE_SO_FAR
            yield msgspec.structs.replace(loss, is_fatal=True) if changes else loss
    frozen = order.left if order.side == ASK else order.left * order.price
    scale = market.stock_prec + (0 if order.side == ASK else market.money_prec)
    if not columns.decimals["freeze"].is_in_range((frozen, scale)):
        yield Loss(f"freeze of order {order.id} in {market.name}", "the column is too small", True)


def _frozen_by_c(order: Order, market: Market, columns: SliceColumns) -> tuple[str, int]:
    """What the C system takes for frozen by this order, at prec_save of the asset."""
    numbers = order_numbers(order, market)

    def read(column: str) -> Number:
        value, scale, prec = numbers[column]
        return as_c_reads(value, scale, columns.decimals[column], prec)

    left = read("left")
    if order.side == ASK:
        return market.stock.name, rescale(*left, market.stock.prec_save)
    price = read("price")
    product = cut_as_c(left[0] * price[0], left[1] + price[1], 0)
    return market.money.name, rescale(*product, market.money.prec_save)


def _loss(what: str, number: Number, column: DecimalLimit, prec: int) -> tuple[Loss | None, Number]:
    """What is lost of one value, and as what it arrives."""
    if not column.is_in_range(number):
        return Loss(what, f"{plain(*number)} is too large, the column has {column}", True), number
    arrived = as_c_reads(*number, column, prec)
    if is_same(number, arrived):
        return None, arrived
    return Loss(what, f"{plain(*number)} would become {plain(*arrived)}", False), arrived


def _characters(column: FoundColumn) -> int:
    size = parse_type(column.type).size
    return size or 2**16 - 1  # a text has no length in its type
