"""The open orders that a flow says must be there, by plain arithmetic on its own fills.

It matches nothing: puts add, cancels remove, the fills named in a take reduce their makers. So it also
proves that a flow is consistent with itself, and at any point it knows every open order, its place in
price-time priority and what it has traded. Its owner is the replay (or the maker of a flow).
"""

from __future__ import annotations

from operator import attrgetter

import msgspec

from bench.flow import Command, FlowError, Level, Side, original


class OpenOrder(msgspec.Struct):
    """One resting order. `money` is the sum of price x size of its fills, in 1/10,000."""

    id: str
    side: Side
    price: int
    size: int
    left: int
    money: int = 0


class ExpectedBook:
    """All orders which must be open now, in order of arrival."""

    def __init__(self) -> None:
        self._open: dict[str, OpenOrder] = {}

    def originals(self) -> int:
        """How many orders are open, all parts of one order counted once."""
        return len(set(map(original, self._open)))

    def get(self, id: str) -> OpenOrder | None:
        """The open order of that id, or None when it is filled, cancelled or was never put."""
        return self._open.get(id)

    def apply(self, command: Command) -> OpenOrder | None:
        """Takes one command into account; for a cancel, the order as it was.

        Raises: FlowError if the flow contradicts itself: cancels or fills what is not there.
        """
        if command.operation == "put":
            if command.id in self._open:
                raise FlowError(f"row {command.row}: order {command.id} is put while it is open")
            self._open[command.id] = OpenOrder(
                command.id, command.side, command.price, command.size, command.size
            )
            return None
        if command.operation == "cancel":
            order = self._open.pop(command.id, None)
            if order is None or order.left != command.size:
                raise FlowError(f"row {command.row}: order {command.id} is not open with {command.size}")
            return order
        for fill in command.fills:
            self._fill(command, self._open.get(fill.maker), fill.price, fill.size)
        return None

    def _fill(self, command: Command, maker: OpenOrder | None, price: int, size: int) -> None:
        if maker is None or maker.price != price or maker.left < size or maker.side == command.side:
            raise FlowError(f"row {command.row}: a fill of {size} has no such maker")
        maker.left -= size
        maker.money += price * size
        if not maker.left:
            del self._open[maker.id]

    def side(self, side: Side) -> list[OpenOrder]:
        """All open orders of one side in price-time priority. Cost: a sort of all open orders."""
        orders = [order for order in self._open.values() if order.side == side]
        return sorted(orders, key=attrgetter("price"), reverse=side == "buy")  # stable: arrival decides

    def levels(self, side: Side, limit: int) -> tuple[Level, ...]:
        """The best `limit` price levels of one side, best first."""
        sizes: dict[int, int] = {}
        for order in self.side(side):
            sizes[order.price] = sizes.get(order.price, 0) + order.left
        return tuple(Level(price, size) for price, size in list(sizes.items())[:limit])
