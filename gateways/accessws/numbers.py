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
from gateways.common.numbers import (
    BACKEND_METRICS,
    REQUEST_METRICS,
    Metric,
    RequestNumbers,
    add_counts,
    backend_samples,
)
from gateways.common.snapshot_answers import SNAPSHOT_METRICS
from vxutils.ws import WsServer

METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
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
        **REQUEST_METRICS,
        **BACKEND_METRICS,
        **PUSH_METRICS,
        **SNAPSHOT_METRICS,
    }
)


class Numbers(RequestNumbers):
    """The counters of one worker, which its front writes."""

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
            add_counts(refused, server.refusals)
            add_counts(closes, server.closes)
            connections += len(server.sessions)
            too_many += server.connections_refused
            received += server.messages_received
            sent += server.messages_sent
        found = self.request_samples()
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
