"""What the stores must hold by the journal of a data directory, and what they hold: rows, messages, candles.

The journal is executed here once more, by the recorder's replica, into a `history.db` of the test's own; that
goes on where it was at the next look.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

from marketprice.core.calendar import Calendar
from marketprice.core.market import Markets
from marketprice.messages import decode_deal
from tests.marketprice.redis_states import texts_of
from tests.matchengine.recorder_process.recording import record_all
from tests.servers.kafka import KafkaAddress
from tests.vxutils.store.mysql.databases import Pair
from vxutils.store.embedded.schema import TOPICS
from vxutils.store.kafka.headers import read_headers
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.tables import SHARDS

Rows = list[tuple[Any, ...]]
Tables = dict[str, Rows]

# Family -> column that says the shard, the columns compared, table and order in history.db.
FAMILIES = {
    "balance_history": ("user_id", ("user_id", "asset", "business", "change", "balance"), "id"),
    "order_history": ("user_id", ("id", "user_id", "market", "side", "deal_stock", "deal_money"), "id"),
    "order_detail": ("id", ("id", "user_id", "market", "side", "deal_stock", "deal_money"), "id"),
    "deal_history": ("order_id", ("deal_id", "user_id", "order_id", "role", "price", "amount"), "id"),
    "user_deal_history": ("user_id", ("deal_id", "user_id", "order_id", "side", "price", "amount"), "id"),
}
TABLE_OF = {"order_detail": "order_history", "user_deal_history": "deal_history"}
DECIMALS = frozenset({"change", "balance", "deal_stock", "deal_money", "price", "amount"})


class Truth:
    """The history that follows from the journal of `data`, kept at `path`."""

    def __init__(self, data: Path, path: Path) -> None:
        self._data = data
        self._path = path

    def renew(self) -> None:
        """Brings it up to what is durable now."""
        record_all(self._data, self._path)

    def rows(self, statement: str) -> Rows:
        with closing(sqlite3.connect(self._path)) as connection:
            return connection.execute(statement).fetchall()

    @property
    def operations(self) -> Rows:
        return self.rows("SELECT id, detail FROM operlog ORDER BY id")

    @property
    def tables(self) -> Tables:
        """Table -> its rows in order."""
        found: Tables = defaultdict(list)
        for family, (shard, columns, order) in FAMILIES.items():
            table = TABLE_OF.get(family, family)
            names = ", ".join((shard, *columns))
            for number, *values in self.rows(f"SELECT {names} FROM {table} ORDER BY {order}"):
                found[f"{family}_{number % SHARDS}"].append(_exact(columns, values))
        return dict(found)

    def messages(self, topic: str) -> Rows:
        """Sequence, number in the record, text."""
        return self.rows(
            f"SELECT sequence, idx, payload FROM messages WHERE topic = '{topic}' ORDER BY offset"
        )

    @property
    def market_data(self) -> dict[str, object]:
        markets = Markets(Calendar(UTC))
        for number, (_, _, payload) in enumerate(self.messages("deals")):
            markets.apply(decode_deal(payload, number))
        return texts_of(markets)


def operations_in(pair: Pair) -> Rows:
    return [(row[0], row[2]) for rows in pair.days().values() for row in rows]


def tables_in(pair: Pair) -> Tables:
    """Table -> its rows in order; empty ones left out."""
    found: Tables = {}
    with closing(Database(pair.history)) as database:
        for family, (_, columns, _) in FAMILIES.items():
            names = ", ".join(f"`{column}`" for column in columns)
            parts = [
                f"SELECT {shard} AS shard, id AS row_id, {names} FROM {family}_{shard}"
                for shard in range(SHARDS)
            ]
            rows = database.rows(" UNION ALL ".join(parts) + " ORDER BY shard, row_id")
            for shard, _, *values in rows:
                found.setdefault(f"{family}_{shard}", []).append(_exact(columns, values))
    return found


def messages_in(kafka: KafkaAddress, topic: str) -> Rows:
    """Sequence, number in the record, text."""
    found: Rows = []
    for message in kafka.messages(topic):
        origin = read_headers(message.headers())
        assert origin is not None, "each tells where it is from"
        found.append((origin.id.sequence, origin.id.number, (message.value() or b"").decode()))
    return found


def check_mysql(truth: Truth, pair: Pair) -> None:
    """Operations and rows: all of them, once, in order."""
    _same("operations", operations_in(pair), truth.operations)
    found, expected = tables_in(pair), truth.tables
    for table in sorted({*found, *expected}):
        _same(table, found.get(table, []), expected.get(table, []))
    assert pair.rows("log", "SELECT * FROM vx_dead_letter") == []
    assert pair.rows("history", "SELECT * FROM vx_dead_letter") == []


def check_kafka(truth: Truth, kafka: KafkaAddress) -> None:
    """Messages: all of them, once, in order."""
    for topic in TOPICS:
        _same(topic, messages_in(kafka, topic), truth.messages(topic))


def _same(what: str, found: Rows, expected: Rows) -> None:
    for number, (row, wanted) in enumerate(zip(found, expected, strict=False)):
        assert row == wanted, f"{what}: row {number}"
    assert len(found) == len(expected), f"{what}: how many"


def _exact(columns: tuple[str, ...], values: Iterable[Any]) -> tuple[Any, ...]:
    """Decimals as numbers: the columns of a database show all their zeros."""
    return tuple(
        Decimal(value) if column in DECIMALS else value for column, value in zip(columns, values, strict=True)
    )
