"""The alert centre for its monitor: health and metrics, read when somebody asks.

It knows the service and changes nothing.
"""

from __future__ import annotations

from typing import Final

from gateways.alertcenter.service import AlertService
from vxutils.metrics import Labelled, Metrics
from vxutils.monitor import Health

PREFIX: Final = "alertcenter_"


class Watching:
    """`health` and `metrics` of one process."""

    def __init__(self, service: AlertService) -> None:
        self.metrics = Metrics()
        self._service = service
        counter, gauge = self.metrics.counter, self.metrics.gauge
        counter(f"{PREFIX}lines", "Alerts received.", [], lambda: service.lines)
        counter(f"{PREFIX}messages", "Messages taken by an outlet.", ["outlet"], self._sent)
        counter(f"{PREFIX}failures", "Messages not taken by an outlet.", ["outlet"], self._failed)
        gauge(f"{PREFIX}waiting_lines", "Lines an outlet was not told of.", ["outlet"], self._waiting)
        pushed, taken = service.pushed, service.taken
        if pushed is not None:
            gauge(f"{PREFIX}list_waiting_lines", "Lines not pushed yet.", [], lambda: pushed.waiting)
            counter(f"{PREFIX}list_lost_lines", "Lines not pushed at all.", [], lambda: pushed.lost)
        if taken is not None:
            counter(f"{PREFIX}list_taken_lines", "Lines taken from the list.", [], lambda: taken.taken)
        gauge(f"{PREFIX}unsafe_rows", "Rows not stored yet.", [], lambda: service.unsafe)
        gauge(f"{PREFIX}connections", "Open connections.", [], lambda: len(service.server.sessions))

    def health(self) -> Health:
        """`degraded` while alerts can not be stored, or an outlet or the list does not take them."""
        service = self._service
        end = service.pushed or service.taken
        list_trouble = end.trouble if end is not None else None
        troubles = [service.trouble, list_trouble, *(one.trouble for one in service.deliveries)]
        facts = {
            "lines": service.lines,
            "store": service.trouble or "well",
            "unsafe_rows": service.unsafe,
            "list": list_trouble or ("well" if end is not None else "none"),
            "outlets": {one.name: one.trouble or "well" for one in service.deliveries},
        }
        return Health("ok" if not any(troubles) else "degraded", facts)

    def _sent(self) -> Labelled:
        return {(one.name,): one.sent for one in self._service.deliveries}

    def _failed(self) -> Labelled:
        return {(one.name,): one.failed for one in self._service.deliveries}

    def _waiting(self) -> Labelled:
        return {(one.name,): one.waiting for one in self._service.deliveries}
