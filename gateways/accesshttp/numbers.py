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
from gateways.common.numbers import BACKEND_METRICS, Metric, backend_samples
from gateways.common.snapshot_answers import SNAPSHOT_METRICS
from vxutils.http import HttpServer
from vxutils.metrics import Buckets

NO_METHOD: Final = "none"
"""The label of requests whose method could not be read, or is none of ours."""

METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "requests": Metric(
            "counter", "Requests answered, by method and error code (0: no error).", ("method", "code")
        ),
        "responses": Metric("counter", "HTTP answers, by status.", ("status",)),
        "malformed": Metric(
            "counter", "What was no HTTP request or beyond a limit, by fitting status.", ("status",)
        ),
        "connections": Metric("gauge", "Open HTTP connections."),
        "connections_refused": Metric("counter", "Connections closed because there were too many."),
        **BACKEND_METRICS,
        **SNAPSHOT_METRICS,
    }
)


class Numbers:
    """The counters of one worker, which its fronts write."""

    __slots__ = ("_requests", "latency")

    def __init__(self) -> None:
        self._requests: dict[tuple[str, int], int] = {}
        self.latency = Buckets()
        """Seconds from a request to the backend's answer."""

    def answered(self, method: str, code: int) -> None:
        """A request got its answer. `method` is one of the table or NO_METHOD: labels are bounded."""
        key = (method, code)
        self._requests[key] = self._requests.get(key, 0) + 1

    def count(self, method: str, code: int) -> int:
        """How many answers of that kind there were."""
        return self._requests.get((method, code), 0)

    def samples(self, servers: Iterable[HttpServer], backends: Backends) -> list[Sample]:
        """Everything as samples of `METRICS`, without those of shared memory."""
        found: list[Sample] = [
            ("requests", (method, str(code)), count) for (method, code), count in self._requests.items()
        ]
        responses: dict[int, int] = {}
        faults: dict[int, int] = {}
        connections = refused = 0
        for server in servers:
            _add(responses, server.responses)
            _add(faults, server.faults)
            connections += len(server.sessions)
            refused += server.connections_refused
        found += [("responses", (str(status),), count) for status, count in responses.items()]
        found += [("malformed", (str(status),), count) for status, count in faults.items()]
        found += [("connections", (), connections), ("connections_refused", (), refused)]
        return found + backend_samples(backends)


def _add(to: dict[int, int], counts: Mapping[int, int]) -> None:
    for key, count in counts.items():
        to[key] = to.get(key, 0) + count
