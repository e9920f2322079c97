"""What a C engine can be asked about, and what our state has to say to its answer.

    subject (one question)  --engine asked-->  answer: {name of a value: its text}
                            --our state---->  wanted: {name of a value: text, and how far off it may be}
                            ---------------->  EQUAL, ROUNDED or DIFFERENT

Numbers are compared by value, exactly. Not compared are times and sources of orders: the C system loses them
at every start. ROUNDED is what the decimals of a slice's columns explain: the state was loaded from that
slice, and lacks digits that the engine's memory still has. Asks nobody and changes nothing.
Source: protocol.md 2.7, 4.2, 4.6.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from decimal import Decimal, DecimalException
from typing import Final

import msgspec

from matchengine.core.engine import Engine
from matchengine.core.events import BalanceChanged, Event, OrderDone, OrderEvent
from matchengine.core.ledger import AssetLedger
from matchengine.core.market import Market
from matchengine.core.order import BID
from matchengine.core.order_book import BookSide
from vxutils.fixed import plain, power10, rescale

NEWEST_ORDERS: Final = 101
"""How many of a user's orders in a market are compared in their order: as many as one answer holds."""

Answer = dict[str, str]
"""The values of one answer by name; empty: there is no such order."""


class Subject(msgspec.Struct, frozen=True, tag=True):
    """What one question is about."""


class Counters(Subject, frozen=True):
    """Operation, order and deal ids, as the console shows them."""


class AssetSums(Subject, frozen=True):
    asset: str


class MarketSums(Subject, frozen=True):
    market: str


class UserBalances(Subject, frozen=True):
    user: int


class UserOrders(Subject, frozen=True):
    """How many open orders, and which are the newest."""

    user: int
    market: str


class OpenOrder(Subject, frozen=True):
    market: str
    id: int


AnySubject = Counters | AssetSums | MarketSums | UserBalances | UserOrders | OpenOrder

KINDS: Final[dict[type[Subject], str]] = {
    Counters: "counters",
    AssetSums: "assets",
    MarketSums: "markets",
    UserBalances: "users",
    UserOrders: "users' lists of orders",
    OpenOrder: "orders",
}


def name_of(subject: Subject) -> str:
    """For the operator."""
    match subject:
        case AssetSums(asset):
            return f"asset {asset}"
        case MarketSums(market):
            return f"market {market}"
        case UserBalances(user):
            return f"user {user}"
        case UserOrders(user, market):
            return f"user {user}'s orders in {market}"
        case OpenOrder(market, number):
            return f"order {number} in {market}"
    return "the counters"


class Verdict(enum.Enum):
    EQUAL = "equal"
    ROUNDED = "rounded"
    DIFFERENT = "different"


class Rounding(msgspec.Struct, frozen=True):
    """What the columns of the slice have cut: decimals of balances, of an order's deal_money and deal_fee.
    None: the state was built without a slice."""

    balance: int | None = None
    deal_money: int | None = None
    deal_fee: int | None = None


class Wanted(msgspec.Struct, frozen=True):
    """A value of ours, and for numbers the least and the greatest that it may be."""

    text: str
    low: Decimal | None = None
    high: Decimal | None = None


class State:
    """Our state, as answers of a C engine would show it. Reads an engine between two operations."""

    def __init__(self, engine: Engine, rounding: Rounding) -> None:
        self.engine = engine
        self.rounding = rounding
        self.operation_id = 0

    def judge(self, subject: Subject, answer: Answer) -> Verdict:
        """Whether the answer is what our state says."""
        wanted = self.wanted(subject)
        if wanted.keys() != answer.keys():
            return Verdict.DIFFERENT
        verdicts = {_judge(wanted[name], text) for name, text in answer.items()}
        for verdict in (Verdict.DIFFERENT, Verdict.ROUNDED):
            if verdict in verdicts:
                return verdict
        return Verdict.EQUAL

    def differences(self, subject: Subject, answer: Answer) -> list[str]:
        """In what they differ, in words."""
        wanted = self.wanted(subject)
        if not wanted or not answer:
            return ["is open there, and not by the log" if answer else "is not open there, by the log it is"]
        return [
            f"{name} is {answer.get(name, 'missing')}, by the log {one.text}"
            for name, one in wanted.items()
            if name not in answer or _judge(one, answer[name]) is Verdict.DIFFERENT
        ] + [f"{name} is {answer[name]}, by the log there is none" for name in answer.keys() - wanted.keys()]

    def wanted(self, subject: Subject) -> dict[str, Wanted]:
        """What the answer should be."""
        engine = self.engine
        match subject:
            case AssetSums(asset):
                return self._asset_sums(engine.assets[asset])
            case MarketSums(market):
                return _market_sums(engine.markets[market])
            case UserBalances(user):
                return self._balances(user)
            case UserOrders(user, market):
                mine = engine.markets[market].users.get(user, {})
                newest = list(mine)[::-1][:NEWEST_ORDERS]
                return {"total": Wanted(str(len(mine))), "newest": Wanted(" ".join(map(str, newest)))}
            case OpenOrder(market, number):
                return self._order(engine.markets[market], number)
        numbers = {"operation": self.operation_id, "order": engine.last_order_id, "deal": engine.last_deal_id}
        return {name: Wanted(str(number)) for name, number in numbers.items()}

    def everything(self) -> Iterator[UserBalances | UserOrders]:
        """Every user who has anything, and every list of open orders; user 0 can not be asked about."""
        users = {
            user for ledger in self.engine.assets.values() for user in (*ledger.available, *ledger.frozen)
        }
        for user in sorted(users - {0}):
            yield UserBalances(user)
        for market in self.engine.markets.values():
            for user in sorted(market.users):
                yield UserOrders(user, market.name)

    def _asset_sums(self, ledger: AssetLedger) -> dict[str, Wanted]:
        off = self._balance_off(ledger) * (len(ledger.available) + 1)
        scale = ledger.prec_save

        def sum_of(amount: int) -> Wanted:
            return _between(amount - off, amount, amount + off, scale)

        return {
            "total_balance": sum_of(ledger.total),
            "available_count": Wanted(str(len(ledger.available))),
            "available_balance": sum_of(ledger.total - ledger.frozen_total),
            "freeze_count": Wanted(str(len(ledger.frozen))),
            "freeze_balance": _number(ledger.frozen_total, scale),
        }

    def _balances(self, user: int) -> dict[str, Wanted]:
        found: dict[str, Wanted] = {}
        for ledger in self.engine.assets.values():
            save, show = ledger.prec_save, ledger.prec_show
            available, off = ledger.available.get(user, 0), self._balance_off(ledger)
            low, shown, high = (
                rescale(max(0, amount), save, show)
                for amount in (available - off, available, available + off)
            )
            found[f"{ledger.name} available"] = _between(low, shown, high, show)
            found[f"{ledger.name} freeze"] = _number(rescale(ledger.frozen.get(user, 0), save, show), show)
        return found

    def _balance_off(self, ledger: AssetLedger) -> int:
        return _half_unit(self.rounding.balance, ledger.prec_save)

    def _order(self, market: Market, number: int) -> dict[str, Wanted]:
        order = market.orders.get(number)
        if order is None:
            return {}
        stock, money, fee = market.stock_prec, market.money_prec, market.fee_prec
        fee_scale = stock + fee if order.side == BID else stock + money + fee
        money_off = _half_unit(self.rounding.deal_money, stock + money)
        fee_off = _half_unit(self.rounding.deal_fee, fee_scale)
        return {
            "type": Wanted(str(order.kind)),
            "side": Wanted(str(order.side)),
            "user": Wanted(str(order.user)),
            "price": _number(order.price, money),
            "amount": _number(order.amount, stock),
            "taker_fee": _number(order.taker_fee, fee),
            "maker_fee": _number(order.maker_fee, fee),
            "left": _number(order.left, stock),
            "deal_stock": _number(order.deal_stock, stock),
            "deal_money": _between(
                order.deal_money - money_off, order.deal_money, order.deal_money + money_off, stock + money
            ),
            "deal_fee": _between(
                order.deal_fee - fee_off, order.deal_fee, order.deal_fee + fee_off, fee_scale
            ),
        }


def touched(events: Iterable[Event], engine: Engine) -> set[Subject]:
    """What an operation with these events may have changed."""
    found: set[Subject] = {Counters()}
    for event in events:
        if isinstance(event, BalanceChanged):
            found |= {UserBalances(event.user), AssetSums(event.asset)}
        elif isinstance(event, OrderEvent | OrderDone):
            order, rule = event.order, engine.markets[event.order.market].rule
            found |= {
                UserBalances(order.user),
                UserOrders(order.user, order.market),
                OpenOrder(order.market, order.id),
                MarketSums(order.market),
                AssetSums(rule.stock),
                AssetSums(rule.money),
            }
    return found


def _market_sums(market: Market) -> dict[str, Wanted]:
    def sums(name: str, side: BookSide) -> dict[str, Wanted]:
        amount = _number(side.total, market.stock_prec)
        return {f"{name}_count": Wanted(str(side.count)), f"{name}_amount": amount}

    return sums("ask", market.asks) | sums("bid", market.bids)


def _judge(wanted: Wanted, text: str) -> Verdict:
    if text == wanted.text:
        return Verdict.EQUAL
    if wanted.low is None or wanted.high is None:
        return Verdict.DIFFERENT
    try:
        number = Decimal(text)
    except DecimalException:
        return Verdict.DIFFERENT
    if not number.is_finite():
        return Verdict.DIFFERENT
    if number == Decimal(wanted.text):
        return Verdict.EQUAL
    return Verdict.ROUNDED if wanted.low <= number <= wanted.high else Verdict.DIFFERENT


def _number(value: int, scale: int) -> Wanted:
    return _between(value, value, value, scale)


def _between(low: int, value: int, high: int, scale: int) -> Wanted:
    # From text: whatever has the digits to be exact; arithmetic would cut them to those of a context.
    return Wanted(plain(value, scale), Decimal(plain(low, scale)), Decimal(plain(high, scale)))


def _half_unit(decimals: int | None, scale: int) -> int:
    """How far a column of so many decimals may have moved a value at `scale`; 0 if it holds them all."""
    if decimals is None or decimals >= scale:
        return 0
    return power10(scale - decimals) // 2
