"""One side of a market's order book: price levels, best first, and the orders queued at each.

    keys    [ ... , second best, best ]        sorted; the best is last, so taking it is a pop
    levels  {key: PriceLevel}
    level   head -> order -> order -> tail     first come, first served; doubly linked

The key of a bid level is its price, that of an ask level its negated price, so "better" is
"greater" on both sides and one piece of code serves both. Every level keeps the sum and number of
its orders, so depth never walks orders. A side knows no balances and no fees.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from itertools import islice

from matchengine.core.order import ASK, Order


class PriceLevel:
    """All orders resting at one price. `total` is the sum of their `left`."""

    __slots__ = ("count", "head", "price", "tail", "total")

    def __init__(self, price: int) -> None:
        self.price = price
        self.head: Order | None = None
        self.tail: Order | None = None
        self.total = 0
        self.count = 0


class BookSide:
    """The resting orders of one side of one market."""

    __slots__ = ("count", "keys", "levels", "sign", "total")

    def __init__(self, side: int) -> None:
        self.sign = -1 if side == ASK else 1
        self.keys: list[int] = []
        self.levels: dict[int, PriceLevel] = {}
        self.count = 0
        self.total = 0

    def best(self) -> PriceLevel | None:
        """The level that a taker meets first."""
        return self.levels[self.keys[-1]] if self.keys else None

    def add(self, order: Order) -> None:
        """Queues `order` behind all orders of its price. Its id is higher than theirs."""
        key = self.sign * order.price
        level = self.levels.get(key)
        if level is None:
            level = self.levels[key] = PriceLevel(order.price)
            insort(self.keys, key)
        tail = level.tail
        if tail is None:
            level.head = order
        else:
            tail.next = order
            order.previous = tail
        level.tail = order
        order.level = level
        level.total += order.left
        level.count += 1
        self.total += order.left
        self.count += 1

    def add_all(self, orders: Iterable[Order]) -> None:
        """As `add` of each; the keys are sorted once, so that a wide book costs no more than a narrow one."""
        levels, sign = self.levels, self.sign
        total = count = 0
        for order in orders:
            price, left = order.price, order.left
            level = levels.get(sign * price)
            if level is None:
                level = levels[sign * price] = PriceLevel(price)
            tail = level.tail
            if tail is None:
                level.head = order
            else:
                tail.next = order
                order.previous = tail
            level.tail = order
            order.level = level
            level.total += left
            level.count += 1
            total += left
            count += 1
        self.total += total
        self.count += count
        self.keys = sorted(levels)

    def remove(self, order: Order) -> None:
        """Takes `order` out; a level that becomes empty goes with it. O(1) besides the key list."""
        level = order.level
        assert level is not None
        before, after = order.previous, order.next
        if before is None:
            level.head = after
        else:
            before.next = after
        if after is None:
            level.tail = before
        else:
            after.previous = before
        order.level = order.previous = order.next = None
        level.total -= order.left
        level.count -= 1
        self.total -= order.left
        self.count -= 1
        if level.count == 0:
            self._drop(self.sign * level.price)

    def reduce(self, order: Order, amount: int) -> None:
        """Lowers `left` of a resting order by `amount` (not to zero: then `remove` it)."""
        level = order.level
        assert level is not None
        order.left -= amount
        level.total -= amount
        self.total -= amount

    def _drop(self, key: int) -> None:
        del self.levels[key]
        keys = self.keys
        if keys[-1] == key:
            keys.pop()
        else:
            del keys[bisect_left(keys, key)]

    def best_first(self) -> Iterator[PriceLevel]:
        """The levels in the order in which a taker meets them."""
        levels = self.levels
        for key in reversed(self.keys):
            yield levels[key]

    def orders(self, offset: int = 0, limit: int | None = None) -> Iterator[Order]:
        """The orders by price, then time. `offset` skips whole levels, so a deep one is cheap."""
        return islice(self._orders_from(offset), limit)

    def _orders_from(self, offset: int) -> Iterator[Order]:
        for level in self.best_first():
            if offset >= level.count:
                offset -= level.count
                continue
            order = level.head
            while order is not None:
                if offset:
                    offset -= 1
                else:
                    yield order
                order = order.next

    def depth(self, limit: int) -> list[tuple[int, int]]:
        """The best `limit` levels as (price, sum of left)."""
        levels = self.levels
        return [(levels[key].price, levels[key].total) for key in islice(reversed(self.keys), limit)]

    def merged_depth(self, limit: int, interval: int) -> list[tuple[int, int]]:
        """As `depth`, with prices moved away from the spread to multiples of `interval` (> 0).

        Source: protocol.md 3.7.
        """
        groups: list[tuple[int, int]] = []
        if limit == 0:
            return groups
        price = total = 0
        rounding = interval - 1 if self.sign < 0 else 0
        for level in self.best_first():
            group = (level.price + rounding) // interval * interval
            if total and group == price:
                total += level.total
                continue
            if total:
                groups.append((price, total))
                if len(groups) == limit:
                    return groups
            price, total = group, level.total
        if total:
            groups.append((price, total))
        return groups
