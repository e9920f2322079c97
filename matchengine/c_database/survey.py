"""What a database of the C system has that an operator should know before it is taken over. Reads only.

Columns that hold fewer decimals than the rules, day tables of another time zone, and, if the state could not
be built, every row of the operation log that stands in the way: not only the first one.
Source: protocol.md 4.1, 4.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Final

import msgspec

from matchengine.c_database.building import parsed_operation
from matchengine.c_database.reading import CDatabaseError, read_operations, read_slices
from matchengine.c_database.subjects import Rounding
from matchengine.core.rules import Rules
from vxutils.fixed import parse_exact
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.schema import FoundColumn, found_columns, parse_type

DAYS_LOOKED_AT: Final = 7
FLUSH_S: Final = 300
"""A row goes into the table of the day on which it is written, so it may be a little older than that day."""

PROBLEMS_MAX: Final = 200
_DAY: Final = re.compile(r"operlog_(\d{8})")
_NUMBERS: Final = {
    "update_balance": slice(4, 5),
    "limit_order": slice(3, 7),
    "market_order": slice(3, 5),
    "cancel_order": slice(0, 0),
}
"""Which params of each method are decimal texts."""

Columns = dict[str, dict[str, FoundColumn]]


class Problem(msgspec.Struct, frozen=True):
    """Something found on the way; `is_fatal`: as it is, the exchange can not be taken over."""

    text: str
    is_fatal: bool = False


def rounding_of(columns: Columns, slice_time_s: int) -> Rounding:
    """What the columns of this slice cut; 0: there was no slice."""
    if not slice_time_s:
        return Rounding()
    balances, orders = columns[f"slice_balance_{slice_time_s}"], columns[f"slice_order_{slice_time_s}"]
    return Rounding(
        balance=_decimals(balances, "balance"),
        deal_money=_decimals(orders, "deal_money"),
        deal_fee=_decimals(orders, "deal_fee"),
    )


def column_problems(log: Database, rules: Rules) -> list[Problem]:
    """Where the columns of a slice are narrower than the rules. Raises: MysqlError."""
    columns = found_columns(log)
    balances, orders = columns.get("slice_balance_example"), columns.get("slice_order_example")
    if balances is None or orders is None:
        return []  # the check of the tables has said it
    found = _narrow("slice_balance", balances, "balance", {a.name: a.prec_save for a in rules.assets})
    markets = rules.markets
    money = {m.name: m.stock_prec + m.money_prec for m in markets}
    for name, needed in (
        ("price", {m.name: m.money_prec for m in markets}),
        ("left", {m.name: m.stock_prec for m in markets}),
        ("taker_fee", {m.name: m.fee_prec for m in markets}),
        ("deal_money", money),
        ("deal_fee", {m.name: money[m.name] + m.fee_prec for m in markets}),
    ):
        found += _narrow("slice_order", orders, name, needed)
    return found


def _narrow(table: str, columns: dict[str, FoundColumn], name: str, needed: dict[str, int]) -> list[Problem]:
    if name not in columns:
        return []
    decimals = _decimals(columns, name)
    names = [f"{owner} ({scale})" for owner, scale in needed.items() if scale > decimals]
    if not names:
        return []
    return [
        Problem(
            f"{table}.{name} holds {decimals} decimals, fewer than {', '.join(names)}: what is beyond is "
            "lost when the exchange is loaded from a slice, by the C system too (`vx db migrate` widens them)"
        )
    ]


def zone_problems(log: Database, zone: tzinfo, zone_name: str) -> list[Problem]:
    """Whether the newest day tables are those of this zone's days. Raises: MysqlError."""
    texts: dict[str, None] = {}
    names = sorted(str(name) for (name,) in log.rows("SHOW TABLES LIKE 'operlog\\_2%'"))
    for name in names[-DAYS_LOOKED_AT:]:
        match = _DAY.fullmatch(name)
        if match is None:
            continue
        for order in ("", " DESC"):
            for (time_s,) in log.rows(f"SELECT time FROM `{name}` ORDER BY id{order} LIMIT 1"):  # noqa: S608
                days = {f"{datetime.fromtimestamp(s, zone):%Y%m%d}" for s in (time_s, time_s + FLUSH_S)}
                at = f"{datetime.fromtimestamp(time_s, zone):%Y-%m-%d %H:%M}"
                if match.group(1) not in days:
                    text = f"{name} has an operation of {at} in {zone_name}: the C system counts its days in"
                    texts[f"{text} another time zone. Set TZ, or history.time_zone, to that one"] = None
    return [Problem(text) for text in texts]


def rows_in_the_way(log: Database) -> Iterator[Problem]:
    """Rows after the newest slice that can not be executed, whatever the state is; at most PROBLEMS_MAX.

    Raises: MysqlError.
    """
    slices = read_slices(log)
    last = slices[0].operation_id if slices else 0
    count = 0
    for operation in read_operations(log, last):
        problems = []
        if operation.id != last + 1:
            problems.append(
                f"operations {last + 1} to {operation.id - 1} are missing before {operation.table}"
            )
        last = operation.id
        try:
            method, params = parsed_operation(operation)
            if method not in _NUMBERS:
                problems.append(f"operation {operation.id} in {operation.table}: no method {method!r}")
            for text in params[_NUMBERS.get(method, slice(0, 0))]:
                if type(text) is not str or parse_exact(text) is None:
                    problems.append(f"operation {operation.id} in {operation.table} has the number {text!r}")
        except CDatabaseError as error:
            problems.append(str(error))
        for problem in problems:
            yield Problem(problem, is_fatal=True)
            count += 1
            if count == PROBLEMS_MAX:
                return


def _decimals(table: dict[str, FoundColumn], name: str) -> int:
    return parse_type(table[name].type).scale
