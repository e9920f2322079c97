"""The five queries on a file of the recorder: filters, order, pages, times; missing and replaced files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateways.readhistory.embedded import EmbeddedHistory
from gateways.readhistory.store import (
    BalanceHistory,
    FinishedOrder,
    FinishedOrders,
    OrderDeals,
    QueryTooLong,
    StoreFailed,
    StoreNotThere,
    UserDeals,
)
from tests.gateways.readhistory.samples import balance, deal, order, write_history
from vxutils.store.embedded.schema import HISTORY_FILE

S = 1_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedHistory]:
    history = EmbeddedHistory(tmp_path / HISTORY_FILE, 10.0)
    yield history
    history.close()


def fill(data: Path) -> None:
    """User 7: ten changes, BTC at even seconds, ETH at odd ones, every third one a deposit."""
    balances = [
        balance(7, "ETH" if n % 2 else "BTC", n * S, business="trade" if n % 3 else "deposit", change=str(n))
        for n in range(1, 11)
    ]
    balances.insert(5, balance(8, "BTC", 5 * S))
    orders = [order(n, 7, "M" if n < 9 else "N", n * S, side=1 + n % 2) for n in range(1, 11)]
    deals = [
        row
        for n in range(1, 6)
        for row in (deal(n, 7, 100 + n % 2, "M", side=1), deal(n, 8, 200, "M", side=2, role=2))
    ]
    write_history(data, balances=balances, orders=orders, deals=deals, sequence=42, time_us=10 * S)


BALANCES: list[tuple[BalanceHistory, list[int]]] = [
    (BalanceHistory(7, "", "", 0, 0, 0, 101), [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
    (BalanceHistory(7, "", "", 0, 0, 3, 4), [7, 6, 5, 4]),
    (BalanceHistory(7, "", "", 0, 0, 9, 4), [1]),
    (BalanceHistory(7, "", "", 0, 0, 10, 4), []),
    (BalanceHistory(7, "", "", 0, 0, 2**63 - 1, 4), []),
    (BalanceHistory(7, "", "", 0, 0, -1, 4), []),
    (BalanceHistory(7, "BTC", "", 0, 0, 0, 101), [10, 8, 6, 4, 2]),
    (BalanceHistory(7, "", "deposit", 0, 0, 0, 101), [9, 6, 3]),
    (BalanceHistory(7, "ETH", "deposit", 0, 0, 0, 101), [9, 3]),
    (BalanceHistory(7, "", "", 4, 7, 0, 101), [6, 5, 4]),
    (BalanceHistory(7, "BTC", "", 4, 7, 0, 101), [6, 4]),
    (BalanceHistory(7, "BTC", "", 4, 7, 1, 101), [4]),
    (BalanceHistory(7, "", "", 9, 0, 0, 101), [10, 9]),
    (BalanceHistory(7, "", "", 0, 2, 0, 101), [1]),
    (BalanceHistory(7, "", "", 11, 0, 0, 101), []),
    (BalanceHistory(7, "", "", 5, 5, 0, 101), []),
    (BalanceHistory(7, "", "", 2**63 - 1, 0, 0, 101), []),
    (BalanceHistory(7, "", "", 0, 2**63 - 1, 0, 2), [10, 9]),
    (BalanceHistory(9, "", "", 0, 0, 0, 101), []),
    (BalanceHistory(7, "' OR 1=1 --", "", 0, 0, 0, 101), []),
]


def test_balance_history(tmp_path: Path, store: EmbeddedHistory) -> None:
    fill(tmp_path)
    for query, expected in BALANCES:
        page = store.balance_history(query)
        assert [int(row.change) for row in page.rows] == expected, query
        assert page.as_of == (42, 10 * S)


ORDERS: list[tuple[FinishedOrders, list[int]]] = [
    (FinishedOrders(7, "M", 0, 0, 0, 0, 101), [8, 7, 6, 5, 4, 3, 2, 1]),
    (FinishedOrders(7, "M", 1, 0, 0, 0, 101), [8, 6, 4, 2]),
    (FinishedOrders(7, "M", 2, 0, 0, 1, 2), [5, 3]),
    (FinishedOrders(7, "M", 0, 3, 6, 0, 101), [5, 4, 3]),
    (FinishedOrders(7, "M", 0, 3, 6, 2, 101), [3]),
    (FinishedOrders(7, "", 0, 0, 0, 0, 101), []),
    (FinishedOrders(8, "M", 0, 0, 0, 0, 101), []),
]


def test_finished_orders(tmp_path: Path, store: EmbeddedHistory) -> None:
    fill(tmp_path)
    for query, expected in ORDERS:
        assert [row.id for row in store.finished_orders(query).rows] == expected, query


def test_deals_and_single_orders(tmp_path: Path, store: EmbeddedHistory) -> None:
    fill(tmp_path)
    assert [row.deal_id for row in store.order_deals(OrderDeals(101, 0, 101)).rows] == [5, 3, 1]
    assert [row.deal_id for row in store.order_deals(OrderDeals(101, 1, 1)).rows] == [3]
    assert [row.deal_id for row in store.user_deals(UserDeals(8, "M", 1, 2)).rows] == [4, 3]
    assert store.user_deals(UserDeals(8, "N", 0, 2)).rows == []
    found = store.finished_order(FinishedOrder(3))
    assert found is not None and (found.id, found.create_us, found.user_id) == (3, 3 * S, 7)
    assert store.finished_order(FinishedOrder(2**63 - 1)) is None


def test_a_missing_file_is_told_and_found_when_it_comes(tmp_path: Path, store: EmbeddedHistory) -> None:
    with pytest.raises(StoreNotThere, match="not there yet"):
        store.position()
    (tmp_path / HISTORY_FILE).touch()
    with pytest.raises(StoreNotThere):
        store.position()
    fill(tmp_path)
    assert store.position() == (42, 10 * S)


def test_rows_of_a_running_writer_are_seen(tmp_path: Path, store: EmbeddedHistory) -> None:
    fill(tmp_path)
    assert store.position().sequence == 42
    write_history(tmp_path, balances=[balance(7, "BTC", 11 * S, change="11")], sequence=43, after=42)
    page = store.balance_history(BalanceHistory(7, "", "", 0, 0, 0, 1))
    assert [row.change for row in page.rows] == ["11"]
    assert page.as_of.sequence == 43


def test_a_replaced_file_is_noticed(tmp_path: Path, store: EmbeddedHistory) -> None:
    fill(tmp_path)
    assert store.position().sequence == 42
    for path in tmp_path.glob(f"{HISTORY_FILE}*"):
        path.rename(path.with_name(f"bad-{path.name}"))
    with pytest.raises(StoreNotThere):
        store.position()
    write_history(tmp_path, sequence=5)
    assert store.position().sequence == 5


def test_a_damaged_file_is_a_failure(tmp_path: Path, store: EmbeddedHistory) -> None:
    (tmp_path / HISTORY_FILE).write_bytes(b"no database at all" * 1000)
    with pytest.raises(StoreFailed, match="not a database"):
        store.position()


def test_a_query_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    write_history(tmp_path, balances=[balance(7, "BTC", n * S) for n in range(20_000)])
    times = iter([0.0, 0.0, 0.0, *range(1, 10_000)])
    store = EmbeddedHistory(tmp_path / HISTORY_FILE, 0.5, lambda: next(times))
    with pytest.raises(QueryTooLong, match=r"0\.5 s"):
        store.balance_history(BalanceHistory(7, "BTC", "", 0, 0, 19_999, 1))
    store.close()


def test_nothing_can_be_written_through_it(tmp_path: Path, store: EmbeddedHistory) -> None:
    fill(tmp_path)
    store.position()
    connection = store._reader._connection
    assert connection is not None
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM balance_history")


def test_a_page_deep_down_reads_only_its_own_rows(tmp_path: Path) -> None:
    """200,000 rows of two assets: skipping nearly all of them costs a walk through an index, no row."""
    write_history(
        tmp_path,
        balances=[balance(7, "BTC" if n % 2 else "ETH", n * S, change=str(n)) for n in range(200_000)],
    )
    store = EmbeddedHistory(tmp_path / HISTORY_FILE, 2.0)  # reading and sorting rows takes longer
    page = store.balance_history(BalanceHistory(7, "", "", 0, 0, 199_900, 50))
    assert [int(row.change) for row in page.rows] == list(range(99, 49, -1))
    page = store.balance_history(BalanceHistory(7, "BTC", "", 50, 150_000, 70_000, 3))
    assert [int(row.change) for row in page.rows] == [9_999, 9_997, 9_995]
    store.close()
