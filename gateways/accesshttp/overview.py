"""The gateway as a whole, for its monitor: health and metrics out of what the workers reported last.

A report is at most a second old, or its worker is gone. Nothing is asked of anybody here.

Source: protocol.md 8.1 (the C monitor port only accepts).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from gateways.accesshttp.numbers import METRICS
from gateways.accesshttp.settings import AccesshttpSettings
from gateways.common.dispatcher import Dispatcher
from vxutils.metrics import Buckets, Labelled, Metrics
from vxutils.monitor import Health

PREFIX = "accesshttp_"

Status = Literal["ok", "degraded", "down"]


class Turned:
    """What the listener did with connections."""

    __slots__ = ("accepted", "peers_refused", "without_worker")

    def __init__(self) -> None:
        self.accepted = 0
        self.peers_refused = 0
        self.without_worker = 0


class Overview:
    """`metrics` and `health` read the seats of the dispatcher when they are asked."""

    def __init__(self, settings: AccesshttpSettings, dispatcher: Dispatcher, turned: Turned) -> None:
        self.metrics = Metrics()
        self._settings = settings
        self._dispatcher = dispatcher
        self._turned = turned
        self._register()

    def health(self) -> Health:
        """`down` without a worker, `degraded` when one is missing or a backend in use is not connected."""
        reports = list(self._dispatcher.reports())
        used = [service.value for service, one in self._settings.backends.items() if one.address]
        backends = {
            name: bool(reports) and all(report.backends.get(name, False) for report in reports)
            for name in used
        }
        facts = {
            "workers": len(reports),
            "workers_wanted": self._settings.worker_num,
            "connections": sum(report.connections for report in reports),
            "backends": {name: "connected" if is_up else "not connected" for name, is_up in backends.items()},
        }
        status: Status = "ok"
        if not reports:
            status = "down"
        elif len(reports) < self._settings.worker_num or not all(backends.values()):
            status = "degraded"
        return Health(status, facts)

    def _register(self) -> None:
        metrics, turned = self.metrics, self._turned
        metrics.counter(f"{PREFIX}accepted", "Connections accepted.", (), lambda: turned.accepted)
        metrics.counter(
            f"{PREFIX}turned_away",
            "Connections answered by the listener: no worker was free, or the peer may not come in.",
            ("reason",),
            lambda: {("no_worker",): turned.without_worker, ("peer",): turned.peers_refused},
        )
        metrics.gauge(f"{PREFIX}workers", "Workers that are here.", (), lambda: len(self._dispatcher.seats))
        metrics.counter(
            f"{PREFIX}worker_restarts", "How often a worker came again.", ("worker",), self._restarts
        )
        for name, metric in METRICS.items():
            register = metrics.counter if metric.kind == "counter" else metrics.gauge
            register(f"{PREFIX}{name}", metric.help, ("worker", *metric.labels), self._reader(name))
        metrics.histogram(
            f"{PREFIX}request_seconds",
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
