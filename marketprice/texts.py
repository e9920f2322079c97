"""JSON text of prices, candles and deals, in one of two wire styles; and what the store holds read back.

The store always has the `viabtc` form, which is also what the C system keeps in Redis. Decimals are
stripped, except the last price in that form. Knows no command and no table.

Source: protocol.md 0.3, 2.5, 6.3, 6.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from marketprice.core import number
from marketprice.core.calendar import TIME_MAX_S
from marketprice.core.candle import Candle
from marketprice.core.market import Market
from marketprice.core.trades import Deal
from vxutils import fixed

CANDLE_ELEMENTS_MIN = 5  # without the money sum, as an early C system wrote them

_decode_list = msgspec.json.Decoder(list[Any]).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


class Texts:
    """Prints in one style, `viabtc` or `plain`."""

    def __init__(self, style: str) -> None:
        assert style in ("viabtc", "plain")
        is_viabtc = style == "viabtc"
        self.decimal: Callable[[int, int], str] = fixed.stripped if is_viabtc else fixed.plain
        self._last: Callable[[int, int], str] = fixed.raw if is_viabtc else fixed.plain
        self._is_viabtc = is_viabtc
        self.comma, self.colon = (", ", ": ") if is_viabtc else (",", ":")
        self._deal = self.object(
            ("id", "%d"), ("time", "%s"), ("price", '"%s"'), ("amount", '"%s"'), ("type", '"%s"')
        )

    def object(self, *members: tuple[str, str]) -> str:
        """A JSON object of member names and JSON texts."""
        return "{" + self.comma.join(f'"{name}"{self.colon}{value}' for name, value in members) + "}"

    def last(self, market: Market) -> str:
        """The last price: with all its decimals in the `viabtc` style."""
        return self._last(market.last, market.last_scale)

    def numbers(self, candle: Candle) -> tuple[str, str, str, str, str, str]:
        """open, close, high, low, volume, deal: in the order of the wire.

        Open and low of 0 are in first candles of the C system; it gives them no decimals.
        """
        decimal, scale = self.decimal, candle.price_scale
        return (
            decimal(candle.open, scale) if candle.open else "0",
            decimal(candle.close, scale),
            decimal(candle.high, scale),
            decimal(candle.low, scale) if candle.low else "0",
            decimal(candle.volume, candle.amount_scale),
            decimal(candle.deal, candle.deal_scale),
        )

    def candle(self, candle: Candle) -> str:
        """The six numbers as a JSON array of texts."""
        return "[" + self.comma.join(f'"{text}"' for text in self.numbers(candle)) + "]"

    def deal(self, deal: Deal) -> str:
        """A deal as everybody may see it."""
        if self._is_viabtc:
            time_text = deal.time_text
        else:
            seconds, microseconds = divmod(deal.time_us, 1_000_000)
            time_text = f"{seconds}.{microseconds:06d}"
        return self._deal % (
            deal.id,
            time_text,
            self.decimal(deal.price, deal.price_scale),
            self.decimal(deal.amount, deal.amount_scale),
            "sell" if deal.is_sell else "buy",
        )


def real(value: float) -> str:
    """A real number as the C system writes it. Source: protocol.md 0.3."""
    text = f"{value:.17g}"
    return text if "." in text or "e" in text else text + ".0"


def time_us(value: object) -> int | None:
    """Seconds of a message as microseconds; None for what is no time of this calendar."""
    if type(value) is not float or not 0 < value < TIME_MAX_S:
        return None
    return round(value * 1_000_000)


def parse_candle(text: str) -> Candle | None:
    """A stored candle, None if it can not be read."""
    try:
        elements = _decode_list(text)
    except msgspec.DecodeError:
        return None
    numbers = [number.parse(element) for element in elements if type(element) is str]
    if len(numbers) != len(elements) or len(numbers) < CANDLE_ELEMENTS_MIN or None in numbers:
        return None
    found = [value for value in numbers if value is not None]
    scale = max(scale for _, scale in found[:4])
    open_, close, high, low = (fixed.rescale(value, its_scale, scale) for value, its_scale in found[:4])
    volume, amount_scale = found[4]
    deal, deal_scale = found[5] if len(found) > CANDLE_ELEMENTS_MIN else (0, 0)
    return Candle(open_, close, high, low, scale, volume, amount_scale, deal, deal_scale)


def parse_deal(text: str, offset: int, market: str) -> Deal | None:
    """A stored deal, None if it can not be read."""
    try:
        members = _decode_object(text)
    except msgspec.DecodeError:
        return None
    at, identity, kind = time_us(members.get("time")), members.get("id"), members.get("type")
    price, amount = _number(members.get("price")), _number(members.get("amount"))
    if at is None or type(identity) is not int or price is None or amount is None:
        return None
    if kind not in ("sell", "buy"):
        return None
    return Deal(offset, identity, market, at, real(members["time"]), *price, *amount, kind == "sell")


def _number(text: object) -> tuple[int, int] | None:
    return number.parse(text) if type(text) is str else None
