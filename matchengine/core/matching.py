"""Execution of a taker against the opposite side of the book.

One loop serves limit and market orders of both sides; what differs is named before it starts. The
taker is paid out of its available balance, never frozen; makers are paid out of what they froze.
Results follow protocol.md 3.3 and 3.4 exactly. Nothing in here can fail: the engine has checked
that the taker can pay. Who wants to know every step passes a list for the events; nobody else pays for it.
"""

from __future__ import annotations

from matchengine.core.events import Event, append_deal
from matchengine.core.market import Market
from matchengine.core.order import ASK, MARKET, Order


def execute(
    market: Market,
    taker: Order,
    time_us: int,
    outcome: list[int],
    last_deal_id: int,
    events: list[Event] | None,
) -> int:
    """Fills `taker` as far as the book allows and returns the id of the last deal, `last_deal_id` if none.

    Per deal four integers are appended to `outcome`: maker id, amount, seller's fee, buyer's fee
    (natural scales, see `Order`). Cost O(deals). On return the book holds no order that `taker`
    could still trade with, unless the rest of a market buy is too little for one unit of stock.
    """
    selling = taker.side == ASK
    opposite = market.bids if selling else market.asks
    keys = opposite.keys
    if not keys:
        return last_deal_id
    # A market order crosses every price: its bound lies beyond the worst one.
    worst_key = keys[0] if taker.kind == MARKET else opposite.sign * taker.price
    if keys[-1] < worst_key:
        return last_deal_id
    spending = taker.kind == MARKET and not selling  # left is money, at stock_prec + money_prec
    stock, money = market.stock, market.money
    stock_factor, money_factor = market.stock_factor, market.money_factor
    taker_user, taker_rate = taker.user, taker.taker_fee
    levels = opposite.levels
    wrote = stock.wrote
    while taker.left and keys and keys[-1] >= worst_key:
        level = levels[keys[-1]]
        maker = level.head
        assert maker is not None
        price = level.price
        wanted = taker.left // price if spending else taker.left
        if wanted == 0:
            break
        left = maker.left
        amount = wanted if wanted < left else left
        deal = price * amount
        stock_units, money_units = amount * stock_factor, deal * money_factor
        maker_user = maker.user
        last_deal_id += 1
        if selling:
            ask_fee, bid_fee = deal * taker_rate, amount * maker.maker_fee
            taker.left -= amount
            taker.deal_fee += ask_fee
            maker.deal_fee += bid_fee
            stock.debit(taker_user, stock_units)
            money.earn(taker_user, money_units, market.ask_fee_units(ask_fee) if ask_fee else 0)
            money.spend_frozen(maker_user, money_units)
            stock.earn(maker_user, stock_units, bid_fee * market.bid_fee_factor)
        else:
            ask_fee, bid_fee = deal * maker.maker_fee, amount * taker_rate
            taker.left -= deal if spending else amount
            taker.deal_fee += bid_fee
            maker.deal_fee += ask_fee
            money.debit(taker_user, money_units)
            stock.earn(taker_user, stock_units, bid_fee * market.bid_fee_factor)
            stock.spend_frozen(maker_user, stock_units)
            money.earn(maker_user, money_units, market.ask_fee_units(ask_fee) if ask_fee else 0)
        taker.deal_stock += amount
        taker.deal_money += deal
        maker.deal_stock += amount
        maker.deal_money += deal
        maker.updated_us = time_us
        outcome += (maker.id, amount, ask_fee, bid_fee)
        if amount == left:
            opposite.remove(maker)
            maker.left = 0
            market.unindex(maker)
        else:
            opposite.reduce(maker, amount)
            wrote(maker.left)
        if events is not None:
            append_deal(events, market, taker, maker, last_deal_id, amount, ask_fee, bid_fee)
    return last_deal_id
