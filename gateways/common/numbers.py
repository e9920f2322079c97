"""What the workers of every gateway count alike: the shape of a metric, and the numbers of the backends.

Plain integers on the hot path; turned into samples once a second, for the report to the listener. Each
gateway has a table of its metrics, for whoever prints them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from gateways.common.backends import Backends
from gateways.common.handover import Sample
from vxutils.metrics import Buckets

NO_METHOD: Final = "none"
"""The label of requests whose method could not be read, or is none of ours."""

UNREADABLE_CODE: Final = -1
"""The code of a reply whose error can not be read; never seen from our own backends."""

_ERROR_CODE = re.compile(rb'\s*\{\s*"error"\s*:\s*(?:null|\{\s*"code"\s*:\s*(-?[0-9]{1,9})\b)')


class Metric(msgspec.Struct, frozen=True):
    """One metric: what kind it is, what it says, and the names of its labels (`worker` comes in front)."""

    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...] = ()


BACKEND_METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "in_flight": Metric("gauge", "Requests sent to a backend and not yet answered.", ("backend",)),
        "backend_connected": Metric("gauge", "1 if the backend is connected, else 0.", ("backend",)),
        "backend_timeouts": Metric("counter", "Requests without a reply in time.", ("backend",)),
        "backend_losses": Metric("counter", "Requests whose connection was lost.", ("backend",)),
        "late_replies": Metric("counter", "Replies that came too late and were dropped.", ("backend",)),
    }
)

REQUEST_METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "requests": Metric(
            "counter", "Requests answered, by method and error code (0: no error).", ("method", "code")
        ),
    }
)


class RequestNumbers:
    """Requests of one worker; each gateway has more numbers beside them."""

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

    def request_samples(self) -> list[Sample]:
        """The samples of `REQUEST_METRICS`."""
        return [("requests", (method, str(code)), count) for (method, code), count in self._requests.items()]


def add_counts(to: dict[int, int], counts: Mapping[int, int]) -> None:
    """Adds the counts of one server to those of all."""
    for key, count in counts.items():
        to[key] = to.get(key, 0) + count


def backend_samples(backends: Backends) -> list[Sample]:
    """The samples of `BACKEND_METRICS`."""
    found: list[Sample] = []
    for backend in backends:
        if backend.is_used:
            label = (backend.name,)
            found += [
                ("in_flight", label, backend.inflight),
                ("backend_connected", label, int(backend.is_connected)),
                ("backend_timeouts", label, backend.timeouts),
                ("backend_losses", label, backend.losses),
                ("late_replies", label, backend.late_replies),
            ]
    return found


def reply_code(body: bytes) -> int:
    """The error code in a backend's reply, 0 if it holds none; only the beginning is looked at."""
    if body.startswith((b'{"error":null', b'{"error": null')):
        return 0
    found = _ERROR_CODE.match(body[:128])
    if found is None:
        return UNREADABLE_CODE
    return int(found[1]) if found[1] is not None else 0
