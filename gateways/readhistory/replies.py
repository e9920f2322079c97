"""Reply bodies: rows of the store as JSON text, in one of two wire styles.

`viabtc`: what the C system answers from MySQL, byte for byte. Its columns round half away from zero and print
every decimal, and the printer strips trailing zeros; so `5.0e-7` of a DECIMAL(30,8) column is `0.0000005`.
`plain`: compact JSON, exact decimals, and in lists `as_of`: how far the history has been written.

Source: protocol.md 0.3, 1.5, 2.5, 4.5, 4.6, 7.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from gateways.readhistory.parameters import Query
from gateways.readhistory.store import (
    AsOf,
    BalanceHistory,
    FinishedOrder,
    FinishedOrders,
    HistoryStore,
    OrderDeals,
    UserDeals,
)
from vxutils import fixed
from vxutils.json_text import quote
from vxutils.protocol.codes import ErrorCode
from vxutils.rpc.replies import ReplyFormat
from vxutils.store.embedded.schema import BalanceRow, DealRow, OrderRow

WireStyle = Literal["plain", "viabtc"]

# Decimals of the columns. Source: protocol.md 4.5.
AMOUNT_SCALE: Final = 8
RATE_SCALE: Final = 4
MONEY_SCALE: Final = 16

_TRADE: Final = "trade"
_TRADE_DECIMAL = re.compile(r'("[afp]":")(-?[0-9.]+e[-+][0-9]+)(?=")')
"""Amount, rate and price in the detail of a trade, where they are written with an exponent."""


class Replies:
    """Answers in one wire style; shared by all threads: nothing in it changes what they get.

    `debug` indents replies by four spaces, as the C system can. `rounds`: the store keeps all digits, so that
    those which the C system's columns do not have are rounded off in its style; a database has done so.
    """

    def __init__(self, style: WireStyle, debug: bool, rounds: bool = True) -> None:
        self._rounds = rounds
        self._plain = style == "plain"
        self._comma, self._colon = (",", ":") if self._plain else (", ", ": ")
        self._time: Callable[[int], str] = _time_plain if self._plain else _time_viabtc
        self._format = ReplyFormat(style, debug)

    def answer(self, store: HistoryStore, query: Query, request_id: int) -> bytes:
        """Asks the store and writes the body. Raises: as `HistoryStore`."""
        result: str
        if isinstance(query, FinishedOrder):
            order = store.finished_order(query)
            result = "null" if order is None else self._order(order)
        elif isinstance(query, BalanceHistory):
            changes = store.balance_history(query)
            result = self._list(query, [self._change(row) for row in changes.rows], changes.as_of)
        elif isinstance(query, FinishedOrders):
            finished = store.finished_orders(query)
            result = self._list(query, [self._order(row) for row in finished.rows], finished.as_of)
        elif isinstance(query, OrderDeals):
            deals = store.order_deals(query)
            result = self._list(query, [self._order_deal(row) for row in deals.rows], deals.as_of)
        else:
            deals = store.user_deals(query)
            result = self._list(query, [self._user_deal(row) for row in deals.rows], deals.as_of)
        return self._format.success(result, request_id)

    def error(self, error: ErrorCode, request_id: int) -> bytes:
        """The body of an error."""
        return self._format.error(error, request_id)

    def _list(
        self,
        query: BalanceHistory | FinishedOrders | OrderDeals | UserDeals,
        records: list[str],
        as_of: AsOf,
    ) -> str:
        members = [
            ("offset", str(query.offset)),
            ("limit", str(query.limit)),
            ("records", f"[{self._comma.join(records)}]"),
        ]
        if self._plain:
            position = (("time", self._time(as_of.time_us)), ("sequence", str(as_of.sequence)))
            members.append(("as_of", self._object(*position)))
        return self._object(*members)

    def _change(self, row: BalanceRow) -> str:
        return self._object(
            ("time", self._time(row.time_us)),
            ("asset", quote(row.asset)),
            ("business", quote(row.business)),
            ("change", self._decimal(row.change, AMOUNT_SCALE)),
            ("balance", self._decimal(row.balance, MONEY_SCALE)),
            ("detail", self._detail(row)),
        )

    def _order(self, row: OrderRow) -> str:
        return self._object(
            ("id", str(row.id)),
            ("ctime", self._time(row.create_us)),
            ("ftime", self._time(row.finish_us)),
            ("user", str(row.user_id)),
            ("market", quote(row.market)),
            ("source", quote(row.source)),
            ("type", str(row.t)),
            ("side", str(row.side)),
            ("price", self._decimal(row.price, AMOUNT_SCALE)),
            ("amount", self._decimal(row.amount, AMOUNT_SCALE)),
            ("taker_fee", self._decimal(row.taker_fee, RATE_SCALE)),
            ("maker_fee", self._decimal(row.maker_fee, RATE_SCALE)),
            ("deal_stock", self._decimal(row.deal_stock, AMOUNT_SCALE)),
            ("deal_money", self._decimal(row.deal_money, MONEY_SCALE)),
            ("deal_fee", self._decimal(row.deal_fee, MONEY_SCALE)),
        )

    def _order_deal(self, row: DealRow) -> str:
        return self._object(
            ("time", self._time(row.time_us)),
            ("user", str(row.user_id)),
            ("id", str(row.deal_id)),
            ("role", str(row.role)),
            *self._amounts(row),
        )

    def _user_deal(self, row: DealRow) -> str:
        return self._object(
            ("time", self._time(row.time_us)),
            ("user", str(row.user_id)),
            ("id", str(row.deal_id)),
            ("side", str(row.side)),
            ("role", str(row.role)),
            *self._amounts(row),
            ("market", quote(row.market)),
        )

    def _amounts(self, row: DealRow) -> list[tuple[str, str]]:
        return [
            ("price", self._decimal(row.price, AMOUNT_SCALE)),
            ("amount", self._decimal(row.amount, AMOUNT_SCALE)),
            ("deal", self._decimal(row.deal, MONEY_SCALE)),
            ("fee", self._decimal(row.fee, MONEY_SCALE)),
            ("deal_order_id", str(row.deal_order_id)),
        ]

    def _object(self, *members: tuple[str, str]) -> str:
        return "{" + self._comma.join(f'"{name}"{self._colon}{value}' for name, value in members) + "}"

    def _decimal(self, text: str, scale: int) -> str:
        rounds = self._rounds and not self._plain
        return f'"{column_text(text, scale) if rounds else exact_text(text)}"'

    def _detail(self, row: BalanceRow) -> str:
        """The stored object with its numbers as they are written; `{}` for anything else."""
        text = row.detail
        if not text.lstrip().startswith("{"):
            return "{}"
        try:
            text = msgspec.json.format(text, indent=-1 if self._plain else 0)
        except (msgspec.DecodeError, RecursionError):
            return "{}"
        if self._plain and row.business == _TRADE:
            text = _TRADE_DECIMAL.sub(lambda match: match[1] + exact_text(match[2]), text)
        return text


def column_text(text: str, scale: int) -> str:
    """Raw decimal text as a DECIMAL(30,`scale`) column gives it back, without trailing zeros."""
    value, own_scale = _exact(text)
    if own_scale > scale:
        divisor = fixed.power10(own_scale - scale)
        half_up = (2 * abs(value) + divisor) // (2 * divisor)
        value, own_scale = -half_up if value < 0 else half_up, scale
    return fixed.plain(value, own_scale)


def exact_text(text: str) -> str:
    """Raw decimal text in positional notation, without trailing zeros."""
    return fixed.plain(*_exact(text))


def _exact(text: str) -> tuple[int, int]:
    """Coefficient and scale (0 or more) of what the raw printer wrote; any number of digits."""
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    scale = len(fraction) - int(exponent or "0")
    value = int(whole + fraction)
    return (value, scale) if scale >= 0 else (value * fixed.power10(-scale), 0)


def _time_viabtc(time_us: int) -> str:
    """A double of seconds with 17 digits, always recognisable as a real. Source: protocol.md 0.3."""
    text = f"{time_us / 1_000_000:.17g}"
    return text if "." in text or "e" in text else text + ".0"


def _time_plain(time_us: int) -> str:
    """Seconds with exactly six decimals."""
    seconds, microseconds = divmod(time_us, 1_000_000)
    return f"{seconds}.{microseconds:06d}"
