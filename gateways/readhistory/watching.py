"""Readhistory for its monitor: health and metrics, read when somebody asks.

It knows the service and the server below it and changes neither.
"""

from __future__ import annotations

from typing import Final

from gateways.readhistory.service import HistoryService
from vxutils.metrics import Labelled, Metrics
from vxutils.monitor import Health
from vxutils.protocol.commands import BY_ID
from vxutils.rpc.server import RpcServer

PREFIX: Final = "readhistory_"


class Watching:
    """`health` and `metrics` of one process."""

    def __init__(self, service: HistoryService, server: RpcServer) -> None:
        self.metrics = Metrics()
        self._service = service
        self._server = server
        counts = service.counts
        counter, gauge = self.metrics.counter, self.metrics.gauge
        counter(f"{PREFIX}requests", "Requests taken.", ["method"], self._requests)
        counter(f"{PREFIX}errors", "Errors answered.", ["code"], self._errors)
        counter(f"{PREFIX}unknown_commands", "Requests nobody answers.", [], lambda: counts.unknown_commands)
        counter(f"{PREFIX}unwanted", "Queries whose connection was gone.", [], lambda: counts.unwanted)
        gauge(f"{PREFIX}pending", "Queries waiting or being asked.", [], lambda: service.pending)
        gauge(f"{PREFIX}connections", "Open connections.", [], self._connections)
        gauge(f"{PREFIX}history_readable", "Whether history can be read.", [], self._readable)
        gauge(f"{PREFIX}history_sequence", "Last sequence in it.", [], lambda: service.as_of.sequence)
        self.metrics.histogram(f"{PREFIX}seconds", "From request to reply.", [], lambda: counts.latency)

    def health(self) -> Health:
        """`degraded` while history can not be read."""
        service = self._service
        facts = {
            "history": service.trouble or "readable",
            "sequence": service.as_of.sequence,
            "time_us": service.as_of.time_us,
            "pending": service.pending,
            "connections": len(self._server.server.sessions),
        }
        return Health("ok" if service.trouble is None else "degraded", facts)

    def _requests(self) -> Labelled:
        return {(BY_ID[command].name,): count for command, count in self._service.counts.requests.items()}

    def _errors(self) -> Labelled:
        return {(str(code),): count for code, count in self._service.counts.errors.items()}

    def _connections(self) -> float:
        return len(self._server.server.sessions)

    def _readable(self) -> float:
        return 1.0 if self._service.trouble is None else 0.0
