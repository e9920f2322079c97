"""Every websocket answer that deliberately differs from the recording of the C system, and why.

As in `differences_http`: `CLASSES` names the differences, `DIFFERENCES` the recorded requests that show one.
One whose answer turns out equal fails the test. docs/differences.md explains the same classes.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.conformance.differences_services import FIRST_CANDLE

# Shown by recorded exchanges.
UNKNOWN_METHOD = "unknown method of a websocket"
NOT_A_REQUEST = "websocket message that is no request"
CONTROL_FRAMES = "pongs and close frames"

# Not shown by any recorded exchange.
UNRECORDED = frozenset(
    {
        "websocket limits",
        "frames that break the rules",
        "a first frame in the handshake's write",
        "addresses that clients name",
        "candle subscribers who come later",
        "errors of a backend and subscribers",
        "deals between two polls",
        "asset queries for pushes",
        "state subscriptions that end",
        "websocket gateway reachable by others",
        "one login at a time",
        "queries of a client without an answer",
        "websocket compression",
        "tokens in the log",
        "first depth of a subscriber",
        "too many subscriptions",
        "slow websocket clients",
        "pushes after a restart of the engine",
        "sequence of pushes and queries",
        "credentials of a websocket",
    }
)

CLASSES = UNRECORDED | {UNKNOWN_METHOD, NOT_A_REQUEST, CONTROL_FRAMES}

_ERROR = '{"error": {"code": %d, "message": "%s"}, "result": null, "id": %s}'


class Difference(NamedTuple):
    """What we answer instead of the recorded silence or end, and the code with which we close (0: not)."""

    kind: str
    reply: str
    close_code: int = 0


def _bad(request_id: str) -> Difference:
    return Difference(NOT_A_REQUEST, _ERROR % (1, "invalid argument", request_id), 1008)


DIFFERENCES: dict[str, Difference] = {
    # By what was sent; every text was sent once.
    '{"id": 16, "method": "no.such", "params": []}': Difference(
        UNKNOWN_METHOD, _ERROR % (4, "method not found", "16")
    ),
    "{bad": _bad("null"),
    '{"method":"server.ping","params":[]}': _bad("null"),
    '{"id":"1","method":"server.ping","params":[]}': _bad("null"),
    '{"id":1,"method":"server.ping"}': _bad("1"),
}

FIRST_CANDLE_MEMBERS = (FIRST_CANDLE, ('"open": "0"', '"open": "10"'), ('"low": "0"', '"low": "10"'))
"""What the first candle makes of the replies to, and pushes of, state and today."""
