"""What an authentication ends with: an identity, or an error of ours. Values only.

Error 11 is a refusal of the client, 2 and 5 are troubles of ours or of an external service.

Source: protocol.md 9.9.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final

import msgspec

from gateways.common.errors import GatewayError, Outcome
from vxutils.protocol.codes import (
    AUTHENTICATION_REFUSED_CODE,
    INTERNAL_ERROR,
    SERVICE_TIMEOUT,
    ErrorCode,
)


class Identity(msgspec.Struct, frozen=True):
    """Whom a connection belongs to from now on. `user_id` is above 0.

    `expires_us`: microseconds since 1970 at which it ends, 0 = never. `token_id`: what it was proved with,
    for the log and for revocation; empty from an external service, which revokes nothing.
    """

    user_id: int
    is_read_only: bool = False
    expires_us: int = 0
    token_id: str = ""


Done = Callable[[Identity | GatewayError], None]


def refused(reason: str, sentence: str, parameter: str = "") -> GatewayError:
    """Error 11: the client is not who he says, in words that are the message in both wire styles."""
    error = ErrorCode(AUTHENTICATION_REFUSED_CODE, sentence, reason, parameter, "")
    return GatewayError(401, error, Outcome.REFUSED)


def failed(reason: str, rule: str) -> GatewayError:
    """Error 2: we could not find out."""
    error = ErrorCode(INTERNAL_ERROR.code, INTERNAL_ERROR.message, reason, "", rule)
    return GatewayError(500, error, Outcome.NOT_SENT)


UNAVAILABLE: Final = failed("authentication_failed", "it could not be checked; try again later")
NOT_CONFIGURED: Final = failed("authentication_not_configured", "this system knows no such way to log in")
TIMED_OUT: Final = GatewayError(
    504,
    ErrorCode(
        SERVICE_TIMEOUT.code,
        SERVICE_TIMEOUT.message,
        "authentication_timeout",
        "",
        "it could not be checked in time; try again",
    ),
    Outcome.UNKNOWN,
)


def address_key(client: str) -> str:
    """What wrong attempts are counted by: an IPv4 address, or the /64 of an IPv6 one, whose owner has all of
    it."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return client
