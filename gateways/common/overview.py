"""A gateway as a whole, for its monitor: health and metrics out of what the workers reported last.

A report is at most a second old, or its worker is gone. Nothing is asked of anybody here.

Source: protocol.md 8.1 (the C monitor port only accepts).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from gateways.common.dispatcher import Dispatcher
from gateways.common.numbers import Metric
from vxutils.metrics import Buckets, Labelled, Metrics
from vxutils.monitor import Health

Status = Literal["ok", "degraded", "down"]


class Turned:
    """What the listener did with connections."""

    __slots__ = ("accepted", "peers_refused", "without_worker")

    def __init__(self) -> None:
        self.accepted = 0
        self.peers_refused = 0
        self.without_worker = 0


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to show of one gateway: `name` in front of each metric, the metrics its workers report,
    the backends in use, how many workers there should be."""

    name: str
    metrics: Mapping[str, Metric]
    backends: Sequence[str]
    worker_num: int


class Overview:
    """`metrics` and `health` read the seats of the dispatcher when they are asked."""

    def __init__(self, shown: Shown, dispatcher: Dispatcher, turned: Turned) -> None:
        self.metrics = Metrics()
        self._shown = shown
        self._dispatcher = dispatcher
        self._turned = turned
        self._register()

    def health(self) -> Health:
        """`down` without a worker, `degraded` when one is missing or a backend in use is not connected."""
        reports = list(self._dispatcher.reports())
        backends = {
            name: bool(reports) and all(report.backends.get(name, False) for report in reports)
            for name in self._shown.backends
        }
        facts = {
            "workers": len(reports),
            "workers_wanted": self._shown.worker_num,
            "connections": sum(report.connections for report in reports),
            "backends": {name: "connected" if is_up else "not connected" for name, is_up in backends.items()},
        }
        status: Status = "ok"
        if not reports:
            status = "down"
        elif len(reports) < self._shown.worker_num or not all(backends.values()):
            status = "degraded"
        return Health(status, facts)

    def _register(self) -> None:
        metrics, turned, prefix = self.metrics, self._turned, f"{self._shown.name}_"
        metrics.counter(f"{prefix}accepted", "Connections accepted.", (), lambda: turned.accepted)
        metrics.counter(
            f"{prefix}turned_away",
            "Connections answered by the listener: no worker was free, or the peer may not come in.",
            ("reason",),
            lambda: {("no_worker",): turned.without_worker, ("peer",): turned.peers_refused},
        )
        metrics.gauge(f"{prefix}workers", "Workers that are here.", (), lambda: len(self._dispatcher.seats))
        metrics.counter(
            f"{prefix}worker_restarts", "How often a worker came again.", ("worker",), self._restarts
        )
        for name, metric in self._shown.metrics.items():
            register = metrics.counter if metric.kind == "counter" else metrics.gauge
            register(f"{prefix}{name}", metric.help, ("worker", *metric.labels), self._reader(name))
        metrics.histogram(
            f"{prefix}request_seconds",
            "Seconds from a request to the backend's answer.",
            ("worker",),
            self._latencies,
        )

    def _reader(self, name: str) -> Callable[[], Labelled]:
        def read() -> Labelled:
            return {
                (str(report.worker), *labels): value
                for report in self._dispatcher.reports()
                for sample, labels, value in report.samples
                if sample == name
            }

        return read

    def _restarts(self) -> Labelled:
        return {(str(index),): count - 1 for index, count in self._dispatcher.arrivals.items()}

    def _latencies(self) -> dict[tuple[str, ...], Buckets]:
        found: dict[tuple[str, ...], Buckets] = {}
        for report in self._dispatcher.reports():
            buckets = Buckets()
            buckets.counts = report.latency_counts
            buckets.total = report.latency_total_s
            found[(str(report.worker),)] = buckets
        return found
