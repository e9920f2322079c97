"""Changing the rules of a running state: which changes are legal, and the state under new rules.

A scale may widen, exactly; it may narrow only if no digit that is in use is lost; an asset or market
may come at any time and goes only when nothing is left in it. `problems` says in words what stands
in the way; `rebuild` converts, building new objects so that a failure leaves the old state whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from matchengine.core.ledger import AssetLedger
from matchengine.core.market import Market
from matchengine.core.order import ASK, BID, MARKET, Order
from matchengine.core.rules import AssetRule, MarketRule, Rules, check_rules
from vxutils.fixed import power10

Assets = dict[str, AssetLedger]
Markets = dict[str, Market]


class RuleChangeRefused(ValueError):
    """The new rules do not fit the state; `problems` names each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def differences(old: Rules, new: Rules) -> list[str]:
    """What `new` changes, one line per setting, in words for an operator."""
    lines: list[str] = []
    for label, before, after in (("asset", old.assets, new.assets), ("market", old.markets, new.markets)):
        lines.extend(_list_differences(label, before, after))
    for field in ("repeat_age_s", "key_age_s", "keys_max"):
        if getattr(old, field) != getattr(new, field):
            lines.append(f"{field}: {getattr(old, field)} in force, {getattr(new, field)} in the file")
    return lines


def _list_differences(
    label: str,
    old: tuple[AssetRule, ...] | tuple[MarketRule, ...],
    new: tuple[AssetRule, ...] | tuple[MarketRule, ...],
) -> list[str]:
    lines: list[str] = []
    before = {rule.name: rule for rule in old}
    after = {rule.name: rule for rule in new}
    lines.extend(f"{label} {name}: in force, missing in the file" for name in before if name not in after)
    for name, rule in after.items():
        known = before.get(name)
        if known is None:
            lines.append(f"{label} {name}: new in the file")
            continue
        for field in rule.__struct_fields__:
            if getattr(known, field) != getattr(rule, field):
                lines.append(
                    f"{label} {name}: {field} {getattr(known, field)} in force, "
                    f"{getattr(rule, field)} in the file"
                )
    if not lines and list(before) != list(after):
        lines.append(f"{label}s: the order differs (it is the order of lists in replies)")
    return lines


def problems(assets: Assets, markets: Markets, new: Rules) -> list[str]:
    """Why the state can not go on under `new`, empty when it can. Changes nothing."""
    found = check_rules(new)
    if found:
        return found
    try:
        rebuild(assets, markets, new)
    except RuleChangeRefused as refused:
        return refused.problems
    return []


def rebuild(assets: Assets, markets: Markets, new: Rules) -> tuple[Assets, Markets]:
    """The state's ledgers and markets under `new`.

    Raises:
        RuleChangeRefused: with every reason in words; the given objects are untouched.
    """
    found: list[str] = []
    ledgers = {rule.name: _convert_ledger(assets.get(rule.name), rule, found) for rule in new.assets}
    for name, ledger in assets.items():
        if name not in ledgers and (ledger.available or ledger.frozen or ledger.total):
            found.append(f"asset {name}: can not go while there are balances in it")
    rebuilt: Markets = {}
    for market_rule in new.markets:
        market = Market(market_rule, ledgers[market_rule.stock], ledgers[market_rule.money])
        before = markets.get(market_rule.name)
        if before is not None:
            _convert_orders(before, market, found)
        rebuilt[market_rule.name] = market
    for name, gone in markets.items():
        if name not in rebuilt and gone.orders:
            found.append(f"market {name}: can not go while it has {len(gone.orders)} open orders")
    if found:
        raise RuleChangeRefused(found)
    return ledgers, rebuilt


class _Scale:
    """Converts integers from one number of decimals to another, noticing any loss."""

    def __init__(self, before: int, after: int) -> None:
        self.factor = power10(max(after - before, 0))
        self.divisor = power10(max(before - after, 0))
        self.lossy = False

    def __call__(self, value: int) -> int:
        quotient, rest = divmod(value * self.factor, self.divisor)
        if rest:
            self.lossy = True
        return quotient


def _convert_ledger(before: AssetLedger | None, rule: AssetRule, found: list[str]) -> AssetLedger:
    ledger = AssetLedger(rule.name, rule.prec_save, rule.prec_show)
    if before is None:
        return ledger
    scale = _Scale(before.prec_save, rule.prec_save)
    ledger.available = {user: scale(amount) for user, amount in before.available.items()}
    ledger.frozen = {user: scale(amount) for user, amount in before.frozen.items()}
    ledger.frozen_total = scale(before.frozen_total)
    ledger.supply = scale(before.supply)
    ledger.fees = scale(before.fees)
    if scale.lossy:
        found.append(
            f"asset {rule.name}: prec_save {before.prec_save} can not narrow to {rule.prec_save}: "
            "balances have digits there"
        )
    return ledger


def _convert_orders(before: Market, market: Market, found: list[str]) -> None:
    if before.orders and (before.rule.stock, before.rule.money) != (market.rule.stock, market.rule.money):
        found.append(f"market {market.name}: its assets can not change while it has open orders")
        return
    lossy = False
    for order in _by_id((before.asks.orders(), before.bids.orders())):
        converted, lost = convert_order(order, before, market)
        lossy = lossy or lost
        (market.asks if order.side == ASK else market.bids).add(converted)
        market.index(converted)
    if lossy:
        found.append(
            f"market {market.name}: stock_prec, money_prec or fee_prec can not narrow: "
            "open orders have digits there"
        )


def _by_id(sides: Iterable[Iterable[Order]]) -> list[Order]:
    """Queues and user lists are in the order of ids, so this order restores both."""
    return sorted((order for side in sides for order in side), key=lambda order: order.id)


def convert_order(order: Order, before: Market, market: Market) -> tuple[Order, bool]:
    """`order` at the scales of `market`, linked to nothing, and whether digits were lost."""
    stock = _Scale(before.stock_prec, market.stock_prec)
    money = _Scale(before.money_prec, market.money_prec)
    rate = _Scale(before.fee_prec, market.fee_prec)
    deal = _Scale(before.stock_prec + before.money_prec, market.stock_prec + market.money_prec)
    if order.side == BID:
        fee = _Scale(before.stock_prec + before.fee_prec, market.stock_prec + market.fee_prec)
    else:
        fee = _Scale(
            before.stock_prec + before.money_prec + before.fee_prec,
            market.stock_prec + market.money_prec + market.fee_prec,
        )
    copy = order.detached_copy()
    copy.price = money(order.price)
    copy.amount = stock(order.amount)
    copy.left = (deal if order.kind == MARKET and order.side == BID else stock)(order.left)
    copy.taker_fee = rate(order.taker_fee)
    copy.maker_fee = rate(order.maker_fee)
    copy.deal_stock = stock(order.deal_stock)
    copy.deal_money = deal(order.deal_money)
    copy.deal_fee = fee(order.deal_fee)
    return copy, any(scale.lossy for scale in (stock, money, rate, deal, fee))
