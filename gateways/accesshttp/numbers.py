"""What a worker counts: requests by method and code, answers, faults, latency, what is in flight.

Plain integers on the hot path; turned into samples once a second, for the report to the listener. Which
metric is what stands in `METRICS`, for whoever prints them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from gateways.common.backends import Backends
from gateways.common.handover import Sample
from gateways.common.numbers import (
    BACKEND_METRICS,
    REQUEST_METRICS,
    Metric,
    RequestNumbers,
    add_counts,
    backend_samples,
)
from gateways.common.snapshot_answers import SNAPSHOT_METRICS
from vxutils.http import HttpServer

METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "responses": Metric("counter", "HTTP answers, by status.", ("status",)),
        "malformed": Metric(
            "counter", "What was no HTTP request or beyond a limit, by fitting status.", ("status",)
        ),
        "connections": Metric("gauge", "Open HTTP connections."),
        "connections_refused": Metric("counter", "Connections closed because there were too many."),
        **REQUEST_METRICS,
        **BACKEND_METRICS,
        **SNAPSHOT_METRICS,
    }
)


class Numbers(RequestNumbers):
    """The counters of one worker, which its fronts write."""

    def samples(self, servers: Iterable[HttpServer], backends: Backends) -> list[Sample]:
        """Everything as samples of `METRICS`, without those of shared memory."""
        found = self.request_samples()
        responses: dict[int, int] = {}
        faults: dict[int, int] = {}
        connections = refused = 0
        for server in servers:
            add_counts(responses, server.responses)
            add_counts(faults, server.faults)
            connections += len(server.sessions)
            refused += server.connections_refused
        found += [("responses", (str(status),), count) for status, count in responses.items()]
        found += [("malformed", (str(status),), count) for status, count in faults.items()]
        found += [("connections", (), connections), ("connections_refused", (), refused)]
        return found + backend_samples(backends)
