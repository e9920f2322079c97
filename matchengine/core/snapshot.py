"""The whole state as a stream of plain items, and back.

The stream is canonical: equal states give equal items, so a hash over their encoding is the state
hash. Items are lists of None, int, str, bytes and lists of them, each small enough to be packed by
itself. Their shapes are written to slices and never change meaning; a new shape gets a new name.

    ["rules", {...}]                              rules in force
    ["counters", order id, deal id, age offset us]
    ["asset", name, supply, fees]                 one per asset, in the order of the rules
    ["available", name, [[user, amount], ...]]    users ascending, at most CHUNK a time
    ["frozen", name, [[user, amount], ...]]
    ["orders", market, [[...], ...]]              resting orders, ids ascending
    ["repeats", [[time us, user, asset, business, id], ...]]     oldest first
    ["keys", [[time us, user, key, fingerprint, order or None], ...]]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import msgspec

from matchengine.core import rule_change
from matchengine.core.engine import Engine, Remembered
from matchengine.core.ledger import AssetLedger
from matchengine.core.order import ASK, Order
from matchengine.core.rules import Rules

CHUNK = 500  # entries per item

# The first fields of Order, in their order; what follows them there are links.
ORDER_FIELDS = (
    "id",
    "market",
    "kind",
    "side",
    "user",
    "price",
    "amount",
    "left",
    "taker_fee",
    "maker_fee",
    "source",
    "created_us",
    "updated_us",
    "deal_stock",
    "deal_money",
    "deal_fee",
)
assert Order.__struct_fields__[: len(ORDER_FIELDS)] == ORDER_FIELDS

T = TypeVar("T")


def dump(engine: Engine) -> Iterator[list[Any]]:
    """The state as items. The engine must not change while they are taken."""
    yield ["rules", msgspec.to_builtins(engine.rules)]
    yield ["counters", engine.last_order_id, engine.last_deal_id, engine.age_offset_us]
    for ledger in engine.assets.values():
        yield ["asset", ledger.name, ledger.supply, ledger.fees]
        for label, balances in (("available", ledger.available), ("frozen", ledger.frozen)):
            for chunk in _chunks(sorted(balances.items())):
                yield [label, ledger.name, [list(entry) for entry in chunk]]
    for market in engine.markets.values():
        for orders in _chunks(order for _, order in sorted(market.orders.items())):
            yield ["orders", market.name, [_dump_order(order) for order in orders]]
    for repeats in _chunks(engine.repeats.items()):
        yield ["repeats", [[time_us, *key] for key, time_us in repeats]]
    for keys in _chunks(engine.keys.items()):
        yield [
            "keys",
            [
                [known.time_us, *key, known.fingerprint, known.order and _dump_order(known.order)]
                for key, known in keys
            ],
        ]


def load(items: Iterable[list[Any]]) -> Engine:
    """An engine in the state that `dump` saw. Raises: ValueError for an item of unknown shape."""
    engine = Engine()
    for item in items:
        name = item[0]
        if name == "rules":
            engine.rules = msgspec.convert(item[1], Rules)
            engine.assets, engine.markets = rule_change.rebuild({}, {}, engine.rules)
        elif name == "counters":
            _, engine.last_order_id, engine.last_deal_id, engine.age_offset_us = item
        elif name == "asset":
            ledger = engine.assets[item[1]]
            ledger.supply, ledger.fees = item[2], item[3]
        elif name in ("available", "frozen"):
            _load_balances(engine.assets[item[1]], name, item[2])
        elif name == "orders":
            market = engine.markets[item[1]]
            for fields in item[2]:
                order = _load_order(fields)
                (market.asks if order.side == ASK else market.bids).add(order)
                market.index(order)
        elif name == "repeats":
            for time_us, user, asset, business, business_id in item[1]:
                engine.repeats[user, asset, business, business_id] = time_us
        elif name == "keys":
            for time_us, user, key, mark, fields in item[1]:
                order_or_none = None if fields is None else _load_order(fields)
                engine.keys[user, key] = Remembered(time_us, mark, order_or_none)
        else:
            raise ValueError(f"a slice holds an item of unknown shape: {name!r}")
    return engine


def _chunks(entries: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(entries)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def _load_balances(ledger: AssetLedger, label: str, entries: list[list[int]]) -> None:
    if label == "available":
        ledger.available.update((user, amount) for user, amount in entries)
    else:
        ledger.frozen.update((user, amount) for user, amount in entries)
        ledger.frozen_total += sum(amount for _, amount in entries)


def _dump_order(order: Order) -> list[Any]:
    return [getattr(order, name) for name in ORDER_FIELDS]


def _load_order(fields: list[Any]) -> Order:
    assert len(fields) == len(ORDER_FIELDS), "an order of another shape"
    return Order(*fields)
