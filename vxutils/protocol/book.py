"""A book as it is passed through shared memory, and the text of a depth reply.

    msgpack array: market, sequence, time us, price scale, amount scale, asks, bids, levels
    a side:        [[price, amount], ...] best first; as text "price amount price amount ..." when one of its
                   numbers does not fit 64 bits, which is several times faster than extension types

Prices and amounts are unbounded integers counting 10^-scale. Engine and gateways print them by the same
function, so a depth that a gateway answers from a snapshot is the engine's, byte for byte. Nothing here
knows rings, orders or requests.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgpack
import msgspec

from vxutils import fixed, packing

Level = tuple[int, int]  # price, amount

_ASKS, _BIDS = 5, 6
_MEMBERS = 8


class BookError(ValueError):
    """The bytes are not a book."""


class BookSnapshot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The best `levels` price levels of each side, best first, as they were after `sequence`.

    `time_us` is the journal time of that record. A side with fewer levels is complete.
    """

    market: str
    sequence: int
    time_us: int
    price_scale: int
    amount_scale: int
    asks: list[Level]
    bids: list[Level]
    levels: int

    def covers(self, limit: int) -> bool:
        """Whether the best `limit` levels of both sides are surely here."""
        return limit <= self.levels or max(len(self.asks), len(self.bids)) < self.levels


def encode_book(
    market: str,
    sequence: int,
    time_us: int,
    price_scale: int,
    amount_scale: int,
    asks: list[Level],
    bids: list[Level],
    levels: int,
) -> bytes:
    """The bytes of a snapshot; `asks` and `bids` are cut to `levels` already. 13 us for 200 levels."""
    head = (market, sequence, time_us, price_scale, amount_scale)
    data: bytes
    try:
        data = msgpack.packb((*head, asks, bids, levels))
    except OverflowError:
        data = msgpack.packb((*head, _side_text(asks), _side_text(bids), levels))
    return data


def _side_text(side: list[Level]) -> str:
    return " ".join([f"{price} {amount}" for price, amount in side])


def decode_book(data: bytes) -> BookSnapshot:
    """The snapshot in `data`. Raises: BookError."""
    try:
        members = packing.unpack(data)
        if isinstance(members, list) and len(members) == _MEMBERS:
            for index in (_ASKS, _BIDS):
                if isinstance(members[index], str):
                    numbers = [int(word) for word in members[index].split()]
                    members[index] = list(zip(numbers[::2], numbers[1::2], strict=True))
        return msgspec.convert(members, BookSnapshot)
    except (msgspec.ValidationError, ValueError) as error:
        raise BookError(f"{len(data)} bytes are not a book: {error}") from error


def depth_text(snapshot: BookSnapshot, limit: int, style: str) -> str:
    """The result of `order.depth` with interval 0, as the engine writes it in `plain` or `viabtc` style.

    `limit` >= 0 must be covered by the snapshot. Source: protocol.md 3.7, 206.
    """
    assert snapshot.covers(limit), (limit, snapshot.levels)
    return sides_text(
        snapshot.asks[:limit], snapshot.bids[:limit], snapshot.price_scale, snapshot.amount_scale, style
    )


def sides_text(
    asks: Iterable[Level], bids: Iterable[Level], price_scale: int, amount_scale: int, style: str
) -> str:
    """A depth as JSON text: prices with their amounts, printed in `plain` or `viabtc` style."""
    if style == "viabtc":
        decimal, comma, colon = fixed.stripped, ", ", ": "
    else:
        decimal, comma, colon = fixed.plain, ",", ":"
    sides = [
        comma.join(
            [
                f'["{decimal(price, price_scale)}"{comma}"{decimal(total, amount_scale)}"]'
                for price, total in side
            ]
        )
        for side in (asks, bids)
    ]
    return f'{{"asks"{colon}[{sides[0]}]{comma}"bids"{colon}[{sides[1]}]}}'
