"""The errors a reply can carry: `{"code": .code, "message": .message}`. Data only.

Codes up to 6 mean the same everywhere. From 10 on a code has a meaning only together with its command. The
plain wire style adds `"data": {"reason", "parameter", "rule"}`: reasons are unique across methods.

Source: protocol.md 2.2.
"""

from __future__ import annotations

from typing import Final

import msgspec


class ErrorCode(msgspec.Struct, frozen=True):
    """One refusal as it goes over the wire.

    `reason` is for programs and never changes meaning; `parameter` names what is wrong in the method's list
    ("" if it is none of them); `rule` tells a person what would have been right.
    """

    code: int
    message: str
    reason: str
    parameter: str = ""
    rule: str = ""


INVALID_ARGUMENT: Final = ErrorCode(1, "invalid argument", "invalid_argument")
INTERNAL_ERROR: Final = ErrorCode(2, "internal error", "internal_error")
SERVICE_UNAVAILABLE: Final = ErrorCode(3, "service unavailable", "service_unavailable")
METHOD_NOT_FOUND: Final = ErrorCode(4, "method not found", "method_not_found")
SERVICE_TIMEOUT: Final = ErrorCode(5, "service timeout", "service_timeout")
REQUIRE_AUTHENTICATION: Final = ErrorCode(6, "require authentication", "authentication_required")

# error 1 and 3, more exactly
KEY_REUSED: Final = ErrorCode(
    1,
    "invalid argument",
    "idempotency_key_reused",
    "idempotency_key",
    "a key belongs to one request; this one came with another",
)
KEYS_FULL: Final = ErrorCode(
    3, "service unavailable", "idempotency_keys_full", "idempotency_key", "try again later, or without a key"
)
SPACE_LOW: Final = ErrorCode(
    3, "service unavailable", "disk_space_low", "", "cancels and queries go on; an operator has been told"
)
WAITED_TOO_LONG: Final = ErrorCode(
    3, "service unavailable", "waited_too_long", "", "not executed; it may be sent again"
)

# 102 balance.update
UPDATE_REPEATED: Final = ErrorCode(
    10, "repeat update", "update_repeated", "business_id", "user, asset, business and business_id are new"
)
UPDATE_BALANCE_NOT_ENOUGH: Final = ErrorCode(
    11, "balance not enough", "update_balance_not_enough", "change", "at most what is available is taken"
)

# 201 order.put_limit and 202 order.put_market
ORDER_BALANCE_NOT_ENOUGH: Final = ErrorCode(
    10,
    "balance not enough",
    "order_balance_not_enough",
    "amount",
    "at most what is available: stock for a sell, price times amount of money for a buy",
)
ORDER_AMOUNT_TOO_SMALL: Final = ErrorCode(
    11,
    "amount too small",
    "order_amount_too_small",
    "amount",
    "at least min_amount, see market.list",
)
ORDER_NO_ENOUGH_TRADER: Final = ErrorCode(  # 202 only; the wording is the wire's
    12, "no enough trader", "order_no_counterpart", "", "the other side of the book has an order"
)

# 204 order.cancel
CANCEL_ORDER_NOT_FOUND: Final = ErrorCode(
    10, "order not found", "order_not_found", "order_id", "an order that rests in this market"
)
CANCEL_USER_NOT_MATCH: Final = ErrorCode(
    11, "user not match", "order_of_another_user", "user_id", "the owner of the order"
)

AUTHENTICATION_REFUSED_CODE: Final = 11  # server.auth and server.sign; the text is the auth service's
