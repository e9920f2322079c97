"""The errors a reply can carry: `{"code": .code, "message": .message}`. Data only.

Codes up to 6 mean the same everywhere. From 10 on a code has a meaning only together with its command.

Source: protocol.md 2.2.
"""

from __future__ import annotations

from typing import Final

import msgspec


class ErrorCode(msgspec.Struct, frozen=True):
    """One refusal as it goes over the wire."""

    code: int
    message: str


INVALID_ARGUMENT: Final = ErrorCode(1, "invalid argument")
INTERNAL_ERROR: Final = ErrorCode(2, "internal error")
SERVICE_UNAVAILABLE: Final = ErrorCode(3, "service unavailable")
METHOD_NOT_FOUND: Final = ErrorCode(4, "method not found")
SERVICE_TIMEOUT: Final = ErrorCode(5, "service timeout")
REQUIRE_AUTHENTICATION: Final = ErrorCode(6, "require authentication")

# 102 balance.update
UPDATE_REPEATED: Final = ErrorCode(10, "repeat update")
UPDATE_BALANCE_NOT_ENOUGH: Final = ErrorCode(11, "balance not enough")

# 201 order.put_limit and 202 order.put_market
ORDER_BALANCE_NOT_ENOUGH: Final = ErrorCode(10, "balance not enough")
ORDER_AMOUNT_TOO_SMALL: Final = ErrorCode(11, "amount too small")
ORDER_NO_ENOUGH_TRADER: Final = ErrorCode(12, "no enough trader")  # 202 only; the wording is the wire's

# 204 order.cancel
CANCEL_ORDER_NOT_FOUND: Final = ErrorCode(10, "order not found")
CANCEL_USER_NOT_MATCH: Final = ErrorCode(11, "user not match")

AUTHENTICATION_REFUSED_CODE: Final = 11  # server.auth and server.sign; the text is the auth service's
