"""The same rows in both stores: every query gives the same page, and the same position."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateways.readhistory.embedded import EmbeddedHistory
from gateways.readhistory.mysql import MysqlHistory
from gateways.readhistory.store import (
    BalanceHistory,
    FinishedOrder,
    FinishedOrders,
    HistoryStore,
    OrderDeals,
    UserDeals,
)
from tests.vxutils.store.histories import BEGIN_US, make_history
from tests.vxutils.store.mysql.databases import Pair, rows_only
from vxutils.store.embedded.schema import HISTORY_FILE

RECORDS = 60
BEGIN_S = BEGIN_US // 1_000_000
TIMES = [(0, 0), (BEGIN_S + 20, 0), (0, BEGIN_S + 40), (BEGIN_S + 20, BEGIN_S + 21)]
PAGES = [(0, 101), (2, 3), (-1, 5), (2**62, 1)]

Stores = tuple[HistoryStore, HistoryStore]


@pytest.fixture
def stores(pair: Pair, tmp_path: Path) -> Iterator[Stores]:
    writer = pair.open()
    writer.append(rows_only(0, RECORDS))
    writer.close()
    make_history(tmp_path / HISTORY_FILE, RECORDS).close()
    both = (MysqlHistory(pair.history, 10.0), EmbeddedHistory(tmp_path / HISTORY_FILE, 10.0))
    yield both
    for store in both:
        store.close()


def comparable(row: msgspec.Struct, *unknown: str) -> dict[str, Any]:
    """Without automatic ids and what MySQL does not have; decimals without trailing zeros."""
    values = msgspec.to_builtins(row)
    left_out = {"sequence", *unknown} | ({"id"} if "t" not in values else set())
    kept = {name: value for name, value in values.items() if name not in left_out}
    for name in kept.keys() - {"detail", "asset", "business", "market", "source"}:
        if isinstance(kept[name], str):
            kept[name] = kept[name].rstrip("0").rstrip(".") if "." in kept[name] else kept[name]
    return kept


def test_pages_and_positions(stores: Stores) -> None:
    mysql, embedded = stores
    assert mysql.position() == embedded.position()
    seen = 0
    for user, (start, end), (offset, limit) in itertools.product((1, 3, 9), TIMES, PAGES):
        for asset, business in (("", ""), ("BTC", ""), ("", "trade"), ("USD", "deposit")):
            changes = BalanceHistory(user, asset, business, start, end, offset, limit)
            pages = [store.balance_history(changes) for store in stores]
            assert pages[0].as_of == pages[1].as_of
            found = [[comparable(row) for row in page.rows] for page in pages]
            assert found[0] == found[1], changes
            seen += len(found[0])
        for market, side in itertools.product(("BTCUSD", "LTCUSD"), (0, 1, 2)):
            orders = FinishedOrders(user, market, side, start, end, offset, limit)
            listed = [[comparable(row) for row in store.finished_orders(orders).rows] for store in stores]
            assert listed[0] == listed[1], orders
            seen += len(listed[0])
    for (offset, limit), number in itertools.product(PAGES, (7, 30, 999)):
        of_order = OrderDeals(number, offset, limit)
        deals = [
            [comparable(row, "market", "side") for row in store.order_deals(of_order).rows]
            for store in stores
        ]
        assert deals[0] == deals[1]
        of_user = UserDeals(number % 3 + 1, "BTCUSD", offset, limit)
        trades = [[comparable(row) for row in store.user_deals(of_user).rows] for store in stores]
        assert trades[0] == trades[1]
        seen += len(deals[0]) + len(trades[0])
    assert seen > 400


def test_one_order(stores: Stores) -> None:
    found = [store.finished_order(FinishedOrder(7)) for store in stores]
    assert found[0] is not None and found[1] is not None
    assert comparable(found[0]) == comparable(found[1])
    assert [store.finished_order(FinishedOrder(99)) for store in stores] == [None, None]
