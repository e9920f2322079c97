"""The laws of the state: what must hold after every command, whatever came before.

Checked by tests after every command and by audits of a data directory. O(state).
Source: design, "The deterministic core".
"""

from __future__ import annotations

from collections import Counter

from matchengine.core.engine import Engine
from matchengine.core.ledger import AssetLedger
from matchengine.core.market import Market
from matchengine.core.order import ASK
from matchengine.core.order_book import BookSide


def broken_laws(engine: Engine) -> list[str]:
    """Every broken law in words, naming asset, market, user or order; empty for a sound state."""
    found: list[str] = []
    needed: dict[str, Counter[int]] = {name: Counter() for name in engine.assets}
    for market in engine.markets.values():
        _check_market(market, needed, found)
    for ledger in engine.assets.values():
        _check_ledger(ledger, needed[ledger.name], found)
    return found


def _check_ledger(ledger: AssetLedger, needed: Counter[int], found: list[str]) -> None:
    available, frozen = sum(ledger.available.values()), sum(ledger.frozen.values())
    if available + frozen != ledger.supply - ledger.fees:
        found.append(
            f"asset {ledger.name}: balances sum to {available + frozen}, "
            f"deposits - withdrawals - fees to {ledger.supply - ledger.fees}"
        )
    if frozen != ledger.frozen_total:
        found.append(f"asset {ledger.name}: frozen sums to {frozen}, not {ledger.frozen_total}")
    for label, balances in (("available", ledger.available), ("frozen", ledger.frozen)):
        found.extend(
            f"asset {ledger.name}: user {user} has {label} {amount}"
            for user, amount in balances.items()
            if amount <= 0
        )
    if dict(needed) != ledger.frozen:
        users = {user for user in {*needed, *ledger.frozen} if needed[user] != ledger.frozen.get(user, 0)}
        found.extend(
            f"asset {ledger.name}: user {user} has {ledger.frozen.get(user, 0)} frozen, "
            f"open orders need {needed[user]}"
            for user in sorted(users)
        )


def _check_market(market: Market, needed: dict[str, Counter[int]], found: list[str]) -> None:
    best_ask, best_bid = market.asks.best(), market.bids.best()
    if best_ask is not None and best_bid is not None and best_bid.price >= best_ask.price:
        found.append(f"market {market.name}: crossed, bid {best_bid.price} >= ask {best_ask.price}")
    queued: set[int] = set()
    for book in (market.asks, market.bids):
        _check_side(market, book, queued, found)
    if queued != set(market.orders):
        found.append(f"market {market.name}: book and index hold different orders")
    if queued != {order_id for mine in market.users.values() for order_id in mine}:
        found.append(f"market {market.name}: book and users' lists hold different orders")
    for order in market.orders.values():
        if order.side == ASK:
            needed[market.rule.stock][order.user] += order.left * market.stock_factor
        else:
            needed[market.rule.money][order.user] += order.price * order.left * market.money_factor


def _check_side(market: Market, book: BookSide, queued: set[int], found: list[str]) -> None:
    if book.keys != sorted(book.levels):
        found.append(f"market {market.name}: the sorted prices are not those of the levels")
    count = total = 0
    for key, level in book.levels.items():
        left, number, last_id, order = 0, 0, 0, level.head
        while order is not None:
            if order.price * book.sign != key or order.left <= 0 or order.id <= last_id:
                found.append(f"market {market.name}: order {order.id} stands where it can not")
            left, number, last_id = left + order.left, number + 1, order.id
            queued.add(order.id)
            order = order.next
        if (left, number) != (level.total, level.count) or not number:
            found.append(f"market {market.name}: level {level.price} does not sum up its orders")
        count, total = count + number, total + left
    if (count, total) != (book.count, book.total):
        found.append(f"market {market.name}: a side does not sum up its levels")
