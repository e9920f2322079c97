"""What passes the door fits the columns, what does not is refused there: asked of the columns themselves."""

from __future__ import annotations

import json

import pytest

from tests.vxutils.store.mysql.databases import Pair
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlBadData
from vxutils.store.mysql.limits import (
    C_LIMITS,
    Amount,
    DecimalLimit,
    order_problem,
    read_limits,
    surely_fits,
    text_problem,
    update_problem,
)


def test_limits_of_the_c_columns(pair: Pair) -> None:
    log, history = Database(pair.log), Database(pair.history)
    assert read_limits(log, history) == C_LIMITS
    assert (C_LIMITS.business_characters, C_LIMITS.detail_bytes) == (30, 65_535)
    assert (C_LIMITS.amount, C_LIMITS.rate) == (DecimalLimit(30, 8), DecimalLimit(30, 4))
    assert (C_LIMITS.balance, C_LIMITS.takes_four_byte_characters) == (DecimalLimit(30, 16), False)
    history.run("ALTER TABLE balance_history_7 MODIFY business VARCHAR(40) NOT NULL")
    assert read_limits(log, history) == C_LIMITS  # the narrowest shard counts
    history.run("ALTER TABLE balance_history_7 MODIFY business VARCHAR(30) NOT NULL")
    log.close()
    history.close()


@pytest.mark.parametrize(
    ("limit", "amount", "holds", "is_in_range"),
    [
        (DecimalLimit(6, 2), (999_999, 2), True, True),
        (DecimalLimit(6, 2), (-999_999, 2), True, True),
        (DecimalLimit(6, 2), (1_000_000, 2), False, False),
        (DecimalLimit(6, 2), (9_999, 0), True, True),
        (DecimalLimit(6, 2), (10_000, 0), False, False),
        (DecimalLimit(6, 2), (1_230, 3), True, True),
        (DecimalLimit(6, 2), (1_234, 3), False, True),
        (DecimalLimit(6, 2), (9_999_994, 3), False, True),
        (DecimalLimit(6, 2), (9_999_995, 3), False, False),
    ],
)
def test_decimals_agree_with_a_column(
    pair: Pair, limit: DecimalLimit, amount: Amount, holds: bool, is_in_range: bool
) -> None:
    assert (limit.holds(amount), limit.is_in_range(amount)) == (holds, is_in_range)
    value, scale = amount
    text = f"{'-' if value < 0 else ''}{abs(value) // 10**scale}.{abs(value) % 10**scale:0{max(scale, 1)}d}"
    database = Database(pair.log)
    database.run("CREATE TEMPORARY TABLE digits (d DECIMAL(6,2))")
    if is_in_range:
        database.run("INSERT INTO digits VALUES (%s)", (text,))
        ((stored,),) = database.rows("SELECT d FROM digits")
        assert (float(stored) == float(text)) is holds
    else:
        with pytest.raises(MysqlBadData):
            database.run("INSERT INTO digits VALUES (%s)", (text,))
    database.close()


ONE: Amount = (1, 0)


@pytest.mark.parametrize(
    ("changed", "parameter"),
    [
        ({}, None),
        ({"market": "m" * 31}, "market"),
        ({"source": "s" * 30}, None),
        ({"source": "s" * 31}, "source"),
        ({"amount": (1, 9)}, "amount"),
        ({"price": (10**22, 0)}, "price"),
        ({"rates": [("taker_fee", (1, 4)), ("maker_fee", (11, 5))]}, "maker_fee"),
    ],
)
def test_orders(changed: dict[str, object], parameter: str | None) -> None:
    order = {"market": "BTCUSD", "source": "", "amount": ONE, "price": ONE, "rates": [("taker_fee", ONE)]}
    problem = order_problem(C_LIMITS, **{**order, **changed})  # type: ignore[arg-type]
    assert (problem and problem.parameter) == parameter


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({}, None),
        ({"asset": "a" * 31}, "at most 30 characters"),
        ({"business": "\u00e9" * 30}, None),
        ({"business": "b" * 31}, "at most 30 characters"),
        ({"change": (1, 9)}, "at most 22 digits before the dot and 8 after it"),
        ({"total_after": (10**14, 0)}, "a total of the asset with at most 14 digits"),
        ({"total_after": (10**14, 0), "change": (-1, 0)}, None),
    ],
)
def test_updates(changed: dict[str, object], rule: str | None) -> None:
    update = {"asset": "BTC", "business": "deposit", "change": ONE, "total_after": ONE}
    problem = update_problem(C_LIMITS, **{**update, **changed})  # type: ignore[arg-type]
    assert (problem and problem.rule) == rule


@pytest.mark.parametrize(
    ("text", "is_sure", "rule"),
    [
        ("plain", True, None),
        ("\uffff\u20ac", True, None),
        ("\U0001f600", False, "characters up to U+FFFF"),
        ("\\ud83d", False, None),  # no escape, but a backslash and letters
        ("x" * 10_000, True, None),
        ("x" * 20_000, False, None),
        ("x" * 70_000, False, "at most 65535 bytes where it is stored"),
        ("\u20ac" * 21_846, False, "at most 65535 bytes where it is stored"),
    ],
)
def test_texts(text: str, is_sure: bool, rule: str | None) -> None:
    for params in (json.dumps([text]), json.dumps([text], ensure_ascii=False)):
        if len(text) < 20_000:
            assert surely_fits(C_LIMITS, params.encode()) is is_sure
    problem = text_problem(C_LIMITS, "", text)
    assert (problem and problem.rule) == rule
