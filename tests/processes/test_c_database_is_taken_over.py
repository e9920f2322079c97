"""`vx adopt --config`: the exchange of the C system goes on with ours, in its tables, with the next ids."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from matchengine.core.views import Views
from tests.matchengine.c_database.left_by_c import (
    LAST_OPERATION,
    exchange_after_scenario,
    operations,
    put_operations,
    put_slice,
)
from tests.processes.histories_in_mysql import Exchange, mysql_config
from tests.servers.mariadb import MariaDbAddress
from tests.support.inprocess import InProcessEngine
from tests.vxutils.store.mysql.databases import Pair, fresh
from vxutils.exits import ExitCode

TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def made_pair(mariadb: MariaDbAddress) -> Pair:
    return Pair(mariadb)


@pytest.fixture
def pair(made_pair: Pair) -> Iterator[Pair]:
    yield from fresh(made_pair)


def adopt(directory: Path, config: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "matchengine", "adopt", "--config", str(config)]
    command += ["--data-dir", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def plain_depth(ours: InProcessEngine, market: str) -> object:
    depth = Views(ours.engine, "plain").depth(ours.engine.markets[market], 100, 0)
    return json.loads(depth)


def trade(made: Exchange) -> None:
    """A cancel of an order of the C system, a new order, a deposit."""
    with made.engine.client("tcp") as client:
        assert client.call(204, [6, "BTCBCH", 18])["error"] is None
        placed = client.call(201, [1, "BTCCNY", 1, "0.1", "70000", "0.001", "0.001", "web"])
        assert placed["error"] is None
        assert placed["result"]["id"] == 28
        assert client.call(102, [1, "BTC", "deposit", 1, "100", {}])["error"]["code"] == 10, (
            "it is remembered"
        )
        assert client.call(102, [1, "BTC", "deposit", 777, "1", {}])["error"] is None


def test_it_goes_on(tmp_path: Path, pair: Pair) -> None:
    put_operations(pair)
    put_slice(pair)
    config = mysql_config(pair)
    made = Exchange(tmp_path, config)
    data = made.engine.data_dir
    done = adopt(data, made.engine.config_path)
    assert done.returncode == 0, done.stderr
    assert "operation 50 (slice 1795340601, 0 operations after it), orders to 27, deals to 19" in done.stdout
    with made.engine, made.history, made.messages:
        with made.engine.client("tcp") as client:
            ours = exchange_after_scenario()
            for market in ("BTCBCH", "BTCCNY", "LTCBTC"):
                assert client.call(206, [market, 100, "0"])["result"] == plain_depth(ours, market)
        trade(made)
        made.history.wait_until_committed()
        made.messages.wait_until_committed()
        made.engine.kill()
        made.engine.start()  # the slice at the first record, and what came after it
        with made.engine.client("tcp") as client:
            assert client.call(207, ["BTCCNY", 28])["result"]["source"] == "web"
        made.stop()
    logged = {row[0]: row[2] for rows in pair.days().values() for row in rows}
    assert sorted(logged) == list(range(1, LAST_OPERATION + 4))
    assert [logged[number] for number, _, _ in operations()] == [detail for _, _, detail in operations()]
    assert '"params": [6, "BTCBCH", 18]' in logged[51]
    families = pair.families()
    assert [row[1:4] for row in families["balance_history"][1]] == [(1, "BTC", "deposit")]


def test_it_is_taken_over_once(tmp_path: Path, pair: Pair) -> None:
    put_operations(pair)
    made = Exchange(tmp_path, mysql_config(pair))
    assert adopt(made.engine.data_dir, made.engine.config_path).returncode == 0
    with made.engine, made.history, made.messages:
        made.history.wait_until_committed()
    again = adopt(tmp_path / "again", made.engine.config_path)
    assert again.returncode == ExitCode.CONFIG
    assert "already, which has come to sequence" in again.stderr
    same = adopt(made.engine.data_dir, made.engine.config_path)
    assert same.returncode == ExitCode.CONFIG
    assert "is not empty" in same.stderr


def test_without_its_slice_it_does_not_start(tmp_path: Path, pair: Pair) -> None:
    put_operations(pair)
    made = Exchange(tmp_path, mysql_config(pair))
    assert adopt(made.engine.data_dir, made.engine.config_path).returncode == 0
    for path in (made.engine.data_dir / "slices").iterdir():
        path.unlink()
    made.engine.launch()
    assert made.engine.wait() == ExitCode.JOURNAL_DAMAGED
    assert "the mark at record 3" in made.engine.output
    made.engine.end()
