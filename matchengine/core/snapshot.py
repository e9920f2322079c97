"""The whole state as a stream of plain items, and back.

The stream is canonical: equal states give equal items, so a hash over their encoding is the state
hash. Items are lists of None, int, str, bytes and lists of them, each small enough to be packed by
itself. Their shapes are written to slices and never change meaning; a new shape gets a new name.

    ["rules", {...}]                              rules in force
    ["counters", order id, deal id, age offset us]
    ["trace", number]                             since the last mark; none before the first one
    ["asset", name, supply, fees]                 one per asset, in the order of the rules
    ["available", name, [[user, amount], ...]]    users ascending, at most CHUNK a time
    ["frozen", name, [[user, amount], ...]]
    ["orders", market, [[...], ...]]              resting orders, ids ascending
    ["repeats", [[time us, user, asset, business, id], ...]]     oldest first
    ["keys", [[time us, user, key, fingerprint, order or None], ...]]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from matchengine.core import rule_change
from matchengine.core.engine import Engine, Remembered
from matchengine.core.ledger import AssetLedger
from matchengine.core.order import Order
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
_dump_order: Callable[[Order], tuple[Any, ...]] = attrgetter(*ORDER_FIELDS)

T = TypeVar("T")


def dump(engine: Engine) -> Iterator[list[Any]]:
    """The state as items. The engine must not change while they are taken."""
    yield ["rules", msgspec.to_builtins(engine.rules)]
    yield ["counters", engine.last_order_id, engine.last_deal_id, engine.age_offset_us]
    if engine.trace.value is not None:
        yield ["trace", engine.trace.value]
    for ledger in engine.assets.values():
        yield ["asset", ledger.name, ledger.supply, ledger.fees]
        for label, balances in (("available", ledger.available), ("frozen", ledger.frozen)):
            for chunk in _chunks(sorted(balances.items())):
                yield [label, ledger.name, chunk]
    for market in engine.markets.values():
        orders = market.orders
        for ids in _chunks(sorted(orders)):
            yield ["orders", market.name, [_dump_order(orders[number]) for number in ids]]
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
    resting: dict[str, list[Order]] = {}
    load_order = _OrderLoader().load
    for item in items:
        name = item[0]
        if name == "rules":
            rules = msgspec.convert(item[1], Rules)
            engine.install(rules, *rule_change.rebuild({}, {}, rules))
        elif name == "counters":
            _, engine.last_order_id, engine.last_deal_id, engine.age_offset_us = item
        elif name == "trace":
            engine.trace.restart(item[1])
        elif name == "asset":
            ledger = engine.assets[item[1]]
            ledger.supply, ledger.fees = item[2], item[3]
        elif name in ("available", "frozen"):
            _load_balances(engine.assets[item[1]], name, item[2])
        elif name == "orders":
            name = engine.markets[item[1]].name
            resting.setdefault(name, []).extend([load_order(fields, name) for fields in item[2]])
        elif name == "repeats":
            for time_us, user, asset, business, business_id in item[1]:
                engine.repeats[user, asset, business, business_id] = time_us
        elif name == "keys":
            for time_us, user, key, mark, fields in item[1]:
                order_or_none = None if fields is None else load_order(fields, fields[1])
                engine.keys[user, key] = Remembered(time_us, mark, order_or_none)
        else:
            raise ValueError(f"a slice holds an item of unknown shape: {name!r}")
    for name, orders in resting.items():
        engine.markets[name].restore(orders)
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


class _OrderLoader:
    """Makes orders that share what is equal, as they do in an engine that has never stopped: read back, each
    would have texts and numbers of its own, 200 bytes more for each order."""

    def __init__(self) -> None:
        self._sources: dict[str | None, str | None] = {}
        self._users: dict[int, int] = {}

    def load(self, fields: list[Any], market: str) -> Order:
        """Raises: ValueError for an order of another shape."""
        (
            number,
            _,
            kind,
            side,
            user,
            price,
            amount,
            left,
            taker_fee,
            maker_fee,
            source,
            created_us,
            updated_us,
            deal_stock,
            deal_money,
            deal_fee,
        ) = fields
        return Order(
            number,
            market,
            kind,
            side,
            self._users.setdefault(user, user),
            price,
            amount,
            amount if left == amount else left,
            taker_fee,
            maker_fee,
            self._sources.setdefault(source, source),
            created_us,
            created_us if updated_us == created_us else updated_us,
            deal_stock,
            deal_money,
            deal_fee,
        )
