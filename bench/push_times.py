"""When clients were shown which trade, and how long that took after the trade.

    payload of a push --> (kind, market, number of the trade) --> per kind, market, client: [(number, time)]
    sent, replied of each trade ----------------------------------> latency of each trade at each client

A push shows all trades up to its number: those which had a push of their own, and those that were gathered
into it. Each of them counts, from when its request was sent, or its reply received.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from bench.takes import PRICE, STEP, STOCK, number_of

KINDS: Final = ("depth", "deals", "order", "asset")
_REPLY: Final = "reply"
_EVERYWHERE: Final = ""
"""In place of a market: the number counts the trades of all."""


class _Push(msgspec.Struct):
    method: str = ""
    params: msgspec.Raw = msgspec.Raw(b"")
    error: Any = None
    gap: bool = False


class _Deal(msgspec.Struct):
    id: int


class _Order(msgspec.Struct):
    left: str


class _Depth(msgspec.Struct):
    asks: list[tuple[str, str]] = []


_decode = msgspec.json.Decoder(_Push).decode
_decode_depth = msgspec.json.Decoder(tuple[bool, _Depth, str]).decode
_decode_deals = msgspec.json.Decoder(tuple[str, list[_Deal]]).decode
_decode_order = msgspec.json.Decoder(tuple[int, _Order]).decode
_decode_asset = msgspec.json.Decoder(tuple[dict[str, dict[str, str]]]).decode

Seen = list[tuple[int, float]]
Shown = tuple[str, str, int]


class PushTimes:
    """`note` is the `on_frame` of light clients.

    `gaps`: pushes of deals with the mark, not for each client. `replies`, and `refused` of them: all.
    """

    def __init__(self, market_of_order: str) -> None:
        self.gaps = self.refused = self.replies = 0
        self._market_of_order = market_of_order
        self._seen: dict[tuple[str, str], dict[int, Seen]] = {}
        self._known: dict[bytes, Shown | None] = {}

    def note(self, client: int, now: float, payload: bytes) -> None:
        if payload in self._known:
            shown = self._known[payload]
        else:
            shown = self._read(payload)
            if len(self._known) > 1_000:
                self._known.clear()
            self._known[payload] = shown
        if shown is not None:
            kind, market, number = shown
            if kind == _REPLY:
                self.replies += 1
                self.refused += number
                return
            self._seen.setdefault((kind, market), {}).setdefault(client, []).append((number, now))

    def _read(self, payload: bytes) -> Shown | None:
        push = _decode(payload)
        if push.method == "depth.update":
            _, depth, market = _decode_depth(push.params)
            for price, amount in depth.asks:
                if float(price) == PRICE:
                    return "depth", market, number_of(float(amount))
        elif push.method == "deals.update":
            market, deals = _decode_deals(push.params)
            self.gaps += push.gap
            if deals:
                return "deals", market, deals[0].id
        elif push.method == "order.update":
            _, order = _decode_order(push.params)
            return "order", self._market_of_order, number_of(float(order.left))
        elif push.method == "asset.update":
            (assets,) = _decode_asset(push.params)
            if STOCK in assets:
                return "asset", _EVERYWHERE, round(float(assets[STOCK]["available"]) / STEP)
        elif not push.method:
            return _REPLY, _EVERYWHERE, int(push.error is not None)
        return None

    def latencies(
        self, kind: str, names: Sequence[str], times: Sequence[float], begin: float, end: float
    ) -> list[float]:
        """Seconds from `times[n]` to the push that shows trade n, at each client, sorted.

        Trades are numbered from 0 and were made in `names` turn about; those between `begin` and `end` count.
        The ids of deals count the trades of all markets, the rest of an order those of its own.
        """
        found: list[float] = []
        for (seen_kind, market), clients in self._seen.items():
            if seen_kind != kind:
                continue
            first, step = (0, 1) if market == _EVERYWHERE else (names.index(market), len(names))
            for seen in clients.values():
                if kind == "deals":
                    seen = [((number - 1) // step + 1, at) for number, at in seen]
                found += _of_one(seen, times[first::step], begin, end)
        found.sort()
        return found


def _of_one(seen: Seen, times: Sequence[float], begin: float, end: float) -> Iterator[float]:
    """Of one client; trade n of its market, from 1, was made at times[n - 1]."""
    shown = 0
    for number, at in seen:
        for index in range(shown, min(number, len(times))):
            if begin <= times[index] < end:
                yield at - times[index]
        shown = max(shown, number)


def milliseconds(latencies: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the largest of sorted seconds; empty if there are none."""
    if not latencies:
        return {}
    count = len(latencies)
    return {
        "p50": round(latencies[count // 2] * 1_000, 2),
        "p99": round(latencies[count * 99 // 100] * 1_000, 2),
        "max": round(latencies[-1] * 1_000, 2),
    }
