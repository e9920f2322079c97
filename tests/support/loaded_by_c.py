"""Our engine's state in the shape of `CSystem.state`, so that the two can be compared with `==`."""

from __future__ import annotations

from decimal import Decimal

from matchengine.core.engine import Engine
from matchengine.core.market import Market
from matchengine.core.order import ASK, BID, Order
from tests.support.c_loader import Row, State
from tests.support.naive import AVAILABLE, FREEZE


def state_of(engine: Engine, operation_id: int) -> State:
    """Books in their order, balances, counters."""
    return {
        "counters": (operation_id, engine.last_order_id, engine.last_deal_id),
        "balances": {
            (user, kind, ledger.name): exact(amount, ledger.prec_save)
            for ledger in engine.assets.values()
            for kind, amounts in ((AVAILABLE, ledger.available), (FREEZE, ledger.frozen))
            for user, amount in amounts.items()
        },
        "books": {
            (market.name, side): [_shown(order, market) for order in book.orders(0)]
            for market in engine.markets.values()
            for side, book in ((ASK, market.asks), (BID, market.bids))
        },
    }


def exact(value: int, scale: int) -> Decimal:
    return Decimal((0, tuple(map(int, str(value))), -scale))


def _shown(order: Order, market: Market) -> Row:
    stock, money, fee = market.stock_prec, market.money_prec, market.fee_prec
    return (
        *(order.id, order.user, order.kind),
        exact(order.price, money),
        *(exact(value, stock) for value in (order.amount, order.left)),
        *(exact(value, fee) for value in (order.taker_fee, order.maker_fee)),
        exact(order.deal_stock, stock),
        exact(order.deal_money, stock + money),
        exact(order.deal_fee, stock + fee if order.side == BID else stock + money + fee),
    )
