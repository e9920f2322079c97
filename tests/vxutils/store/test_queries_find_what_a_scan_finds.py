"""The five queries, against the same rows filtered one by one."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.vxutils.store.histories import (
    ASSETS,
    BUSINESSES,
    MARKETS,
    USERS,
    batch_of,
    make_history,
    time_of,
)
from vxutils.store.embedded.history import UNION_PARTS_MAX, HistoryReader, _balance_ids
from vxutils.store.embedded.schema import HistoryBatch, HistoryPosition

RECORDS = 400
OLDER_INDEX = """
DROP INDEX balance_history_business;
CREATE INDEX balance_history_business ON balance_history (user_id, asset, business, id);
"""
TIMES = (
    0,
    time_of(0),
    time_of(1),
    time_of(57),
    time_of(57) + 1,
    time_of(200),
    time_of(RECORDS),
    time_of(9999),
)


@pytest.fixture(scope="module", params=["as made", "with all rows in the index by business"])
def reader(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HistoryReader]:
    path = tmp_path_factory.mktemp("history") / "history.db"
    writer = make_history(path, RECORDS)
    if request.param != "as made":
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(OLDER_INDEX)
    reader = HistoryReader(path)
    yield reader
    reader.close()
    writer.close()


BATCH = batch_of(0, RECORDS)


def inside(time_us: int, start_us: int, end_us: int) -> bool:
    return (not start_us or time_us >= start_us) and (not end_us or time_us < end_us)


def page(rows: list[Any], offset: int, limit: int) -> list[Any]:
    return rows[::-1][offset : offset + limit]


@pytest.mark.parametrize("asset", ["", *ASSETS, "NONE"])
@pytest.mark.parametrize("business", ["", *BUSINESSES, "none"])
def test_balance_history(reader: HistoryReader, asset: str, business: str) -> None:
    chance = random.Random(1)
    for user, start, end in itertools.product((*USERS, 99), TIMES, TIMES):
        rows: list[Any] = [
            row[0]
            for row in BATCH.balances
            if row[2] == user
            and (not asset or row[3] == asset)
            and (not business or row[4] == business)
            and inside(row[1], start, end)  # type: ignore[arg-type]
        ]
        offset = chance.choice((0, 1, 7, 60, 500))
        found = reader.balance_history(user, asset, business, start, end, offset, 11)
        assert [row.sequence for row in found] == page(rows, offset, 11), (user, start, end, offset)


def test_a_user_of_very_many_assets(tmp_path: Path) -> None:
    """More than one query can merge: none is left out."""
    assets = [f"A{number:04}" for number in range(2 * UNION_PARTS_MAX + 50)]
    chance = random.Random(3)
    batch = HistoryBatch(0, HistoryPosition(2000))
    for sequence in range(1, 2001):
        asset = assets[sequence - 1] if sequence <= len(assets) else chance.choice(assets)
        row = (sequence, time_of(sequence), 7, asset, BUSINESSES[sequence % 2], "1", "1", "{}")
        batch.balances.append(row)
    reader = HistoryReader(tmp_path / "history.db")
    with closing(make_history(tmp_path / "history.db")) as writer, closing(reader):
        writer.append(batch)
        for offset, business in itertools.product((0, 1, 777, 1995, 5000, 2**63 - 1), ("", *BUSINESSES)):
            rows: list[Any] = [row[0] for row in batch.balances if business in ("", row[4])]
            found = reader.balance_history(7, "", business, 0, time_of(1990), offset, 11)
            expected = page([row for row in rows if row < 1990], offset, 11)
            assert [row.sequence for row in found] == expected, (offset, business)


@pytest.mark.parametrize("side", [0, 1, 2])
def test_finished_orders(reader: HistoryReader, side: int) -> None:
    chance = random.Random(2)
    for user, market, start, end in itertools.product(USERS, (*MARKETS, "NONE"), TIMES, TIMES):
        rows: list[Any] = [
            row[0]
            for row in BATCH.orders
            if (row[4], row[5]) == (user, market) and side in (0, row[8]) and inside(row[2], start, end)  # type: ignore[arg-type]
        ]
        offset = chance.choice((0, 3, 20, 100))
        found = reader.finished_orders(user, market, start, end, side, offset, 5)
        assert [row.id for row in found] == page(rows, offset, 5), (user, market, start, end, offset)


def test_deals(reader: HistoryReader) -> None:
    for order_id in (0, 1, 17, RECORDS, RECORDS + 1):
        rows = [(row[3], row[13]) for row in BATCH.deals if row[4] == order_id]
        found = [(row.deal_id, row.deal_fee) for row in reader.order_deals(order_id, 0, 10)]
        assert found == rows[::-1]
    for user, market, offset in itertools.product(USERS, MARKETS, (0, 1, 50, 130)):
        rows = [(row[3], row[4]) for row in BATCH.deals if (row[2], row[8]) == (user, market)]
        found = [(row.deal_id, row.order_id) for row in reader.user_deals(user, market, offset, 7)]  # type: ignore[misc]
        assert found == page(rows, offset, 7)


def test_one_order(reader: HistoryReader) -> None:
    order = reader.finished_order(42)
    assert order is not None
    assert (order.id, order.user_id, order.finish_us) == (42, 1, time_of(42) + 1)
    assert (order.market, order.source, order.deal_fee) == ("BTCBCH", "test", "5")
    assert reader.finished_order(RECORDS + 1) is None


def test_messages_have_gapless_offsets(reader: HistoryReader) -> None:
    found = reader.messages("deals", 0, 1000)
    assert [message.offset for message in found] == list(range(RECORDS))
    assert [message.payload for message in found] == [str(number) for number in range(1, RECORDS + 1)]
    found = reader.messages("orders", 30, 4)
    assert [(m.offset, m.sequence, m.idx) for m in found] == [
        (30, 61, 1),
        (31, 63, 1),
        (32, 65, 1),
        (33, 67, 1),
    ]
    assert reader.messages("balances", 0, 10) == []
    assert reader.next_offset("deals") == RECORDS
    assert reader.next_offset("orders") == RECORDS // 2
    assert reader.next_offset("balances") == 0


@pytest.mark.parametrize(
    "query",
    [
        *(_balance_ids(1, "BTC", business, 1, 9)[0] for business in ("", "deposit", "trade")),
        "SELECT id FROM order_history WHERE user_id = 1 AND market = 'BTCBCH' AND side = 1 AND id >= 1",
        "SELECT id FROM deal_history WHERE user_id = 1 AND market = 'BTCBCH'",
        "SELECT id FROM deal_history WHERE order_id = 1",
        "SELECT min(asset) FROM balance_history WHERE user_id = 1 AND asset > 'BTC'",
    ],
)
def test_pages_are_chosen_over_an_index_alone(reader: HistoryReader, query: str) -> None:
    """Or an offset of a million would read a million rows."""
    order = "" if "min(" in query else " ORDER BY id DESC LIMIT 5 OFFSET 1000000"
    with reader._reading() as connection:
        values = [1] * query.count("?")
        plan = connection.execute(f"EXPLAIN QUERY PLAN {query}{order}", values).fetchall()
    steps = [text for *_, text in plan if text.startswith(("SEARCH", "SCAN"))]
    assert steps and all("USING COVERING INDEX" in text for text in steps), plan
    assert not any("TEMP B-TREE" in text for *_, text in plan), plan
