"""The errors a gateway itself answers: their bodies in both wire styles, and what became of the request.

A backend's own errors pass through verbatim and are not made here.

Source: protocol.md 8.3, 2.2.
"""

from __future__ import annotations

import enum
from typing import Final, Literal

import msgspec

from vxutils.protocol.codes import (
    INTERNAL_ERROR,
    INVALID_ARGUMENT,
    METHOD_NOT_FOUND,
    REQUIRE_AUTHENTICATION,
    SERVICE_TIMEOUT,
    SERVICE_UNAVAILABLE,
    ErrorCode,
)

WireStyle = Literal["plain", "viabtc"]


class Outcome(enum.Enum):
    """What became of a request that got an error from the gateway; `error.data.outcome` in plain style."""

    NOT_SENT = "not_sent"
    """No backend ever saw it."""
    REFUSED = "refused"
    """Turned away on purpose, not executed; sending it again later is safe."""
    UNKNOWN = "outcome_unknown"
    """It was sent and no reply came: it may have been executed, or still be. Never sent again by us."""


class GatewayError(msgspec.Struct, frozen=True):
    """One error of the gateway with the HTTP status that goes with it."""

    status: int
    error: ErrorCode
    outcome: Outcome


def _error(status: int, base: ErrorCode, outcome: Outcome, reason: str, rule: str) -> GatewayError:
    return GatewayError(status, ErrorCode(base.code, base.message, reason, "", rule), outcome)


BACKEND_DOWN: Final = _error(
    500,
    INTERNAL_ERROR,
    Outcome.NOT_SENT,
    "backend_not_connected",
    "the service behind this method is not connected; not executed, try again later",
)
NO_SNAPSHOT: Final = _error(
    500,
    INTERNAL_ERROR,
    Outcome.NOT_SENT,
    "no_snapshot",
    'this market is not in shared memory, and snapshot_source is "shm"; try again later',
)
TOO_MUCH_IN_FLIGHT: Final = _error(
    503,
    SERVICE_UNAVAILABLE,
    Outcome.REFUSED,
    "too_many_requests_in_flight",
    "not executed; try again later",
)
NO_WORKER: Final = _error(
    503, SERVICE_UNAVAILABLE, Outcome.REFUSED, "no_worker_free", "not executed; connect again later"
)
PEER_REFUSED: Final = _error(
    403,
    REQUIRE_AUTHENTICATION,
    Outcome.NOT_SENT,
    "peer_not_allowed",
    "your address may not use this one; an operator can list its network in `allow_cidrs`",
)
TIMEOUT: Final = _error(
    504,
    SERVICE_TIMEOUT,
    Outcome.UNKNOWN,
    "backend_timeout",
    "no reply in time; it may have been executed: ask, or repeat it with its idempotency key",
)
BACKEND_LOST: Final = _error(
    504,
    SERVICE_TIMEOUT,
    Outcome.UNKNOWN,
    "backend_connection_lost",
    "the reply is lost; it may have been executed: ask, or repeat it with its idempotency key",
)
UNKNOWN_METHOD: Final = _error(
    404, METHOD_NOT_FOUND, Outcome.NOT_SENT, "method_not_found", "there is no such method"
)
METHOD_NOT_OFFERED: Final = _error(
    404, METHOD_NOT_FOUND, Outcome.NOT_SENT, "method_not_offered", "this address does not offer the method"
)
TOKEN_REQUIRED: Final = _error(
    401,
    REQUIRE_AUTHENTICATION,
    Outcome.NOT_SENT,
    "token_required",
    "send a valid token: Authorization: Bearer TOKEN",
)
AUTHENTICATION_REQUIRED: Final = _error(
    401,
    REQUIRE_AUTHENTICATION,
    Outcome.NOT_SENT,
    REQUIRE_AUTHENTICATION.reason,
    "log in with server.auth or server.sign first",
)
ORIGIN_REFUSED: Final = _error(
    403,
    REQUIRE_AUTHENTICATION,
    Outcome.NOT_SENT,
    "origin_not_allowed",
    "pages of this Origin may not call; an operator can list it in `origins`",
)
BAD_KEY: Final = GatewayError(
    400,
    ErrorCode(
        INVALID_ARGUMENT.code,
        INVALID_ARGUMENT.message,
        "invalid_idempotency_key",
        "idempotency_key",
        "1 to 36 printable ASCII characters",
    ),
    Outcome.NOT_SENT,
)


def invalid(status: int, reason: str, parameter: str, rule: str) -> GatewayError:
    """Error 1 for a request that was not sent."""
    error = ErrorCode(INVALID_ARGUMENT.code, INVALID_ARGUMENT.message, reason, parameter, rule)
    return GatewayError(status, error, Outcome.NOT_SENT)


class ErrorFormat:
    """Bodies of errors in one wire style; only `plain` has a `data` member."""

    def __init__(self, style: WireStyle) -> None:
        self._plain = style == "plain"

    def body(self, error: GatewayError, request_id: int | None) -> bytes:
        """The JSON text; `request_id` None (it could not be read) becomes null."""
        code = error.error
        fields: dict[str, object] = {"code": code.code, "message": code.message}
        if self._plain:
            fields["data"] = {
                "reason": code.reason,
                "parameter": code.parameter,
                "rule": code.rule,
                "outcome": error.outcome.value,
            }
        text = msgspec.json.encode({"error": fields, "result": None, "id": request_id})
        return text if self._plain else msgspec.json.format(text, indent=0)
