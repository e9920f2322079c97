"""Every HTTP answer that deliberately differs from the recording of the C system, and why.

As in `differences`: `CLASSES` names the differences, `DIFFERENCES` the recorded exchanges that show one. An
entry whose answer turns out equal fails the test. docs/differences.md explains the same classes.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.conformance.differences_services import FIRST_CANDLE

# Shown by recorded exchanges.
BODY_IN_PIECES = "body in pieces"
LARGE_BODY = "body larger than the backend takes"
BACKEND_ABSENT = "backend not connected"

# Not shown by any recorded exchange.
UNRECORDED = frozenset(
    {
        "open addresses",
        "Origin header",
        "HTTP limits",
        "ambiguous HTTP requests",
        "pipelined requests",
        "idempotency_key member",
        "backend connection lost",
        "malformed requests in the log",
        "choice of worker",
        "monitor port",
        "two gateways on one host",
    }
)

CLASSES = UNRECORDED | {BODY_IN_PIECES, LARGE_BODY, BACKEND_ABSENT}

_ERROR = '{"error": {"code": %d, "message": "%s"}, "result": null, "id": %d}'

ENGINE_ASSETS = object()
"""Our answer is that of the first recorded `asset.list`, with id 1."""


class Difference(NamedTuple):
    """What we answer instead: status, body (`ENGINE_ASSETS` for the list of assets), and whether we close."""

    kind: str
    status_line: str
    body: object
    closes: bool = False


_ABSENT = Difference(BACKEND_ABSENT, "HTTP/1.1 500 Internal Server Error", _ERROR % (2, "internal error", 1))
_TOO_LARGE = Difference(
    LARGE_BODY, "HTTP/1.1 413 Request Entity Too Large", _ERROR % (1, "invalid argument", 1)
)
_JOINED = Difference(BODY_IN_PIECES, "HTTP/1.1 200 OK", ENGINE_ASSETS)

DIFFERENCES: dict[int, Difference] = {
    # Lines of the file. The candles of line 20 differ likewise; the test compares them apart, for the clock.
    21: Difference(
        FIRST_CANDLE,
        "HTTP/1.1 200 OK",
        '{"error": null, "result": {"period": 86400, "last": "10", "open": "10", "close": "10", '
        '"high": "10", "low": "10", "volume": "0.8", "deal": "8"}, "id": 42}',
    ),
    22: Difference(
        FIRST_CANDLE,
        "HTTP/1.1 200 OK",
        '{"error": null, "result": {"open": "10", "last": "10", "high": "10", "low": "10", "volume": "0.8", '
        '"deal": "8"}, "id": 42}',
    ),
    55: _JOINED,
    57: _JOINED,
    60: _TOO_LARGE,
    61: Difference(LARGE_BODY, "HTTP/1.1 413 Request Entity Too Large", "", closes=True),
    62: _TOO_LARGE,
    63: _ABSENT,
}
