"""Deals as the market sees them, and the list of the latest ones, newest first.

Source: protocol.md 6.1, 6.3.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

RECENT_MAX: Final = 10_000


class Deal(msgspec.Struct, gc=False):
    """One deal. `offset`: its number in the topic. `time_text`: seconds as the message had them.

    `is_sell`: the taker sold. `shown`: its JSON once somebody asked for it.
    """

    offset: int
    id: int
    market: str
    time_us: int
    time_text: str
    price: int
    price_scale: int
    amount: int
    amount_scale: int
    is_sell: bool
    shown: str = ""


class RecentDeals:
    """The latest RECENT_MAX deals of one market."""

    __slots__ = ("newest_first",)

    def __init__(self) -> None:
        self.newest_first: deque[Deal] = deque(maxlen=RECENT_MAX)

    def add(self, deal: Deal) -> None:
        """Puts a deal at the head; the oldest one falls out."""
        self.newest_first.appendleft(deal)

    def after(self, last_id: int, limit: int) -> list[Deal]:
        """The newest deals, at most `limit`, up to the first one whose id is `last_id` or less."""
        chosen: list[Deal] = []
        for deal in self.newest_first:
            if deal.id <= last_id or len(chosen) >= limit:
                break
            chosen.append(deal)
        return chosen
