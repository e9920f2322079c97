"""A market: its two book sides, its users' open orders, and the units of its numbers.

A market holds orders and knows how its scales relate to those of its two ledgers. It decides
nothing: checks are the engine's, execution is `matching`.
"""

from __future__ import annotations

from matchengine.core.ledger import AssetLedger
from matchengine.core.order import ASK, Order
from matchengine.core.order_book import BookSide
from matchengine.core.rules import MarketRule
from vxutils.fixed import parse_exact, power10


class Market:
    """One market. Owned by the engine."""

    __slots__ = (
        "ask_fee_divisor",
        "ask_fee_factor",
        "asks",
        "bid_fee_factor",
        "bids",
        "fee_prec",
        "min_coefficient",
        "min_scale",
        "minimum",
        "money",
        "money_factor",
        "money_prec",
        "name",
        "orders",
        "rule",
        "stock",
        "stock_factor",
        "stock_prec",
        "users",
    )

    def __init__(self, rule: MarketRule, stock: AssetLedger, money: AssetLedger) -> None:
        self.rule = rule
        self.name = rule.name
        self.stock = stock
        self.money = money
        self.stock_prec = rule.stock_prec
        self.money_prec = rule.money_prec
        self.fee_prec = rule.fee_prec
        minimum = parse_exact(rule.min_amount)
        assert minimum is not None, "rules are checked before they are used"
        self.min_coefficient, self.min_scale = minimum
        # The least amount at stock_prec that is not under the minimum.
        self.minimum = -(-self.min_coefficient * power10(rule.stock_prec) // power10(self.min_scale))
        # From the market's natural scales to ledger units. check_rules guarantees that all but the
        # seller's fee fit; that one is cut, see `ask_fee_units`.
        self.stock_factor = power10(stock.prec_save - rule.stock_prec)
        self.money_factor = power10(money.prec_save - rule.stock_prec - rule.money_prec)
        self.bid_fee_factor = power10(stock.prec_save - rule.stock_prec - rule.fee_prec)
        room = money.prec_save - rule.stock_prec - rule.money_prec - rule.fee_prec
        self.ask_fee_factor = power10(max(room, 0))
        self.ask_fee_divisor = power10(max(-room, 0))
        self.asks = BookSide(ASK)
        self.bids = BookSide(3 - ASK)
        self.orders: dict[int, Order] = {}
        self.users: dict[int, dict[int, Order]] = {}  # per user in the order of ids

    def ask_fee_units(self, fee: int) -> int:
        """What a seller's fee takes from the balance, in ledger units.

        The balance is cut toward zero, not the fee, so what is taken is the fee rounded up.
        Source: protocol.md 2.6, 3.1.
        """
        if self.ask_fee_divisor == 1:
            return fee * self.ask_fee_factor
        return -(-fee // self.ask_fee_divisor)

    def below_minimum_money(self, amount: int, price: int) -> bool:
        """Whether money `amount` (at stock_prec) is under `price` (at money_prec) * minimum."""
        left = amount * power10(self.min_scale + self.money_prec)
        return left < price * self.min_coefficient * power10(self.stock_prec)

    def place(self, order: Order) -> None:
        """Rests `order`: freezes what it needs, queues and indexes it."""
        if order.side == ASK:
            self.stock.freeze(order.user, order.left * self.stock_factor)
            self.asks.add(order)
        else:
            self.money.freeze(order.user, order.price * order.left * self.money_factor)
            self.bids.add(order)
        self.index(order)

    def restore(self, orders: list[Order]) -> None:
        """Rests orders that rested before, ids ascending; what they need is frozen already."""
        self.asks.add_all(order for order in orders if order.side == ASK)
        self.bids.add_all(order for order in orders if order.side != ASK)
        for order in orders:
            self.index(order)

    def index(self, order: Order) -> None:
        """Enters a resting order into the indexes by id and by user."""
        self.orders[order.id] = order
        mine = self.users.get(order.user)
        if mine is None:
            self.users[order.user] = {order.id: order}
        else:
            mine[order.id] = order

    def unindex(self, order: Order) -> None:
        """Forgets a resting order that has left the book."""
        del self.orders[order.id]
        mine = self.users[order.user]
        del mine[order.id]
        if not mine:
            del self.users[order.user]

    def withdraw(self, order: Order) -> None:
        """Takes a resting order out and releases what it still has frozen."""
        if order.side == ASK:
            self.asks.remove(order)
            self.stock.unfreeze(order.user, order.left * self.stock_factor)
        else:
            self.bids.remove(order)
            self.money.unfreeze(order.user, order.price * order.left * self.money_factor)
        self.unindex(order)
