"""Settings of the subscriptions: which kinds of depth there are, when pushes are made, from which source.

Declarations only; the gateway's settings hold one `PushSettings` as their section `push`.

Source: protocol.md 10.4 (`depth_limit`, `depth_merge`, the six intervals).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from vxutils import fixed

IntervalSeconds = Annotated[float, Meta(ge=0.01, le=3_600)]

DEPTH_LIMIT_MAX = 1_000_000
TEXT_CHARACTERS_MAX = 64


class PushSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`timing` "change": a push as soon as something has changed, and what follows within `push_tick_ms`
    together; "interval": market pushes every `<kind>_interval_s`, as the C system does.

    `depth_limit` and `depth_merge` are what `depth.subscribe` takes.
    `<kind>_interval_s`: how often a backend is asked again; `changed_interval_s`: how soon at the earliest
    when something has changed. `subscriptions_max`: of one connection, in total. `topics_max`: different
    markets, depths and candles that are watched for all clients of a worker. `client_queue_size_bytes_max`:
    what waits for a slow client before it is disconnected.
    """

    timing: Literal["change", "interval"] = "change"
    push_tick_ms: Annotated[int, Meta(ge=1, le=1_000)] = 10
    depth_limit: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=DEPTH_LIMIT_MAX)], ...], Meta(min_length=1, max_length=64)
    ] = (1, 5, 10, 20, 30, 50, 100)
    depth_merge: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=TEXT_CHARACTERS_MAX)], ...],
        Meta(min_length=1, max_length=64),
    ] = ("0", "0.00000001", "0.0000001", "0.000001", "0.00001", "0.0001", "0.001", "0.01", "0.1")
    depth_interval_s: IntervalSeconds = 0.5
    price_interval_s: IntervalSeconds = 0.5
    state_interval_s: IntervalSeconds = 0.5
    today_interval_s: IntervalSeconds = 0.5
    kline_interval_s: IntervalSeconds = 0.5
    deals_interval_s: IntervalSeconds = 0.5
    changed_interval_s: IntervalSeconds = 0.1
    subscriptions_max: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    topics_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000
    client_queue_size_bytes_max: Annotated[int, Meta(ge=64 * 1024, le=1 << 30)] = 1 << 20


def push_problems(path: str, settings: PushSettings) -> list[str]:
    """What the types can not say, in words."""
    return [
        f"{path}.depth_merge: {text!r} is no number"
        for text in settings.depth_merge
        if (parsed := fixed.parse_exact(text)) is None or parsed[0] < 0
    ]
