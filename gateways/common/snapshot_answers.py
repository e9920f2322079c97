"""Which queries are answered from shared memory, and what is counted of it. Shared by all gateways.

    command, params --not one of four, or not as the service takes them--> None: by RPC
                    --found------------------------------------------> Shown
                    --not there--> None: by RPC, or error 2 when shared memory is the only source

Parameters that a service would refuse are left to it, so errors read the same whatever the source is; so is
what a ring does not hold (deeper, merged, another period).

Source: protocol.md 3.7 (206), 6.6 (301, 304, 305).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from gateways.common.errors import NO_SNAPSHOT, GatewayError
from gateways.common.handover import Sample
from gateways.common.market_snapshots import BeyondRing, MarketSnapshots, Shown, SnapshotSource
from gateways.common.numbers import Metric
from vxutils.protocol.commands import BY_ID, MARKET_LAST, MARKET_STATUS, MARKET_STATUS_TODAY, ORDER_DEPTH
from vxutils.protocol.ticker import STATUS_PERIOD_S

DEPTH_LIMIT_MAX: Final = 101
"""The engine refuses more."""

SNAPSHOT_METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "snapshot_answers": Metric(
            "counter", "Market data queries, by method and by what answered them.", ("method", "source")
        ),
        "snapshot_source": Metric(
            "gauge", "1 for what answered the latest query of a method.", ("method", "source")
        ),
        "snapshot_rings": Metric("gauge", "Rings in shared memory in use."),
        "snapshot_torn": Metric("counter", "Reads of rings that were repeated: the writer was at work."),
        "snapshot_reattached": Metric("counter", "Rings that were found anew."),
    }
)

_Question = Callable[[MarketSnapshots, list[Any]], Shown | None]


class SnapshotAnswers:
    """Answers of one worker."""

    def __init__(self, snapshots: MarketSnapshots, source: SnapshotSource) -> None:
        self._snapshots = None if source == "rpc" else snapshots
        self._may_ask = source != "shm"
        self._counts: dict[tuple[str, str], int] = {}
        self._latest: dict[str, str] = {}

    def look(self, command: int, params: list[Any]) -> Shown | GatewayError | None:
        """The answer to a query, None when the service is to be asked. `params` are not changed."""
        question = _QUESTIONS.get(command)
        if question is None:
            return None
        if self._snapshots is None:
            return self._counted(command, None)
        try:
            found = question(self._snapshots, params)
        except BeyondRing:
            return self._counted(command, None)
        if found is None and not self._may_ask:
            return self._counted(command, NO_SNAPSHOT)
        return self._counted(command, found)

    def samples(self) -> list[Sample]:
        """The samples of `SNAPSHOT_METRICS`."""
        found: list[Sample] = [("snapshot_answers", label, count) for label, count in self._counts.items()]
        found += [("snapshot_source", label, 1) for label in self._latest.items()]
        if self._snapshots is not None:
            rings = self._snapshots.rings
            found += [
                ("snapshot_rings", (), rings.attached),
                ("snapshot_torn", (), rings.torn),
                ("snapshot_reattached", (), rings.reattached),
            ]
        return found

    def _counted(self, command: int, found: Shown | GatewayError | None) -> Shown | GatewayError | None:
        source = "rpc" if found is None else "shm" if type(found) is Shown else "none"
        method = BY_ID[command].name
        label = (method, source)
        self._counts[label] = self._counts.get(label, 0) + 1
        self._latest[method] = source
        return found


def _depth(snapshots: MarketSnapshots, params: list[Any]) -> Shown | None:
    """206 `[market, limit, interval]`"""
    if len(params) != 3:
        raise BeyondRing
    market, limit, interval = params
    if type(market) is not str or type(limit) is not int or interval != "0":
        raise BeyondRing
    if not 0 <= limit <= DEPTH_LIMIT_MAX:
        raise BeyondRing
    return snapshots.depth(market, limit)


def _status(snapshots: MarketSnapshots, params: list[Any]) -> Shown | None:
    """301 `[market, period]`"""
    if len(params) != 2:
        raise BeyondRing
    market, period = params
    if type(market) is not str or type(period) is not int or period != STATUS_PERIOD_S:
        raise BeyondRing
    found = snapshots.status(market)
    if found is not None and not found.text:
        raise BeyondRing  # marketprice keeps too little for it, and says so
    return found


def _last(snapshots: MarketSnapshots, params: list[Any]) -> Shown | None:
    """304 `[market]`"""
    return snapshots.last(_only_market(params))


def _today(snapshots: MarketSnapshots, params: list[Any]) -> Shown | None:
    """305 `[market]`"""
    return snapshots.today(_only_market(params))


def _only_market(params: list[Any]) -> str:
    if len(params) != 1 or type(params[0]) is not str:
        raise BeyondRing
    return params[0]


_QUESTIONS: Final[Mapping[int, _Question]] = MappingProxyType(
    {
        ORDER_DEPTH: _depth,
        MARKET_STATUS: _status,
        MARKET_LAST: _last,
        MARKET_STATUS_TODAY: _today,
    }
)
