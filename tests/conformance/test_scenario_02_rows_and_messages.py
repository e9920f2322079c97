"""Scenario 02 leaves the rows and messages that the C system left: same content, same order per table.

Masked are auto-increment ids and the clock. MySQL rounded each decimal half-up to its column; the same is
done to ours here. Shards are split as the C system splits them. Tables of orders read back in the order of
their primary key, the order id; the others in that of insertion.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from tests.conformance.replay import VECTORS, records
from tests.matchengine.recorder.deriving import Derivation, Tables
from tests.support.configs import recorded_rules
from tests.support.inprocess import rules_of

SHARDS = 100
OPERATIONS = (102, 201, 202, 204)
TIME = "<time>"

Row = dict[str, Any]
Sharded = dict[str, list[Row]]

# Decimals of the columns. Source: protocol.md 4.5.
BALANCE_SCALES = {"change": 8, "balance": 16}
ORDER_SCALES = {
    "price": 8,
    "amount": 8,
    "taker_fee": 4,
    "maker_fee": 4,
    "deal_stock": 8,
    "deal_money": 16,
    "deal_fee": 16,
}
DEAL_SCALES = {"price": 8, "amount": 8, "deal": 16, "fee": 16, "deal_fee": 16}
SCALES = {
    "balance_history": BALANCE_SCALES,
    "order_history": ORDER_SCALES,
    "order_detail": ORDER_SCALES,
    "deal_history": DEAL_SCALES,
    "user_deal_history": DEAL_SCALES,
}
CLOCK_COLUMNS = ("time", "create_time", "finish_time")


@pytest.fixture(scope="module")
def tables() -> Tables:
    rules = recorded_rules()
    derivation = Derivation(rules_of(rules["assets"], rules["markets"]))
    time_us = 1_795_340_599_846_440
    for record in records("02_limit_basic"):
        if record.command in OPERATIONS:
            assert record.params is not None
            time_us += 1
            refusal = derivation.request(record.command, record.params, time_us)
            error = json.loads(record.raw or "")["error"]
            assert (refusal is None) == (error is None), f"{record.name}: {refusal}"
    return derivation.tables


def stored(scale: int, text: str) -> Decimal:
    """What a DECIMAL column with this many decimals makes of `text`."""
    return Decimal(text).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)


def recorded_tables() -> Sharded:
    """The recorded history tables by name; clock masked, auto-increment ids dropped."""
    found: Sharded = {}
    for name, table in json.loads((VECTORS / "02_mysql.json").read_text()).items():
        database, _, sharded = name.partition(".")
        if database != "trade_history":
            continue
        family = sharded.rpartition("_")[0]
        rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
        for row in rows:
            if not family.startswith("order"):
                del row["id"]
            mask_and_round(row, SCALES[family])
        found[sharded] = rows
    return found


def mask_and_round(row: Row, scales: dict[str, int]) -> None:
    for column in CLOCK_COLUMNS:
        if column in row:
            row[column] = TIME
    for column, scale in scales.items():
        row[column] = stored(scale, row[column])


def sharded_tables(tables: Tables) -> Sharded:
    """Our rows in the tables into which the C system's writer puts them."""
    found: defaultdict[str, list[Row]] = defaultdict(list)

    def add(family: str, shard_key: int, row: Row) -> None:
        mask_and_round(row, SCALES[family])
        found[f"{family}_{shard_key % SHARDS}"].append(row)

    for _, time, user, asset, business, change, balance, detail in tables.balances:
        row = {"time": time, "user_id": user, "asset": asset, "business": business}
        add("balance_history", user, {**row, "change": change, "balance": balance, "detail": detail})
    for order_id, _, created, finished, user, market, source, kind, side, *decimals in tables.orders:
        row = {"id": order_id, "create_time": created, "finish_time": finished, "user_id": user}
        row |= {"market": market, "source": source, "t": kind, "side": side}
        row |= dict(zip(ORDER_SCALES, decimals, strict=True))
        add("order_history", user, dict(row))
        add("order_detail", order_id, dict(row))
    for _, time, user, deal_id, order_id, other_id, side, role, market, *decimals in tables.deals:
        row = {"time": time, "user_id": user, "deal_id": deal_id, "order_id": order_id}
        row |= {"deal_order_id": other_id, "role": role, **dict(zip(DEAL_SCALES, decimals, strict=True))}
        add("deal_history", order_id, dict(row))
        add("user_deal_history", user, {**row, "market": market, "side": side})
    for name, rows in found.items():
        if name.startswith("order"):
            rows.sort(key=lambda row: int(row["id"]))
    return dict(found)


def test_the_operation_log_is_equal(tables: Tables) -> None:
    recorded = json.loads((VECTORS / "02_mysql.json").read_text())
    (log,) = (table for name, table in recorded.items() if name.startswith("trade_log.operlog_"))
    expected = [(number, detail) for number, _, detail in log["rows"]]
    assert len(expected) == 50
    assert [(number, detail) for number, _, _, detail in tables.operations] == expected


@pytest.mark.parametrize("family", SCALES)
def test_history_rows_are_equal_and_in_order(tables: Tables, family: str) -> None:
    def of_family(found: Sharded) -> Sharded:
        return {name: rows for name, rows in found.items() if name.rpartition("_")[0] == family}

    expected = of_family(recorded_tables())
    assert expected
    assert of_family(sharded_tables(tables)) == expected


@pytest.mark.parametrize(("topic", "count"), [("balances", 21), ("orders", 48), ("deals", 19)])
def test_messages_are_equal_byte_for_byte_and_in_order(tables: Tables, topic: str, count: int) -> None:
    recorded = json.loads((VECTORS / "02_kafka.json").read_text())[topic]
    assert [message["offset"] for message in recorded] == list(range(count))
    expected = [message["value"] for message in recorded]
    assert [masked(text) for text in tables.topics[topic]] == [masked(text) for text in expected]


def masked(message: str) -> str:
    """The message without the clock, whose form is checked: a real with at most seven decimals."""
    text, count = re.subn(r'(^\[|"[cm]time": )[0-9]{10}\.[0-9]{1,7}(?=,)', rf"\1{TIME}", message)
    assert count == (1 if message.startswith("[") else 2), message
    return text
