"""What a worker counts: requests by method and code, handshakes, messages, closes, and what is pushed.

Plain integers on the hot path; turned into samples once a second, for the report to the listener. Which
metric is what stands in `METRICS`, for whoever prints them; those of the pushes are in `counters`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from gateways.accessws.cache import QueryCache
from gateways.accessws.counters import PUSH_METRICS
from gateways.accessws.peers import Peers
from gateways.common.backends import Backends
from gateways.common.handover import Sample
from gateways.common.numbers import BACKEND_METRICS, Metric, backend_samples
from gateways.common.snapshot_answers import SNAPSHOT_METRICS
from vxutils.metrics import Buckets
from vxutils.ws import WsServer

NO_METHOD: Final = "none"
"""The label of requests whose method could not be read, or is none of ours."""

METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "requests": Metric(
            "counter", "Requests answered, by method and error code (0: no error).", ("method", "code")
        ),
        "connections": Metric("gauge", "Open websocket connections, those before their handshake included."),
        "connections_authenticated": Metric("gauge", "Open connections that speak for a user."),
        "connections_refused": Metric(
            "counter",
            "Connections closed because there were too many, in all or of one address.",
            ("reason",),
        ),
        "handshakes_refused": Metric(
            "counter", "Handshakes that failed, by fitting HTTP status.", ("status",)
        ),
        "closes": Metric("counter", "Connections that ended, by close code (1006: lost).", ("code",)),
        "messages_received": Metric("counter", "Messages of clients."),
        "messages_sent": Metric("counter", "Replies and pushes, one for each client that got it."),
        "query_cache_hits": Metric("counter", "Queries answered by a result that was just fetched."),
        "query_cache_misses": Metric("counter", "Market data queries that went to a backend."),
        **BACKEND_METRICS,
        **PUSH_METRICS,
        **SNAPSHOT_METRICS,
    }
)


class Numbers:
    """The counters of one worker, which its front writes."""

    __slots__ = ("_requests", "latency")

    def __init__(self) -> None:
        self._requests: dict[tuple[str, int], int] = {}
        self.latency = Buckets()
        """Seconds from a query to the backend's answer."""

    def answered(self, method: str, code: int) -> None:
        """A request got its answer. `method` is one of the table or NO_METHOD: labels are bounded."""
        key = (method, code)
        self._requests[key] = self._requests.get(key, 0) + 1

    def count(self, method: str, code: int) -> int:
        """How many answers of that kind there were."""
        return self._requests.get((method, code), 0)

    def samples(
        self,
        servers: Iterable[WsServer],
        backends: Backends,
        cache: QueryCache,
        peers: Peers,
        authenticated: int,
    ) -> list[Sample]:
        """Everything as samples of `METRICS`, without those of the pushes and of shared memory."""
        refused: dict[int, int] = {}
        closes: dict[int, int] = {}
        connections = too_many = received = sent = 0
        for server in servers:
            _add(refused, server.refusals)
            _add(closes, server.closes)
            connections += len(server.sessions)
            too_many += server.connections_refused
            received += server.messages_received
            sent += server.messages_sent
        found: list[Sample] = [
            ("requests", (method, str(code)), count) for (method, code), count in self._requests.items()
        ]
        found += [("handshakes_refused", (str(status),), count) for status, count in refused.items()]
        found += [("closes", (str(code),), count) for code, count in closes.items()]
        found += [
            ("connections", (), connections),
            ("connections_authenticated", (), authenticated),
            ("connections_refused", ("total",), too_many),
            ("connections_refused", ("address",), peers.refused),
            ("messages_received", (), received),
            ("messages_sent", (), sent),
            ("query_cache_hits", (), cache.hits),
            ("query_cache_misses", (), cache.misses),
        ]
        return found + backend_samples(backends)


def _add(to: dict[int, int], counts: Mapping[int, int]) -> None:
    for key, count in counts.items():
        to[key] = to.get(key, 0) + count
