"""`vx migrate rehearse` beside a running engine: equal, or what differs is named; nothing is changed.

There is no C engine on this machine; `c_stand_in` says what stands in for it.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from matchengine.__main__ import main
from tests.processes.c_stand_in import CStandIn, config_of
from tests.processes.test_history_in_mysql import play_scenario
from tests.vxutils.store.mysql.databases import Pair, fresh
from vxutils.exits import ExitCode

READER = "reader"
PASSWORD = "reads only"
TIMEOUT_S = 60.0
AFTER_SLICE = 8


@pytest.fixture(scope="module")
def running(c_pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CStandIn]:
    """Scenario 02, a slice of it, some operations more, and a user of the databases who can only read."""
    for pair in fresh(c_pair):
        with pair.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE OR REPLACE USER '{READER}'@'%' IDENTIFIED BY '{PASSWORD}'")
            for name in (pair.log.name, pair.history.name):
                cursor.execute(f"GRANT SELECT ON `{name}`.* TO '{READER}'@'%'")
        with CStandIn(tmp_path_factory.mktemp("r"), pair) as c:
            play_scenario(c.engine)
            c.recorder.wait_until_committed()
            c.make_slice()
            with c.engine.client("tcp") as client:
                for number in range(AFTER_SLICE):
                    assert client.call(102, [1, "BTC", "deposit", 500 + number, "1.5", {}])["error"] is None
            c.recorder.wait_until_committed()
            yield c
        with pair.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP USER '{READER}'@'%'")


def words(c: CStandIn, *more: str, **changed: Any) -> list[str]:
    config = c.write_config("reader.json", config_of(c.pair, READER, PASSWORD, **changed))
    return ["migrate-rehearse", str(config), *c.addresses, "--queries-per-s", "2000", *more]


def newest_slice(c: CStandIn) -> int:
    ((time_s,),) = c.pair.rows("log", "SELECT time FROM slice_history ORDER BY id DESC LIMIT 1")
    return int(time_s)


def test_all_is_equal_and_the_user_can_only_read(running: CStandIn) -> None:
    with (
        running.pair.server.connect(running.pair.log.name, user=READER, password=PASSWORD) as connection,
        connection.cursor() as cursor,
        pytest.raises(pymysql.err.OperationalError, match="denied"),
    ):
        cursor.execute("DELETE FROM slice_history")
    command = [sys.executable, "-m", "gateways.cli", "migrate", "rehearse", *words(running, "--json")[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    compared = report["compared"]
    assert report["is_equal"]
    assert report["slice_time_s"] == newest_slice(running)
    assert report["operations"] == AFTER_SLICE, "those after the slice"
    assert compared["differences"] == []
    assert compared["rounds"] == 1
    engine_counts = compared["counts"]
    with running.engine.client("tcp") as client:
        orders = sum(one["ask_count"] + one["bid_count"] for one in client.call(308, [])["result"])
        assets, markets = len(client.call(104, [])["result"]), len(client.call(307, [])["result"])
    assert (engine_counts["counters"], engine_counts["assets"]) == (1, assets)
    assert (engine_counts["markets"], engine_counts["orders"]) == (markets, orders)
    assert engine_counts["users"] >= 6
    assert "... built in" in done.stderr


def test_without_a_console(running: CStandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(running, "--no-console", "--json")) == 0
    assert "counters" not in json.loads(capsys.readouterr().out)["compared"]["counts"]


def test_nobody_answers(running: CStandIn, capsys: pytest.CaptureFixture[str]) -> None:
    nobody = "tcp@127.0.0.1:1"
    assert main([*words(running), "--console", nobody]) == ExitCode.FAILURE
    assert "--no-console does without" in capsys.readouterr().err
    assert main([*words(running), "--no-console", "--engine", nobody]) == ExitCode.FAILURE
    assert "can not be reached" in capsys.readouterr().err
    with pytest.raises(SystemExit, match=str(int(ExitCode.USAGE))):
        main([*words(running), "--engine", "udp@127.0.0.1:1"])
    assert "is no stream socket" in capsys.readouterr().err


def test_a_balance_that_differs_is_named(running: CStandIn, capsys: pytest.CaptureFixture[str]) -> None:
    where = f"slice_balance_{newest_slice(running)} SET balance = balance"
    running.pair.run("log", f"UPDATE {where} + 0.5 WHERE t = 1 AND user_id = 1 AND asset = 'BTC'")
    try:
        assert main(words(running)) == ExitCode.FAILURE
        said = capsys.readouterr().out
    finally:
        running.pair.run("log", f"UPDATE {where} - 0.5 WHERE t = 1 AND user_id = 1 AND asset = 'BTC'")
    assert "and no operation touched it: user 1: BTC available is " in said
    assert "asset BTC: total_balance is " in said
    assert "\n2 differences\nNOT EQUAL" in said


def test_an_order_that_differs_is_named(running: CStandIn, capsys: pytest.CaptureFixture[str]) -> None:
    """Its deal_money: what it has frozen still fits, so the slice looks whole."""
    where = f"slice_order_{newest_slice(running)} SET deal_money = deal_money"
    rows = running.pair.rows("log", f"SELECT id, market FROM slice_order_{newest_slice(running)}")
    with running.engine.client("tcp") as client:
        number, market = next(
            (number, market) for number, market in rows if client.call(207, [market, number])["result"]
        )
    running.pair.run("log", f"UPDATE {where} + 1 WHERE id = {number}")
    try:
        assert main(words(running)) == ExitCode.FAILURE
        said = capsys.readouterr().out
    finally:
        running.pair.run("log", f"UPDATE {where} - 1 WHERE id = {number}")
    assert f"order {number} in {market}: deal_money is " in said


def test_every_row_in_the_way_is_named(running: CStandIn, capsys: pytest.CaptureFixture[str]) -> None:
    (table,) = running.pair.days()
    running.pair.run(
        "log",
        f"CREATE TABLE kept_rows AS SELECT * FROM {table}",
        f"DELETE FROM {table} WHERE id = 52",
        f"""UPDATE {table} SET detail = '{{"method": "sell_all", "params": []}}' WHERE id = 53""",
        f"UPDATE {table} SET detail = NULL WHERE id = 54",
        f"""UPDATE {table} SET detail = '{{"method": "update_balance", "params":
            [1, "BTC", "deposit", 99, "NaN", {{}}]}}' WHERE id = 56""",
    )
    try:
        assert main(words(running)) == ExitCode.FAILURE
        said = capsys.readouterr().out
    finally:
        running.pair.run(
            "log",
            f"DELETE FROM {table}",
            f"INSERT INTO {table} SELECT * FROM kept_rows",
            "DROP TABLE kept_rows",
        )
    assert f"STOPS: operations 52 to 52 are missing before {table}" in said
    assert f"STOPS: operation 53 in {table}: no method 'sell_all'" in said
    assert f"STOPS: the detail of operation 54 in {table} is no operation: it is NULL" in said
    assert f"STOPS: operation 56 in {table} has the number 'NaN'" in said
    assert "NOTHING WAS COMPARED" in said


def test_settings_that_are_not_the_engines(running: CStandIn, capsys: pytest.CaptureFixture[str]) -> None:
    markets = config_of(running.pair)["markets"]
    first = markets[0] | {"min_amount": "0.5"}
    assert main(words(running, markets=[first, *markets[1:]])) == ExitCode.FAILURE
    said = capsys.readouterr().out
    assert f"STOPS: market {first['name']}: min_amount is " in said


def test_an_engine_that_trades_is_equal_in_the_end(
    running: CStandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow questions, so that nearly every answer is of a moment that our state has not come to."""
    over = threading.Event()
    trader = threading.Thread(target=trade, args=(running, over), daemon=True)
    trader.start()
    try:
        code = main([*words(running, "--json", "--rounds", "50"), "--queries-per-s", "25"])
    finally:
        over.set()
        trader.join(TIMEOUT_S)
    report = json.loads(capsys.readouterr().out)
    assert report["compared"]["differences"] == []
    assert code == 0
    assert report["compared"]["operations"] > 50


def trade(c: CStandIn, over: threading.Event) -> None:
    """Deposits, orders that meet, cancels: of the users and markets which are there already."""
    chance = random.Random(7)
    with c.engine.client("tcp") as client:
        number = 10_000
        while not over.wait(0.005):
            number += 1
            user = chance.randint(1, 4)
            if chance.random() < 0.3:
                client.call(102, [user, chance.choice(["BTC", "BCH"]), "deposit", number, "3", {}])
                continue
            side, price = chance.randint(1, 2), chance.randint(80, 84)
            placed = client.call(201, [user, "BTCBCH", side, "0.1", str(price), "0.001", "0.001", "test"])
            if placed["error"] is None and chance.random() < 0.3:
                client.call(204, [user, "BTCBCH", placed["result"]["id"]])
