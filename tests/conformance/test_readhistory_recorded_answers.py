"""Readhistory answers the recorded queries from the recorded rows: byte for byte, or equal in value.

The rows that scenario 02 left in MySQL are put into a `history.db`; times are recorded with the queries, so
nothing is masked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conformance.comparing import assert_equal_in_value
from tests.conformance.replay import VECTORS, Record, Replay, records
from tests.gateways.readhistory.running import Service
from tests.gateways.readhistory.samples import TOML, c_config, write_history

FILE = "02_marketprice_readhistory"
COMMANDS = (103, 208, 209, 210, 306)
RECORDED = 59
SEQUENCE = 77

ORDER_NAMES = (
    "user_id",
    "market",
    "source",
    "t",
    "side",
    "price",
    "amount",
    "taker_fee",
    "maker_fee",
    "deal_stock",
    "deal_money",
    "deal_fee",
)
DEAL_NAMES = (
    "user_id",
    "deal_id",
    "order_id",
    "deal_order_id",
    "side",
    "role",
    "market",
    "price",
    "amount",
    "deal",
    "fee",
    "deal_fee",
)


def queries() -> list[Record]:
    found = [record for record in records(FILE) if record.command in COMMANDS]
    assert len(found) == RECORDED
    return found


def rows_of(family: str) -> Iterator[dict[str, Any]]:
    """Rows of all shards of a table family. The dumping tool wrote a zero of 16 decimals as `0E-16`."""
    tables = json.loads((VECTORS / "02_mysql.json").read_text())
    for name, table in tables.items():
        if name.rpartition("_")[0] == f"trade_history.{family}":
            for row in table["rows"]:
                values = ("0e-16" if value == "0E-16" else value for value in row)
                yield dict(zip(table["columns"], values, strict=True))


def microseconds(time_s: float) -> int:
    return round(time_s * 1_000_000)


def write_recorded_rows(data: Path) -> None:
    """As the recorder would have written them: in the order of time."""
    balances = [
        (
            1,
            microseconds(row["time"]),
            *(row[name] for name in ["user_id", "asset", "business", "change", "balance", "detail"]),
        )
        for row in sorted(rows_of("balance_history"), key=lambda row: (row["time"], row["id"]))
    ]
    orders = [
        (
            row["id"],
            1,
            microseconds(row["create_time"]),
            microseconds(row["finish_time"]),
            *(row[name] for name in ORDER_NAMES),
        )
        for row in sorted(rows_of("order_history"), key=lambda row: row["id"])
    ]
    deals = [
        (1, microseconds(row["time"]), *(row[name] for name in DEAL_NAMES))
        for row in sorted(rows_of("user_deal_history"), key=lambda row: (row["deal_id"], row["side"]))
    ]
    assert balances and orders and deals
    write_history(
        data, balances=balances, orders=orders, deals=deals, sequence=SEQUENCE, time_us=balances[-1][1]
    )


def test_bytes_are_equal_with_the_c_configuration(tmp_path: Path) -> None:
    service = Service("readhistory", tmp_path, c_config(), ["--embedded"])
    write_recorded_rows(service.data)
    with service, Replay(service.address()) as replay:
        for record in queries():
            outcome = replay.send(record)
            assert [packet.body.decode() for packet in outcome.replies] == [record.raw], record.name


def test_values_are_equal_in_plain_style(tmp_path: Path) -> None:
    service = Service("readhistory", tmp_path, TOML)
    write_recorded_rows(service.data)
    with service, Replay(service.address()) as replay:
        for record in queries():
            (packet,) = replay.send(record).replies
            reply = packet.body.decode()
            body = json.loads(reply)
            if record.command != 210 and body["error"] is None:
                assert body["result"].pop("as_of")["sequence"] == SEQUENCE
                reply = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
            assert record.raw is not None
            try:
                assert_equal_in_value(reply, record.raw)
            except AssertionError as difference:
                raise AssertionError(f"{record.name} {record.params}: {difference}") from None
