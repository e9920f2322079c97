"""What a command did, step by step, in the order of the C system: the source of rows and messages.

    deal     Dealt, taker's BalanceChanged (gives, gets, fee), maker's BalanceChanged (the same),
             OrderEvent of the maker, OrderDone of the maker if it is filled
    taker    limit: OrderEvent PUT when it rests, else OrderDone and OrderEvent FINISH; market: the latter
    cancel   OrderEvent FINISH, OrderDone        update   BalanceChanged

The engine builds events only for who asks (`Engine.events` is a list); the list and the events in it then
belong to that owner. Nothing in here decides which of them become rows: that is the recorder's. An event
holds numbers at the scales of `Order`; asset and market names lead to the rules that give them.
Source: protocol.md 3.3-3.6, 4.5, 5.1.
"""

from __future__ import annotations

import msgspec

from matchengine.core.ledger import AssetLedger
from matchengine.core.market import Market
from matchengine.core.order import ASK, Order

PUT = 1  # a limit order came to rest
UPDATE = 2  # a resting order was filled in part
FINISH = 3  # filled, cancelled, or a market order at its end


class Dealt(msgspec.Struct, gc=False):
    """A trade. Scales as in `Order`: price m, amount s, deal s+m, ask_fee s+m+f, bid_fee s+f."""

    id: int
    market: str
    taker_side: int
    ask_id: int
    bid_id: int
    ask_user: int
    bid_user: int
    price: int
    amount: int
    deal: int
    ask_fee: int
    bid_fee: int


class BalanceChanged(msgspec.Struct, gc=False):
    """One step of a user's balance of one asset.

    `change` is signed, at `scale` decimals, before any cut. `balance` is available and frozen together
    right after this step, at the asset's prec_save. Steps of a trade name their deal and the user's own
    order; a fee also its rate, at fee_prec, which is 0 for all other steps.
    """

    user: int
    asset: str
    change: int
    scale: int
    balance: int
    deal: Dealt | None = None
    order_id: int = 0
    rate: int = 0


class OrderEvent(msgspec.Struct, gc=False):
    """What the topic `orders` tells: PUT, UPDATE or FINISH, and the order as it stood then."""

    kind: int
    order: Order


class OrderDone(msgspec.Struct, gc=False):
    """An order that will not change again."""

    order: Order


Event = Dealt | BalanceChanged | OrderEvent | OrderDone


def append_deal(
    events: list[Event],
    market: Market,
    taker: Order,
    maker: Order,
    deal_id: int,
    amount: int,
    ask_fee: int,
    bid_fee: int,
) -> None:
    """Appends the events of a deal that has just been executed completely, books and balances."""
    seller, buyer = (taker, maker) if taker.side == ASK else (maker, taker)
    price = maker.price
    deal = price * amount
    dealt = Dealt(
        deal_id,
        market.name,
        taker.side,
        seller.id,
        buyer.id,
        seller.user,
        buyer.user,
        price,
        amount,
        deal,
        ask_fee,
        bid_fee,
    )
    events.append(dealt)
    stock, money = market.stock, market.money
    stock_after, money_after = _total(stock, taker.user), _total(money, taker.user)
    if maker.user == taker.user:
        # Both sides have moved the same balances, the taker's first: take back what the maker's did.
        stock_units, money_units = amount * market.stock_factor, deal * market.money_factor
        if taker is seller:
            stock_after -= stock_units - bid_fee * market.bid_fee_factor
            money_after += money_units
        else:
            stock_after += stock_units
            money_after -= money_units - market.ask_fee_units(ask_fee)
    _append_steps(events, market, dealt, taker, taker.taker_fee, stock_after, money_after)
    stock_after, money_after = _total(stock, maker.user), _total(money, maker.user)
    _append_steps(events, market, dealt, maker, maker.maker_fee, stock_after, money_after)
    if maker.left:
        events.append(OrderEvent(UPDATE, maker.detached_copy()))
    else:
        # It has left the book and never changes again: it is its own copy.
        events.append(OrderEvent(FINISH, maker))
        events.append(OrderDone(maker))


def _append_steps(
    events: list[Event],
    market: Market,
    dealt: Dealt,
    order: Order,
    rate: int,
    stock_after: int,
    money_after: int,
) -> None:
    """One side's steps: it gives, gets, and pays a fee out of that. The totals are those after all three."""
    user, order_id = order.user, order.id
    stock, money = market.rule.stock, market.rule.money
    stock_prec, deal_prec = market.stock_prec, market.stock_prec + market.money_prec
    if order.side == ASK:
        fee = dealt.ask_fee
        before_fee = money_after + market.ask_fee_units(fee)
        events += (
            BalanceChanged(user, stock, -dealt.amount, stock_prec, stock_after, dealt, order_id),
            BalanceChanged(user, money, dealt.deal, deal_prec, before_fee, dealt, order_id),
        )
        if fee:
            fee_prec = deal_prec + market.fee_prec
            events.append(BalanceChanged(user, money, -fee, fee_prec, money_after, dealt, order_id, rate))
    else:
        fee = dealt.bid_fee
        before_fee = stock_after + fee * market.bid_fee_factor
        events += (
            BalanceChanged(user, money, -dealt.deal, deal_prec, money_after, dealt, order_id),
            BalanceChanged(user, stock, dealt.amount, stock_prec, before_fee, dealt, order_id),
        )
        if fee:
            fee_prec = stock_prec + market.fee_prec
            events.append(BalanceChanged(user, stock, -fee, fee_prec, stock_after, dealt, order_id, rate))


def _total(ledger: AssetLedger, user: int) -> int:
    return ledger.available.get(user, 0) + ledger.frozen.get(user, 0)
