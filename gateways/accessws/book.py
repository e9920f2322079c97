"""One depth of a market, compared as numbers and shown as text: from a ring's snapshot, or from a reply.

    snapshot --numbers--> Book --printed when shown--> text       levels: (price, amount) in integers of
    reply    --text-----> Book --shown as it came----> text       one scale each, best first

Numbers are compared, texts are shown: `10.0` and `10` are one price, and what the engine printed is not
printed again.

Source: protocol.md 2.7 (206), 9.7.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from gateways.accessws.depth_diff import Level, side_difference
from gateways.accessws.push_format import PushFormat
from vxutils import fixed
from vxutils.fixed import power10
from vxutils.protocol.book import BookSnapshot

Levels = Sequence[Level]
_Texts = tuple[str, str]


class _Depth(msgspec.Struct, gc=False):
    asks: list[_Texts]
    bids: list[_Texts]


_decode_depth = msgspec.json.Decoder(_Depth).decode

PRINTED_MAX: Final = 4_096


class Book:
    """The best levels of both sides. Immutable to its users."""

    __slots__ = ("_known", "_printer", "_text", "amount_scale", "asks", "bids", "price_scale")

    def __init__(
        self,
        printer: LevelPrinter,
        asks: Levels,
        bids: Levels,
        price_scale: int,
        amount_scale: int,
        known: dict[int, _Texts] | None = None,
        text: str = "",
    ) -> None:
        self.asks = asks
        self.bids = bids
        self.price_scale = price_scale
        self.amount_scale = amount_scale
        self._printer = printer
        self._known = known
        self._text = text

    @property
    def text(self) -> str:
        """The depth as JSON, as `order.depth` shows it."""
        if not self._text:
            self._text = self._printer.sides(self._side(self.asks), self._side(self.bids))
        return self._text

    def differences(self, new: Book, limit: int) -> str:
        """What a client that shows this one has to change to show `new`, as JSON; empty: nothing.

        A side without differences is left out.
        """
        if self.price_scale != new.price_scale or self.amount_scale != new.amount_scale:
            price_scale = max(self.price_scale, new.price_scale)
            amount_scale = max(self.amount_scale, new.amount_scale)
            return self.at(price_scale, amount_scale).differences(new.at(price_scale, amount_scale), limit)
        members = []
        for name, old_side, new_side in (("asks", self.asks, new.asks), ("bids", self.bids, new.bids)):
            if old_side == new_side:
                continue
            changes = side_difference(old_side, new_side, limit, is_ask=name == "asks")
            if changes:
                texts = [
                    new._level(price, amount) if amount else self._removed(price) for price, amount in changes
                ]
                members.append((name, self._printer.format.array(texts)))
        return self._printer.format.object(*members) if members else ""

    def at(self, price_scale: int, amount_scale: int) -> Book:
        """The same with other decimals, at least as many."""
        price_factor = power10(price_scale - self.price_scale)
        amount_factor = power10(amount_scale - self.amount_scale)
        asks, bids = (
            [(price * price_factor, amount * amount_factor) for price, amount in side]
            for side in (self.asks, self.bids)
        )
        known = self._known and {price * price_factor: texts for price, texts in self._known.items()}
        return Book(self._printer, asks, bids, price_scale, amount_scale, known, self._text)

    def _side(self, levels: Levels) -> Iterable[str]:
        return (self._level(price, amount) for price, amount in levels)

    def _level(self, price: int, amount: int) -> str:
        if self._known is not None:
            return self._printer.quoted(*self._known[price])
        return self._printer.level(price, self.price_scale, amount, self.amount_scale)

    def _removed(self, price: int) -> str:
        if self._known is not None:
            return self._printer.quoted(self._known[price][0], "0")
        return self._printer.quoted(self._printer.format.decimal(price, self.price_scale), "0")


class LevelPrinter:
    """Makes books, and prints levels; those that were printed lately are kept, for many depths share them."""

    def __init__(self, push_format: PushFormat) -> None:
        self.format = push_format
        self._printed: dict[tuple[int, int, int, int], str] = {}

    def of_snapshot(self, snapshot: BookSnapshot, limit: int) -> Book:
        """The best `limit` levels of what the engine published."""
        return Book(
            self, snapshot.asks[:limit], snapshot.bids[:limit], snapshot.price_scale, snapshot.amount_scale
        )

    def of_text(self, result: bytes) -> Book | None:
        """What a reply to `order.depth` shows; None if it can not be read."""
        try:
            depth = _decode_depth(result)
        except msgspec.MsgspecError:
            return None
        shown = depth.asks + depth.bids
        prices = [fixed.parse_exact(price) for price, _ in shown]
        amounts = [fixed.parse_exact(amount) for _, amount in shown]
        price_scale = max((number[1] for number in prices if number), default=0)
        amount_scale = max((number[1] for number in amounts if number), default=0)
        levels: list[Level] = []
        for price, amount in zip(prices, amounts, strict=True):
            if price is None or amount is None:
                return None
            levels.append((_at(price, price_scale), _at(amount, amount_scale)))
        known = {level[0]: texts for level, texts in zip(levels, shown, strict=True)}
        asks, bids = levels[: len(depth.asks)], levels[len(depth.asks) :]
        return Book(self, asks, bids, price_scale, amount_scale, known, result.decode())

    def sides(self, asks: Iterable[str], bids: Iterable[str]) -> str:
        """Both sides as a JSON object."""
        form = self.format
        return form.object(("asks", form.array(asks)), ("bids", form.array(bids)))

    def level(self, price: int, price_scale: int, amount: int, amount_scale: int) -> str:
        """One level as the engine prints it."""
        key = (price, price_scale, amount, amount_scale)
        text = self._printed.get(key)
        if text is None:
            decimal = self.format.decimal
            text = self.quoted(decimal(price, price_scale), decimal(amount, amount_scale))
            if len(self._printed) >= PRINTED_MAX:
                self._printed.clear()
            self._printed[key] = text
        return text

    def quoted(self, price: str, amount: str) -> str:
        """A level of texts."""
        return f'["{price}"{self.format.comma}"{amount}"]'


def _at(number: tuple[int, int], scale: int) -> int:
    return number[0] * power10(scale - number[1])
