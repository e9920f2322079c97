"""Two dumps of the state, entry by entry: which balances, orders and counters differ.

    dump --items--> entries in one order --\\
                                            merge --> differences, the first of each kind first
    dump --items--> entries in one order --/

Streaming: of a large state only what differs is kept, and of that at most `limit` entries of a kind; the rest
is counted. It reads slices that were verified and knows nothing of journals.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

import msgspec

from matchengine import slices
from matchengine.core.rules import MarketRule, Rules
from matchengine.core.snapshot import ORDER_FIELDS
from vxutils.disk import Disk
from vxutils.fixed import plain
from vxutils.packing import pack

LIMIT: Final = 20
NOTHING: Final = "-"  # shown where only the other side has something

# The kinds of entries, in the order of a dump. What is remembered is long, and all places shift with one
# difference: it is told only whether it differs.
_COUNTER, _SUM, _AVAILABLE, _FROZEN, _ORDER, _REMEMBERED = range(6)
_COUNTERS: Final = ("last order id", "last deal id", "age offset us")
_SUMS: Final = ("supply", "fees")

# Part of the dump; asset or market by its place in the rules; kind; user, order id or number.
Key = tuple[int, int, int, int]
Entry = tuple[Key, Any]
_AFTER_ALL: Final[Key] = (9, 0, 0, 0)
Pair = tuple[str, str]


class Account(msgspec.Struct, frozen=True):
    """A balance that differs: what the two dumps say."""

    user: int
    asset: str
    available: Pair
    frozen: Pair


class OpenOrder(msgspec.Struct, frozen=True):
    """An open order that differs: the fields in which it does; all of them if only one dump has it."""

    order_id: int
    market: str
    fields: dict[str, Pair]


class Comparison(msgspec.Struct):
    """What differs. `accounts` and `orders` are the first so many of `account_count` and `order_count`."""

    sequences: tuple[int, int]
    accounts: list[Account]
    account_count: int
    orders: list[OpenOrder]
    order_count: int
    others: dict[str, Pair]  # counters, sums, what is remembered

    @property
    def is_equal(self) -> bool:
        return not (self.account_count or self.order_count or self.others)


def compare(disk: Disk, one: slices.Slice, other: slices.Slice, limit: int | None = LIMIT) -> Comparison:
    """Reads both dumps, and once more if balances differ. `limit`: entries of a kind. Raises: SliceError."""
    found = Comparison((one.header.sequence, other.header.sequence), [], 0, [], 0, {})
    rules = _rules(disk, one)
    if rules != _rules(disk, other):
        found.others["rules"] = (one.header.rules_hash.hex(), other.header.rules_hash.hex())
        return found  # under other rules the numbers mean something else
    accounts: set[tuple[int, int]] = set()
    for key, left, right in _differences(_entries(disk, one, rules), _entries(disk, other, rules)):
        _, place, kind, number = key
        if kind in (_AVAILABLE, _FROZEN):
            accounts.add((place, number))
        elif kind == _ORDER:
            found.order_count += 1
            if limit is None or len(found.orders) < limit:
                found.orders.append(_open_order(left, right, rules.markets[place]))
        else:
            label = (left or right)[0]
            found.others[label] = (left[1] if left else NOTHING, right[1] if right else NOTHING)
    found.account_count = len(accounts)
    shown = sorted(accounts)[:limit]
    balances = _balances(disk, one, rules, set(shown)), _balances(disk, other, rules, set(shown))
    for place, user in shown:
        rule = rules.assets[place]
        pairs = [
            tuple(plain(side.get((place, kind, user), 0), rule.prec_save) for side in balances)
            for kind in (_AVAILABLE, _FROZEN)
        ]
        found.accounts.append(Account(user, rule.name, *cast(list[Pair], pairs)))
    return found


def _balances(
    disk: Disk, dump: slices.Slice, rules: Rules, accounts: set[tuple[int, int]]
) -> dict[tuple[int, int, int], int]:
    """What a dump says of these (asset, user), by asset, kind and user."""
    if not accounts:
        return {}
    return {
        (place, kind, number): amount
        for (_, place, kind, number), amount in _entries(disk, dump, rules)
        if kind in (_AVAILABLE, _FROZEN) and (place, number) in accounts
    }


def _open_order(left: list[Any] | None, right: list[Any] | None, rule: MarketRule) -> OpenOrder:
    texts = [_texts(fields, rule) for fields in (left, right)]
    known = cast(list[Any], left or right)
    fields = {
        name: (here, there)
        for name, here, there in zip(ORDER_FIELDS, texts[0], texts[1], strict=True)
        if here != there
    }
    return OpenOrder(known[0], rule.name, fields)


def _texts(fields: list[Any] | None, rule: MarketRule) -> list[str]:
    """The fields of an open order (always a limit order) as a person reads them."""
    if fields is None:
        return [NOTHING] * len(ORDER_FIELDS)
    scales = {
        "price": rule.money_prec,
        "amount": rule.stock_prec,
        "left": rule.stock_prec,
        "taker_fee": rule.fee_prec,
        "maker_fee": rule.fee_prec,
        "deal_stock": rule.stock_prec,
        "deal_money": rule.stock_prec + rule.money_prec,
    }
    return [
        plain(value, scales[name]) if name in scales else str(value)
        for name, value in zip(ORDER_FIELDS, fields, strict=True)
    ]


def _rules(disk: Disk, dump: slices.Slice) -> Rules:
    for item in cast(Iterable[list[Any]], slices.read_items(disk, dump)):
        if item[0] == "rules":
            return msgspec.convert(item[1], Rules)
    raise slices.SliceDamaged(dump.path, 0, "it holds no rules")


def _differences(one: Iterator[Entry], other: Iterator[Entry]) -> Iterator[tuple[Key, Any, Any]]:
    """(key, value here, value there) where they differ, None where one has nothing; keys ascend in both."""
    end: Entry = (_AFTER_ALL, None)
    left, right = next(one, end), next(other, end)
    while left is not end or right is not end:
        if left[0] < right[0]:
            yield left[0], left[1], None
            left = next(one, end)
        elif right[0] < left[0]:
            yield right[0], None, right[1]
            right = next(other, end)
        else:
            if left[1] != right[1]:
                yield left[0], left[1], right[1]
            left, right = next(one, end), next(other, end)


def _entries(disk: Disk, dump: slices.Slice, rules: Rules) -> Iterator[Entry]:
    """The entries in the order of the dump, in which the keys ascend."""
    assets = {rule.name: place for place, rule in enumerate(rules.assets)}
    markets = {rule.name: place for place, rule in enumerate(rules.markets)}
    remembered = {"repeats": hashlib.blake2b(digest_size=8), "keys": hashlib.blake2b(digest_size=8)}
    for item in cast(Iterable[list[Any]], slices.read_items(disk, dump)):
        name = item[0]
        if name == "counters":
            for number, (label, value) in enumerate(zip(_COUNTERS, item[1:], strict=True)):
                yield (0, 0, _COUNTER, number), (label, str(value))
        elif name == "trace":
            yield (0, 0, _COUNTER, len(_COUNTERS)), ("trace since the last mark", str(item[1]))
        elif name == "asset":
            place = assets[item[1]]
            scale = rules.assets[place].prec_save
            for number, (label, value) in enumerate(zip(_SUMS, item[2:], strict=True)):
                yield (1, place, _SUM, number), (f"{label} of {item[1]}", plain(value, scale))
        elif name in ("available", "frozen"):
            kind = _AVAILABLE if name == "available" else _FROZEN
            for user, amount in item[2]:
                yield (1, assets[item[1]], kind, user), amount
        elif name == "orders":
            for fields in item[2]:
                yield (2, markets[item[1]], _ORDER, fields[0]), fields
        elif name in remembered:
            remembered[name].update(pack(item[1]))
    for number, (name, digest) in enumerate(remembered.items()):
        yield (3, 0, _REMEMBERED, number), (f"remembered {name}", digest.hexdigest())
