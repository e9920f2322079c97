"""What a replay demands of the engine's answers. Mismatches are collected as sentences.

Compares by value, in the units of the flow: prices and money in whole 1/10,000, sizes in whole shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import zip_longest

import msgspec

from bench.expected_book import ExpectedBook, OpenOrder
from bench.flow import DEPTH_LEVELS, PRICE_UNITS, Checkpoint, Command, Level, Side, original
from bench.replay_client import CREDIT, PUT_USER, TAKE_USER, Answer, ReplayClient, ReplayError
from bench.workload import ASK, BID

BALANCE_QUERY = 101
ORDER_BOOK = 205
ORDER_DEPTH = 206
BOOK_PAGE = 101  # protocol.md 2.7: the largest limit
_WIRE_SIDES: tuple[tuple[Side, int], ...] = (("sell", ASK), ("buy", BID))


class WireOrder(msgspec.Struct):
    """The fields of an order object that a replay looks at."""

    id: int
    side: int
    user: int
    price: Decimal
    left: Decimal
    deal_stock: Decimal
    deal_money: Decimal


class _Reply(msgspec.Struct):
    error: dict[str, int | str] | None
    result: WireOrder | None


_decode_reply = msgspec.json.Decoder(_Reply).decode


class Checks:
    """Follows the flow on `book`, compares, and keeps what differed in `mismatches`."""

    def __init__(self, client: ReplayClient, book: ExpectedBook, market: str, stock: str, money: str) -> None:
        self._client = client
        self._book = book
        self._market = market
        self._stock = stock
        self._money = money
        self._file_ids: dict[int, str] = {}  # of open orders: the engine's id to the file's
        self._shares_taken = 0  # by the user who takes: bought less sold
        self._money_paid = 0
        self.mismatches: list[str] = []
        self.verified_makers = 0

    def is_fresh(self) -> None:
        """Raises: ReplayError if the engine's market has orders already."""
        if self._whole_book("sell", ASK) or self._whole_book("buy", BID):
            raise ReplayError(f"the market {self._market} is not empty: a replay needs a fresh engine")

    def section(self, commands: list[Command], answers: list[Answer], checkpoint: Checkpoint | None) -> None:
        """Checks the answers of some commands, then the whole book (and the checkpoint, if there is one)."""
        for command, answer in zip(commands, answers, strict=True):
            self._answer(command, answer)
        if self.mismatches:
            return  # a book after a wrong answer differs in ways that explain nothing
        place = f"after {checkpoint.commands if checkpoint else 'all'} commands"
        ids: list[str] = []
        for side, wire_side in _WIRE_SIDES:
            ids += self._side(place, side, wire_side)
        if checkpoint:
            self._depth(place, checkpoint)
            self._expect(place, "open orders", len(set(map(original, ids))), checkpoint.orders)

    def balances(self) -> None:
        """Checks the balances of both users, available and frozen together."""
        expected = {
            PUT_USER: (CREDIT - self._shares_taken, CREDIT * PRICE_UNITS + self._money_paid),
            TAKE_USER: (CREDIT + self._shares_taken, CREDIT * PRICE_UNITS - self._money_paid),
        }
        for user, (shares, money) in expected.items():
            result = self._client.call(BALANCE_QUERY, [user, self._stock, self._money])["result"]
            totals = {
                asset: Decimal(entry["available"]) + Decimal(entry["freeze"])
                for asset, entry in result.items()
            }
            self._expect(f"user {user}", self._stock, totals[self._stock], shares)
            self._expect(f"user {user}", self._money, totals[self._money] * PRICE_UNITS, money)

    def _expect(self, place: str, what: str, found: object, expected: object) -> None:
        if found != expected:
            self.mismatches.append(f"{place}: {what} is {found}, must be {expected}")

    def _answer(self, command: Command, answer: Answer) -> None:
        place = f"row {command.row} ({command.operation} {command.id})"
        reply = _decode_reply(answer.body)
        cancelled = self._book.apply(command)
        order = reply.result
        if order is None:
            self.mismatches.append(f"{place}: refused, {reply.error}")
            return
        if command.operation == "put":
            self._file_ids[order.id] = command.id
            self._traded(place, order, left=command.size, stock=0, money=0)
        elif command.operation == "cancel":
            assert cancelled is not None
            self._expect(place, "the cancelled order", self._file_ids.pop(order.id, None), command.id)
            self._order(place, order, cancelled)
        else:
            self._take(place, command, order)
            self._makers(place, command, answer.makers)

    def _take(self, place: str, command: Command, order: WireOrder) -> None:
        money = sum(fill.price * fill.size for fill in command.fills)
        sign = 1 if command.side == "buy" else -1
        self._shares_taken += sign * command.size
        self._money_paid += sign * money
        self._traded(place, order, left=0, stock=command.size, money=money)
        for fill in command.fills:
            if self._book.get(fill.maker) is None:
                self._file_ids.pop(self._client.order_ids[fill.maker], None)

    def _makers(self, place: str, command: Command, bodies: list[bytes]) -> None:
        """Every maker just after its take: what is left of it, or that it is gone."""
        for fill, body in zip(command.fills, bodies, strict=False):
            maker = f"{place}, maker {fill.maker}"
            expected, found = self._book.get(fill.maker), _decode_reply(body).result
            if expected is None or found is None:
                self._expect(maker, "open", found is not None, expected is not None)
            else:
                self._order(maker, found, expected)
            self.verified_makers += 1

    def _order(self, place: str, found: WireOrder, expected: OpenOrder) -> None:
        self._expect(place, "price", found.price * PRICE_UNITS, expected.price)
        self._expect(place, "side", found.side, ASK if expected.side == "sell" else BID)
        self._expect(place, "user", found.user, PUT_USER)
        traded = expected.size - expected.left
        self._traded(place, found, left=expected.left, stock=traded, money=expected.money)

    def _traded(self, place: str, found: WireOrder, left: int, stock: int, money: int) -> None:
        self._expect(place, "left", found.left, left)
        self._expect(place, "deal_stock", found.deal_stock, stock)
        self._expect(place, "deal_money", found.deal_money * PRICE_UNITS, money)

    def _side(self, place: str, side: Side, wire_side: int) -> list[str]:
        """Compares one whole side of the book; the file's ids of what the engine has open there."""
        found = self._whole_book(side, wire_side)
        ids = [self._file_ids.get(order.id, f"unknown engine id {order.id}") for order in found]
        expected = self._book.side(side)
        pairs = zip_longest(ids, (order.id for order in expected))
        for position, (found_id, expected_id) in enumerate(pairs, 1):
            if found_id != expected_id:
                self._expect(place, f"{side} order number {position}", found_id, expected_id)
                return ids
        for order, open_order in zip(found, expected, strict=True):
            self._order(f"{place}, order {open_order.id}", order, open_order)
        return ids

    def _whole_book(self, side: Side, wire_side: int) -> list[WireOrder]:
        orders: list[WireOrder] = []
        total = 1
        while len(orders) < total:
            reply = self._client.call(ORDER_BOOK, [self._market, wire_side, len(orders), BOOK_PAGE])
            if reply["error"]:
                raise ReplayError(f"order.book of {self._market}: {reply['error']}")
            result = reply["result"]
            page = msgspec.convert(result["orders"], list[WireOrder])
            total = result["total"]
            if not page and total:
                raise ReplayError(f"order.book shows {len(orders)} of {total} orders on the {side} side")
            orders += page
        return orders

    def _depth(self, place: str, checkpoint: Checkpoint) -> None:
        result = self._client.call(ORDER_DEPTH, [self._market, DEPTH_LEVELS, "0"])["result"]
        sides: tuple[tuple[str, Sequence[Level]], ...] = (
            ("asks", checkpoint.asks),
            ("bids", checkpoint.bids),
        )
        for name, levels in sides:
            found = [(Decimal(price) * PRICE_UNITS, Decimal(size)) for price, size in result[name]]
            self._expect(place, name, found, [(level.price, level.size) for level in levels])
