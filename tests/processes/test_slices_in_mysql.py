"""Slices in the database are those of the C system; what was written can be taken over again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from matchengine import slices, system
from matchengine.c_database.building import build
from matchengine.recorder.c_slices import SliceOrder, put_slice
from tests.matchengine.c_database.left_by_c import RULES, SLICE_S, exchange_after_scenario, recorded
from tests.matchengine.c_database.test_state_of_a_c_database import balances, orders
from tests.processes.histories_in_mysql import exchange, mysql_config
from tests.processes.test_history_in_mysql import play_scenario
from tests.servers.mariadb import MariaDbAddress
from tests.support.processes import wait_until
from tests.vxutils.store.mysql.databases import Pair, fresh
from vxutils.disk import Disk
from vxutils.store.mysql.connection import Database

CLOCK = (3, 4)  # columns of an order
DAY_S = 86_400


@pytest.fixture(scope="module")
def made_pair(mariadb: MariaDbAddress) -> Pair:
    return Pair(mariadb)


@pytest.fixture
def pair(made_pair: Pair) -> Iterator[Pair]:
    yield from fresh(made_pair)


def masked(rows: list[Any]) -> list[list[Any]]:
    """Orders without the clock."""
    return [[value for column, value in enumerate(row) if column not in CLOCK] for row in rows]


def test_a_slice_has_the_rows_of_the_c_system(tmp_path: Path, pair: Pair) -> None:
    with exchange(tmp_path, mysql_config(pair)) as made:
        play_scenario(made.engine)
        made.history.wait_until_committed()
        made.stop()
        data = made.engine.data_dir
    disk = Disk()
    system_id = system.read_system(disk, data).id_bytes
    good, _ = slices.newest_good_slice(disk, data / "slices", system_id, None)
    assert good is not None
    order = SliceOrder(log=pair.log, interval_s=60, keep_s=DAY_S)
    old_s = good.header.time_us // 1_000_000 - 2 * DAY_S
    pair.run(
        "log",
        f"INSERT INTO slice_history VALUES (NULL, {old_s}, 0, 0, 0)",
        f"CREATE TABLE slice_order_{old_s} LIKE slice_order_example",
    )
    assert put_slice(disk, good, order)
    assert not put_slice(disk, good, order), "there is one of this interval"
    ((time_s, *counters),) = pair.rows(
        "log", "SELECT time, end_oper_id, end_order_id, end_deals_id FROM slice_history"
    )
    assert counters == [50, 27, 19]
    assert not pair.rows("log", f"SHOW TABLES LIKE 'slice_order_{old_s}'"), "it was too old"
    tables = recorded()
    found = pair.rows("log", f"SELECT * FROM slice_order_{time_s} ORDER BY id")
    assert masked(found) == masked(tables[f"slice_order_{SLICE_S}"]["rows"])
    found = pair.rows("log", f"SELECT user_id, asset, t, balance FROM slice_balance_{time_s}")
    expected = [tuple(row[1:]) for row in tables[f"slice_balance_{SLICE_S}"]["rows"]]
    assert sorted(found) == sorted(expected)


def test_the_recorder_writes_one_and_it_can_be_taken_over(tmp_path: Path, pair: Pair) -> None:
    with exchange(tmp_path, mysql_config(pair, slice_interval_s=DAY_S)) as made:
        play_scenario(made.engine, 0, 30)
        wait_until(
            lambda: bool(pair.rows("log", "SELECT * FROM slice_history")),
            "the first slice",
            20.0,
        )
        play_scenario(made.engine, 30)
        made.history.wait_until_committed()
        made.stop()
    told: list[str] = []
    log = Database(pair.log)
    loaded = build(log, RULES, 2_000_000_000_000_000, told.append)
    log.close()
    assert told == []
    assert loaded.slice_time_s
    assert loaded.operation_id == 50
    ours = exchange_after_scenario().engine
    assert orders(loaded.engine) == orders(ours)
    assert balances(loaded.engine, 15) == balances(ours, 15)
