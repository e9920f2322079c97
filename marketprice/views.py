"""Results of the five commands as JSON text, in one of two wire styles.

Reads the state between two deals and keeps nothing of it, except the text of a deal, which never changes.

Source: protocol.md 6.6.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from marketprice.core.candle import Candle
from marketprice.core.kline import Kline
from marketprice.core.market import Market
from marketprice.core.ticker import Today
from marketprice.core.trades import Deal
from marketprice.texts import Texts


class Views:
    """Renders in one style; no text is longer than `size_max` characters, None is given instead."""

    def __init__(self, style: str, size_max: int) -> None:
        self._texts = Texts(style)
        self._size_max = size_max
        self._comma = self._texts.comma
        self._between_texts = f'"{self._comma}"'

    def last(self, market: Market) -> str:
        """304"""
        return f'"{self._texts.last(market)}"'

    def status(self, market: Market, period: int, whole: Candle | None) -> str:
        """301: `whole` is what was traded, None for nothing."""
        texts = self._texts
        last = texts.decimal(market.last, market.last_scale)
        open_, close, high, low, volume, deal = texts.numbers(whole) if whole else ("0",) * 6
        return texts.object(
            ("period", str(period)),
            *_quoted(
                ("last", last),
                ("open", open_),
                ("close", close),
                ("high", high),
                ("low", low),
                ("volume", volume),
                ("deal", deal),
            ),
        )

    def status_today(self, today: Today) -> str:
        """305"""
        texts = self._texts
        prices, rolling = today.prices, today.rolling
        open_, last, high, low, _, _ = texts.numbers(prices) if prices else ("0",) * 6
        volume, deal = texts.numbers(rolling)[4:] if rolling else ("0", "0")
        return texts.object(
            *_quoted(
                ("open", open_),
                ("last", last),
                ("high", high),
                ("low", low),
                ("volume", volume),
                ("deal", deal),
            )
        )

    def kline(self, market: str, kline: Kline) -> str | None:
        """302"""
        numbers, comma = self._texts.numbers, self._comma
        name = msgspec.json.encode(market).decode()
        room = self._size_max
        repeat = self._repeat(numbers(kline.previous)[1], name) if kline.previous else ""
        parts: list[str] = []
        for start, candle in kline.buckets():
            if candle is not None:
                texts = numbers(candle)
                part = f'[{start}{comma}"{self._between_texts.join(texts)}"{comma}{name}]'
                repeat = self._repeat(texts[1], name)
            elif repeat:
                part = f"[{start}{repeat}"
            else:
                continue
            room -= len(part) + len(comma)
            if room < 0:
                return None
            parts.append(part)
        return f"[{comma.join(parts)}]"

    def _repeat(self, close: str, name: str) -> str:
        """What follows the start of a bucket without deals."""
        comma = self._comma
        texts = self._between_texts.join((close, close, close, close, "0", "0"))
        return f'{comma}"{texts}"{comma}{name}]'

    def deals(self, deals: Iterable[Deal]) -> str | None:
        """303"""
        texts: list[str] = []
        room = self._size_max
        for deal in deals:
            if not deal.shown:
                deal.shown = self._texts.deal(deal)
            room -= len(deal.shown) + len(self._comma)
            if room < 0:
                return None
            texts.append(deal.shown)
        return f"[{self._comma.join(texts)}]"


def _quoted(*members: tuple[str, str]) -> Iterable[tuple[str, str]]:
    return ((name, f'"{text}"') for name, text in members)
