"""The monitor port of a process: is it well, and what are its numbers.

    GET /health   200 `{"status": "ok", "facts": {...}}`, also when degraded; 503 when down
    GET /metrics  Prometheus text
    anything else 404

The C system has a port at this place which accepts, ignores all input and never answers, for port checks. A
bare connect works here as well, for as long as `keep_alive_s`. It decides nothing: health comes from a
function of the owner. Nobody is authenticated, so it belongs on a loopback or unix address.
Source: protocol 8.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from vxnet.address import Address
from vxutils.http.exchange import BaseHttpHandler, Exchange
from vxutils.http.limits import KIB, HttpLimits
from vxutils.http.server import HttpServer
from vxutils.metrics import CONTENT_TYPE, Metrics

LIMITS: Final = HttpLimits(
    head_bytes_max=16 * KIB,
    body_bytes_max=0,
    keep_alive_s=75.0,
    pipeline_max=4,
    connections_max=256,
)
"""Of a port for a few watchers."""

_READING_METHODS: Final = ("GET", "HEAD")


class Health(msgspec.Struct, frozen=True):
    """How a process is. `degraded`: it serves, but somebody should look; `down`: send it no work."""

    status: Literal["ok", "degraded", "down"]
    facts: Mapping[str, Any] = {}
    """What was looked at, by name: anything that JSON can say."""


class Monitor:
    """Answers on one address between `start` and `stop`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: Address,
        health: Callable[[], Health],
        metrics: Metrics,
        *,
        limits: HttpLimits = LIMITS,
    ) -> None:
        self._server = HttpServer(loop, [address], _Answers(health, metrics), limits)

    @property
    def bound(self) -> Address:
        """Where it listens, with the real port."""
        return self._server.bound[0]

    def start(self) -> None:
        """Begin to listen. Raises: AddressInUseError, AddressError naming the address."""
        self._server.start()

    def stop(self) -> None:
        """Close all connections and the listener."""
        self._server.stop()


class _Answers(BaseHttpHandler):
    def __init__(self, health: Callable[[], Health], metrics: Metrics) -> None:
        self._health = health
        self._metrics = metrics

    def request(self, exchange: Exchange) -> None:
        request = exchange.request
        path = request.target.partition("?")[0] if request.method in _READING_METHODS else ""
        if path == "/health":
            health = self._health()
            body = msgspec.json.encode(health) + b"\n"
            headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
            exchange.respond(503 if health.status == "down" else 200, body, headers)
        elif path == "/metrics":
            exchange.respond(200, self._metrics.render(), [("Content-Type", CONTENT_TYPE)])
        else:
            exchange.respond(404, b"here are /health and /metrics\n", [("Content-Type", "text/plain")])
