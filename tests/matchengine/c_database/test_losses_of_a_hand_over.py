"""What the C system would not have of a state is named by its value; what would change the exchange stops."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from matchengine.c_database.losses import SliceColumns, as_c_reads, losses
from tests.support.inprocess import InProcessEngine
from vxutils.store.mysql.limits import DecimalLimit
from vxutils.store.mysql.schema import parse_type
from vxutils.store.mysql.tables import LOG_TABLES

TYPES = [
    (column.name, parse_type(column.type))
    for table in ("slice_order_example", "slice_balance_example")
    for column in LOG_TABLES[table].columns
]
C_COLUMNS = SliceColumns(
    {name: DecimalLimit(parsed.size, parsed.scale) for name, parsed in TYPES if parsed.word == "decimal"},
    30,
    30,
    False,
)
WIDE = msgspec.structs.replace(
    C_COLUMNS, decimals={name: DecimalLimit(65, 30) for name in C_COLUMNS.decimals}
)

ASSETS = [{"name": "WEI", "prec_save": 20}, {"name": "BCH", "prec_save": 20}, {"name": "🜚", "prec_save": 8}]
MARKETS = [
    {
        "name": "WEIBCH",
        "stock": {"name": "WEI", "prec": 12},
        "money": {"name": "BCH", "prec": 8},
        "fee_prec": 4,
        "min_amount": "0",
    }
]


@pytest.fixture
def made() -> InProcessEngine:
    return InProcessEngine(ASSETS[:2], MARKETS)


def deposit(made: InProcessEngine, user: int, asset: str, amount: str) -> None:
    assert made.call(102, [user, asset, "d", user, amount, {}], 1)["error"] is None


def place(made: InProcessEngine, user: int, side: int, amount: str, price: str) -> None:
    params: list[Any] = [user, "WEIBCH", side, amount, price, "0.0012", "0.0012", ""]
    assert made.call(201, params, 2)["error"] is None


def told(made: InProcessEngine, columns: SliceColumns = C_COLUMNS) -> list[tuple[str, bool]]:
    return [(str(loss), loss.is_fatal) for loss in losses(made.engine, columns)]


def test_what_fits_is_not_named(made: InProcessEngine) -> None:
    deposit(made, 1, "WEI", "7.1234567890123456")
    place(made, 1, 1, "1.5", "0.00000007")
    assert told(made) == []


def test_the_end_of_a_balance_may_go(made: InProcessEngine) -> None:
    deposit(made, 1, "WEI", "7.12345678901234567890")
    assert told(made) == [
        ("available WEI of user 1: 7.1234567890123456789 would become 7.1234567890123457", False)
    ]
    assert told(made, WIDE) == []


def test_what_an_order_has_done_may_lose_digits(made: InProcessEngine) -> None:
    deposit(made, 1, "WEI", "9")
    deposit(made, 2, "BCH", "9")
    place(made, 1, 1, "2", "0.00000700")
    place(made, 2, 2, "0.10001", "0.00000700")
    found = dict(told(made))
    assert found == {"deal_fee of order 1 in WEIBCH: 0.000000000840084 would become 0.00000000084": False}
    assert told(made, WIDE) == []


def test_an_order_that_would_be_another_one_stops(made: InProcessEngine) -> None:
    deposit(made, 1, "WEI", "9")
    place(made, 1, 1, "2.000000000001", "0.00000700")
    found = told(made)
    assert ("left of order 1 in WEIBCH: 2.000000000001 would become 2", True) in found
    assert told(made, WIDE) == []


def test_less_frozen_than_the_orders_need_stops(made: InProcessEngine) -> None:
    """Rounded down, the last of the orders could not be cancelled."""
    deposit(made, 1, "BCH", "9")
    place(made, 1, 2, "0.00000001", "0.00000001")
    narrow = msgspec.structs.replace(
        C_COLUMNS, decimals={**C_COLUMNS.decimals, "balance": DecimalLimit(30, 12)}
    )
    found = told(made, narrow)
    assert ("frozen BCH of user 1: 0.0000000000000001 would become 0", False) in found
    assert (
        "frozen BCH of user 1: less would be frozen than the orders need, they could get stuck",
        True,
    ) in (found)


def test_a_value_too_large_for_its_column_stops(made: InProcessEngine) -> None:
    deposit(made, 1, "WEI", "100000000000000")
    assert [is_fatal for _, is_fatal in told(made)] == [True]
    assert "is too large, the column has at most 14 digits before the dot" in told(made)[0][0]
    assert told(made, WIDE) == []


def test_more_digits_than_the_c_system_computes_with(made: InProcessEngine) -> None:
    deposit(made, 1, "WEI", "1234567890123456.12345678901234567891")
    assert told(made, WIDE) == [
        (
            "available WEI of user 1: 1234567890123456.12345678901234567891 would become "
            "1234567890123456.123456789012345678",
            False,
        )
    ]


def test_names_that_the_columns_can_not_hold() -> None:
    made = InProcessEngine(ASSETS, MARKETS)
    assert told(made) == [("asset 🜚: the column holds characters up to U+FFFF", True)]
    assert told(made, msgspec.structs.replace(C_COLUMNS, takes_all=True)) == []


@pytest.mark.parametrize(
    ("value", "scale", "column", "prec", "read"),
    [
        (15, 1, DecimalLimit(30, 8), 8, (150000000, 8)),
        (15, 1, DecimalLimit(30, 8), 0, (150000000, 8)),
        (123456789015, 11, DecimalLimit(30, 8), 8, (123456789, 8)),
        (5, 9, DecimalLimit(30, 8), 8, (1, 8)),  # the column rounds half up
        (19, 1, DecimalLimit(30, 8), 1, (19, 1)),
        (10**34 + 9, 0, DecimalLimit(65, 30), 8, (10**42, 8)),  # the 35th digit is cut
    ],
)
def test_the_way_of_a_number(
    value: int, scale: int, column: DecimalLimit, prec: int, read: tuple[int, int]
) -> None:
    assert as_c_reads(value, scale, column, prec) == read
