"""What is in our state and nowhere in a slice of the C system, so that it does not know it after a hand-over.

It remembers updates in memory only, and fills that from the operations which it executes when it starts.
Pure. Source: protocol.md 4.2, 4.4.
"""

from __future__ import annotations

from typing import Final

import msgspec

from matchengine.core.engine import Engine

C_REPEAT_AGE_S: Final = 86_400
"""For how long the C system remembers an update. Source: protocol.md 2.7, command 102."""


class Forgotten(msgspec.Struct, frozen=True):
    """What the C system will not know: balance updates of its last day that it would do a second time, all
    that we remember, idempotency keys, and open orders whose source is lost."""

    updates_of_a_day: int
    updates: int
    keys: int
    sources: int


def forgotten(engine: Engine, now_us: int) -> Forgotten:
    """What is in the state and nowhere in a slice of the C system. O(state)."""
    since_us = now_us - engine.age_offset_us - C_REPEAT_AGE_S * 1_000_000
    return Forgotten(
        updates_of_a_day=sum(1 for time_us in engine.repeats.values() if time_us >= since_us),
        updates=len(engine.repeats),
        keys=len(engine.keys),
        sources=sum(
            1 for market in engine.markets.values() for order in market.orders.values() if order.source
        ),
    )
