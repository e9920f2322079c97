"""A state as it was, for people and for programs: facts first, as plain builtins, then a table of them.

Amounts are texts with all digits that are kept. What is shown without a wish: assets and markets; of one user
his balances and open orders, of one market its depth. Which state it is, is found in `at`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from matchengine.at import AsItWas, time_text
from matchengine.core.engine import Engine
from matchengine.core.market import Market
from matchengine.core.order import ASK, Order
from matchengine.core.order_book import BookSide
from vxutils.exits import ExitCode, ProcessExit
from vxutils.fixed import plain

DEPTH_LEVELS = 20
NOTHING = "-"

Facts = dict[str, Any]


def facts_of(found: AsItWas, market: str | None, user: int | None) -> Facts:
    """What is to be shown. Raises: ProcessExit when there was no such market."""
    engine, position = found.engine, found.position
    if market is not None and market not in engine.markets:
        names = ", ".join(engine.markets)
        raise ProcessExit(ExitCode.CONFIG, f"there was no market {market} then; there were {names}")
    markets = [engine.markets[market]] if market is not None else list(engine.markets.values())
    facts: Facts = {
        "sequence": position.sequence,
        "time": time_text(position.time_us),
        "time_us": position.time_us,
        "operation_id": position.operation_id,
        "order_id": engine.last_order_id,
        "deal_id": engine.last_deal_id,
        "from_slice": found.slice_sequence,
        "assets": _assets(engine),
        "markets": [_market(one) for one in markets],
    }
    if user is not None:
        facts["user"] = {
            "id": user,
            "balances": _balances(engine, user),
            "orders": [_order(order, one) for one in markets for order in one.users.get(user, {}).values()],
        }
    if market is not None:
        facts["depth"] = {side: _levels(markets[0], getattr(markets[0], side)) for side in ("asks", "bids")}
    return facts


def lines_of(facts: Facts) -> list[str]:
    """The facts as tables."""
    lines = [
        f"after sequence {facts['sequence']}, {facts['time']} "
        f"(operation {facts['operation_id']}, orders to {facts['order_id']}, deals to {facts['deal_id']})"
    ]
    lines += _table("asset", facts["assets"])
    lines += _table("market", facts["markets"])
    user = facts.get("user")
    if user is not None:
        lines += _table(f"balances of user {user['id']}", user["balances"])
        lines += _table(f"open orders of user {user['id']}", user["orders"])
    for side, levels in facts.get("depth", {}).items():
        lines += _table(side, [{"price": price, "amount": amount} for price, amount in levels])
    return lines


def _assets(engine: Engine) -> list[Facts]:
    return [
        {
            "name": ledger.name,
            "total": plain(ledger.total, ledger.prec_save),
            "available": plain(ledger.total - ledger.frozen_total, ledger.prec_save),
            "frozen": plain(ledger.frozen_total, ledger.prec_save),
            "users": len(ledger.available.keys() | ledger.frozen.keys()),
        }
        for ledger in engine.assets.values()
    ]


def _balances(engine: Engine, user: int) -> list[Facts]:
    return [
        {
            "asset": ledger.name,
            "available": plain(ledger.available.get(user, 0), ledger.prec_save),
            "frozen": plain(ledger.frozen.get(user, 0), ledger.prec_save),
        }
        for ledger in engine.assets.values()
        if user in ledger.available or user in ledger.frozen
    ]


def _market(market: Market) -> Facts:
    return {
        "name": market.name,
        "best_bid": _best(market, market.bids),
        "best_ask": _best(market, market.asks),
        "bids": market.bids.count,
        "asks": market.asks.count,
        "bid_amount": plain(market.bids.total, market.stock_prec),
        "ask_amount": plain(market.asks.total, market.stock_prec),
    }


def _best(market: Market, side: BookSide) -> str | None:
    level = side.best()
    return None if level is None else plain(level.price, market.money_prec)


def _order(order: Order, market: Market) -> Facts:
    return {
        "id": order.id,
        "market": market.name,
        "side": "sell" if order.side == ASK else "buy",
        "price": plain(order.price, market.money_prec),
        "amount": plain(order.amount, market.stock_prec),
        "left": plain(order.left, market.stock_prec),
        "placed": time_text(order.created_us),
    }


def _levels(market: Market, side: BookSide) -> list[list[str]]:
    return [
        [plain(price, market.money_prec), plain(total, market.stock_prec)]
        for price, total in side.depth(DEPTH_LEVELS)
    ]


def _table(title: str, rows: Iterable[Facts]) -> list[str]:
    """A title and aligned columns; one line that says so when there is no row."""
    found = list(rows)
    if not found:
        return ["", f"{title}: none"]
    cells: list[Sequence[str]] = [list(found[0])]
    cells += [[NOTHING if value is None else str(value) for value in row.values()] for row in found]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    aligned = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return ["", f"{title}:", *(f"  {line}".rstrip() for line in aligned)]
