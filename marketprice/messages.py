"""Messages of the topic `deals`: JSON text to `Deal`, and the text of a deal of the history.

Source: protocol.md 5.1 (the array), 6.3 (what is demanded of it).
"""

from __future__ import annotations

from typing import Any

import msgspec

from marketprice.core import number
from marketprice.core.trades import Deal
from marketprice.texts import real, time_us

TOPIC = "deals"
ELEMENTS_MIN = 12
SELL, BUY = 1, 2

_decode = msgspec.json.Decoder(list[Any]).decode


class BadMessage(ValueError):
    """A message that is no deal; the text says why."""


def decode_deal(payload: str | bytes, offset: int) -> Deal:
    """The deal in `payload`, which is message `offset` of its topic. Cost 3 us.

    Raises: BadMessage.
    """
    try:
        elements = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(str(error)) from None
    if len(elements) < ELEMENTS_MIN:
        raise BadMessage(f"{len(elements)} elements instead of {ELEMENTS_MIN} or more")
    time, market, _, _, _, _, price_text, amount_text, _, _, side, deal_id = elements[:ELEMENTS_MIN]
    at_us = time_us(time)
    if at_us is None:
        raise BadMessage(f"{time!r} is no time")
    if type(market) is not str or not market:
        raise BadMessage(f"{market!r} is no market")
    price = number.parse(price_text) if type(price_text) is str else None
    amount = number.parse(amount_text) if type(amount_text) is str else None
    if price is None or amount is None:
        raise BadMessage(f"price {price_text!r}, amount {amount_text!r}")
    if type(side) is not int or side not in (SELL, BUY):
        raise BadMessage(f"{side!r} is no side")
    if type(deal_id) is not int or deal_id == 0:
        raise BadMessage(f"{deal_id!r} is no deal id")
    return Deal(offset, deal_id, market, at_us, real(time), *price, *amount, side == SELL)


def deal_text(time: str, market: str, price: str, amount: str, side: int, deal_id: int) -> str:
    """A message of this deal with what is read of it; `time`: seconds. Orders, users, fees are 0."""
    name = msgspec.json.encode(market).decode()
    return f'[{time}, {name}, 0, 0, 0, 0, "{price}", "{amount}", "0", "0", {side}, {deal_id}]'
