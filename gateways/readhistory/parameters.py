"""Parameters of the five queries: JSON text to one of the query Structs, or the error they deserve.

Every wrong parameter is error 1 `invalid argument`, as in the C system; in the plain wire style the reply
also says which one and what would be right. Numbers are type-checked, which the C system does not do.

Source: protocol.md 7.2, 0.4, 1.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from gateways.readhistory.store import BalanceHistory, FinishedOrder, FinishedOrders, OrderDeals, UserDeals
from vxutils.protocol import commands
from vxutils.protocol.codes import INVALID_ARGUMENT, ErrorCode
from vxutils.rpc.bodies import INTEGER_MAX, INTEGER_MIN, decode, refuse_wide_integers

Query = BalanceHistory | FinishedOrders | OrderDeals | FinishedOrder | UserDeals
Params = list[Any]

USER_MAX: Final = 2**32 - 1
LIMIT_MAX: Final = 101


def _invalid(reason: str, parameter: str, rule: str) -> ErrorCode:
    return ErrorCode(INVALID_ARGUMENT.code, INVALID_ARGUMENT.message, reason, parameter, rule)


USER_ID: Final = _invalid("invalid_user_id", "user_id", "an integer from 1 to 4294967295")
ASSET: Final = _invalid("invalid_asset", "asset", "the name of an asset; empty text for any")
BUSINESS: Final = _invalid("invalid_business", "business", "the name of a business; empty text for any")
MARKET: Final = _invalid("invalid_market", "market", "the name of a market")
START: Final = _invalid("invalid_start_time", "start_time", "whole seconds since 1970; 0 for no limit")
END: Final = _invalid("invalid_end_time", "end_time", "whole seconds since 1970; 0 for no limit")
START_AFTER_END: Final = _invalid("start_after_end", "start_time", "at most end_time, unless that is 0")
OFFSET: Final = _invalid("invalid_offset", "offset", "an integer: how many of the newest are left out")
LIMIT: Final = _invalid("invalid_limit", "limit", f"an integer from 1 to {LIMIT_MAX}")
SIDE: Final = _invalid("invalid_side", "side", "0 (both), 1 (ask, sell) or 2 (bid, buy)")
ORDER_ID: Final = _invalid("invalid_order_id", "order_id", "an integer of 1 or more")


def wrong_count(names: str) -> ErrorCode:
    """The parameter list is not as long as the method's. `names`: the parameters in order."""
    return _invalid("wrong_parameter_count", "", f"the parameters are [{names}]")


def read(command: int, body: bytes) -> Query | ErrorCode | None:
    """The query in a request, or the error it gets; None for a command that is not one of the five.

    Raises: MalformedBody.
    """
    check = _CHECKS.get(command)
    if check is None:
        return None
    params = decode(body)
    found = check(params)
    if isinstance(found, ErrorCode | FinishedOrders):  # of the others every parameter was looked at
        refuse_wide_integers(params)
    return found


def _balance_history(params: Params) -> Query | ErrorCode:
    if len(params) != 7:
        return wrong_count("user_id, asset, business, start_time, end_time, offset, limit")
    user_id, asset, business, start, end, offset, limit = params
    if not _is_user(user_id):
        return USER_ID
    if type(asset) is not str:
        return ASSET
    if type(business) is not str:
        return BUSINESS
    wrong = _wrong_times(start, end) or _wrong_page(offset, limit)
    return wrong or BalanceHistory(user_id, asset, business, start, end, offset, limit)


def _finished_orders(params: Params) -> Query | ErrorCode:
    if len(params) < 6:
        return wrong_count("user_id, market, start_time, end_time, offset, limit, side?")
    user_id, market, start, end, offset, limit = params[:6]
    side = params[6] if len(params) > 6 else 0
    if not _is_user(user_id):
        return USER_ID
    if type(market) is not str:
        return MARKET
    wrong = _wrong_times(start, end) or _wrong_page(offset, limit)
    if wrong is None and (type(side) is not int or side not in (0, 1, 2)):
        wrong = SIDE
    return wrong or FinishedOrders(user_id, market, side, start, end, offset, limit)


def _order_deals(params: Params) -> Query | ErrorCode:
    if len(params) != 3:
        return wrong_count("order_id, offset, limit")
    order_id, offset, limit = params
    if not _is_order(order_id):
        return ORDER_ID
    return _wrong_page(offset, limit) or OrderDeals(order_id, offset, limit)


def _finished_order(params: Params) -> Query | ErrorCode:
    if len(params) != 1:
        return wrong_count("order_id")
    return FinishedOrder(params[0]) if _is_order(params[0]) else ORDER_ID


def _user_deals(params: Params) -> Query | ErrorCode:
    if len(params) != 4:
        return wrong_count("user_id, market, offset, limit")
    user_id, market, offset, limit = params
    if not _is_user(user_id):
        return USER_ID
    if type(market) is not str:
        return MARKET
    return _wrong_page(offset, limit) or UserDeals(user_id, market, offset, limit)


_CHECKS: Final[Mapping[int, Callable[[Params], Query | ErrorCode]]] = MappingProxyType(
    {
        commands.BALANCE_HISTORY: _balance_history,
        commands.ORDER_FINISHED: _finished_orders,
        commands.ORDER_DEALS: _order_deals,
        commands.ORDER_FINISHED_DETAIL: _finished_order,
        commands.MARKET_USER_DEALS: _user_deals,
    }
)


def _is_user(value: object) -> bool:
    return type(value) is int and 1 <= value <= USER_MAX


def _is_order(value: object) -> bool:
    return type(value) is int and 1 <= value <= INTEGER_MAX


def _wrong_times(start: object, end: object) -> ErrorCode | None:
    if type(start) is not int or not 0 <= start <= INTEGER_MAX:
        return START
    if type(end) is not int or not 0 <= end <= INTEGER_MAX:
        return END
    return START_AFTER_END if end and start > end else None


def _wrong_page(offset: object, limit: object) -> ErrorCode | None:
    """Any signed 64-bit offset is fine; a negative one shows nothing, as in the C system."""
    if type(offset) is not int or not INTEGER_MIN <= offset <= INTEGER_MAX:
        return OFFSET
    return LIMIT if type(limit) is not int or not 1 <= limit <= LIMIT_MAX else None
