"""What is wrong with a request's parameters, in words for the client's developer.

All of them are error 1 `invalid argument`, as in the C system; in the plain wire style the reply also says
which one: `error.data` = {reason, parameter, rule}. Reason names are unique across methods and never
change meaning. The checks themselves are in `requests`.
"""

from __future__ import annotations

from vxutils.protocol.codes import INVALID_ARGUMENT, ErrorCode


def _invalid(reason: str, parameter: str, rule: str) -> ErrorCode:
    return ErrorCode(INVALID_ARGUMENT.code, INVALID_ARGUMENT.message, reason, parameter, rule)


def wrong_count(names: str) -> ErrorCode:
    """The parameter list is not as long as the method's. `names`: the parameters in order."""
    return _invalid("wrong_parameter_count", "", f"the parameters are [{names}]")


USER_ID = _invalid("invalid_user_id", "user_id", "an integer from 0 to 4294967295")
QUERIED_USER_ID = _invalid("invalid_user_id", "user_id", "an integer from 1 to 4294967295")
UNKNOWN_ASSET = _invalid("unknown_asset", "asset", "the name of a configured asset, see asset.list")
UNKNOWN_MARKET = _invalid("unknown_market", "market", "the name of a configured market, see market.list")
BUSINESS = _invalid("invalid_business", "business", "text of at most 30 characters")
BUSINESS_ID = _invalid("invalid_business_id", "business_id", "an integer of signed 64 bits")
CHANGE = _invalid("invalid_change", "change", "a decimal number as text, below 10^30; negative takes out")
DETAIL = _invalid("invalid_detail", "detail", "an object of at most 4096 bytes of JSON")
SIDE = _invalid("invalid_side", "side", "1 (ask, sell) or 2 (bid, buy)")
AMOUNT = _invalid(
    "invalid_amount", "amount", "a decimal number as text, more than 0 after cutting to stock_prec decimals"
)
PRICE = _invalid(
    "invalid_price", "price", "a decimal number as text, more than 0 after cutting to money_prec decimals"
)
TAKER_FEE = _invalid("invalid_taker_fee", "taker_fee", "a rate as decimal text, from 0 to less than 1")
MAKER_FEE = _invalid("invalid_maker_fee", "maker_fee", "a rate as decimal text, from 0 to less than 1")
SOURCE = _invalid("invalid_source", "source", "text of at most 30 bytes")
ORDER_ID = _invalid("invalid_order_id", "order_id", "an integer of 1 or more")
OFFSET = _invalid("invalid_offset", "offset", "an integer")
LIMIT = _invalid("invalid_limit", "limit", "an integer from 0 to 101")
INTERVAL = _invalid("invalid_interval", "interval", 'a decimal number as text, 0 or more; "0" merges nothing')
KEY = _invalid("invalid_idempotency_key", "idempotency_key", "1 to 36 printable ASCII characters")
