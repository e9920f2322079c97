"""What is wrong with a request's parameters, in words for the client's developer.

All of them are error 1 `invalid argument`; the plain wire style also says which one: `error.data` =
{reason, parameter, rule}. Reason names are those of the other services where they mean the same.
"""

from __future__ import annotations

from vxutils.protocol.codes import INVALID_ARGUMENT, ErrorCode


def _invalid(reason: str, parameter: str, rule: str) -> ErrorCode:
    return ErrorCode(INVALID_ARGUMENT.code, INVALID_ARGUMENT.message, reason, parameter, rule)


def wrong_count(names: str) -> ErrorCode:
    """The parameter list is not as long as the method's. `names`: the parameters in order."""
    return _invalid("wrong_parameter_count", "", f"the parameters are [{names}]")


def wrong_period(longest_s: int) -> ErrorCode:
    """`longest_s`: seconds for which second candles are kept."""
    return _invalid("invalid_period", "period", f"an integer of seconds from 1 to {longest_s}")


def too_many_buckets(buckets_max: int) -> ErrorCode:
    """More than one reply holds."""
    return _invalid(
        "too_many_buckets",
        "interval",
        f"from start to end at most {buckets_max} intervals; ask for a shorter time or a longer interval",
    )


UNKNOWN_MARKET = _invalid("unknown_market", "market", "the name of a configured market, see market.list")
START = _invalid("invalid_start", "start", "an integer of seconds since 1970, more than 0, not after end")
END = _invalid(
    "invalid_end", "end", "an integer of seconds since 1970, more than 0; the future counts as now"
)
INTERVAL = _invalid(
    "invalid_interval",
    "interval",
    "seconds: a divisor of 60, 60 times a divisor of 60, 3600 times a divisor of 24, "
    "86400 times 1 to 6, 604800 (week) or 2592000 (month)",
)
LIMIT = _invalid("invalid_limit", "limit", "an integer from 1 to 10000")
LAST_ID = _invalid("invalid_last_id", "last_id", "an integer; only deals with a larger id are listed")
REPLY_TOO_LARGE = _invalid(
    "reply_too_large", "limit", "the reply would be larger than this server sends; ask for less"
)
