"""The latest numbers of a market as they are passed through shared memory: results of marketprice as text.

    msgpack array: market, offset, style, good until, last, status, today

The texts are results of `market.last`, `market.status` of 24 hours and `market.status_today`, as marketprice
writes them into its replies, so a gateway that puts them into a reply of its own prints the same bytes.
Windows of 24 hours slide without any deal: `good_until_s` is the last second in which a reply would say the
same if nothing more were traded. Nothing here knows rings or requests.

Source: protocol.md 6.6 (301, 304, 305).
"""

from __future__ import annotations

from typing import Final

import msgspec

STATUS_PERIOD_S: Final = 86_400
"""The period of `status`; other ones are not passed on."""


class TickerError(ValueError):
    """The bytes are no ticker."""


class TickerSnapshot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What marketprice says of a market after message `offset` of the topic deals, -1 before the first.

    `style` is the wire style of the texts; `status` is empty when marketprice keeps too little for it.
    `good_until_s`: whole seconds since 1970.
    """

    market: str
    offset: int
    style: str
    good_until_s: int
    last: str
    status: str
    today: str


_decode = msgspec.msgpack.Decoder(TickerSnapshot).decode
_encode = msgspec.msgpack.Encoder().encode


def encode_ticker(ticker: TickerSnapshot) -> bytes:
    """The bytes of a ticker: some 400."""
    return _encode(ticker)


def decode_ticker(data: bytes) -> TickerSnapshot:
    """The ticker in `data`. Raises: TickerError."""
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TickerError(f"{len(data)} bytes are no ticker: {error}") from error
