"""How long an exchange stands still while it is taken over: rehearsing, adopting, starting, by size.

    .venv/bin/python -m pytest -m soak -s tests/processes/test_migration_of_large_databases.py

The database is made by hand: resting orders in a slice, then operations of which every second one trades.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest

from matchengine.__main__ import main
from tests.processes.c_stand_in import config_of
from tests.servers.mariadb import MariaDbAddress
from tests.support.processes import EngineProcess
from tests.vxutils.store.mysql.databases import Pair

USERS = 1_000
SLICE_S = 1_795_340_601
ROWS = 5_000  # of one statement
TIMEOUT_S = 900.0
AVAILABLE, FROZEN = 1, 2


def fill(pair: Pair, orders: int, operations: int) -> None:
    """User u has every u-th order, all of them asks at other prices than the operations trade at."""
    balances: list[tuple[object, ...]] = []
    for user in range(1, USERS + 1):
        frozen = len(range(user, orders + 1, USERS))
        balances += [(None, user, asset, AVAILABLE, "1000000") for asset in ("BTC", "BCH")]
        balances += [(None, user, "BTC", FROZEN, str(frozen))] if frozen else []
    resting = (
        (i, 1, 1, 1.5, 1.5, (i - 1) % USERS + 1, "BTCBCH", str(9_000 + i % 500), 1, 0, 0, 1, 1, 0, 0, 0)
        for i in range(1, orders + 1)
    )
    logged = ((i, SLICE_S + i / 1_000, operation(i)) for i in range(1, operations + 1))
    with pair.server.connect(pair.log.name) as connection, connection.cursor() as cursor:
        for table, example, rows in (
            (f"slice_order_{SLICE_S}", "slice_order_example", resting),
            (f"slice_balance_{SLICE_S}", "slice_balance_example", iter(balances)),
            ("operlog_20261122", "operlog_example", logged),
        ):
            cursor.execute(f"CREATE TABLE `{table}` LIKE `{example}`")
            while part := list(islice(rows, ROWS)):
                marks = ",".join(["%s"] * len(part[0]))
                cursor.executemany(f"INSERT INTO `{table}` VALUES ({marks})", part)
        cursor.execute("INSERT INTO slice_history VALUES (NULL, %s, 0, %s, 0)", (SLICE_S, orders))


def operation(number: int) -> str:
    """A sell that rests, and the buy that takes it."""
    side, user = 2 - number % 2, number % USERS + 1
    params = f'{user}, "BTCBCH", {side}, "0.01", "80", "0.001", "0.001", "bench"'
    return f'{{"method": "limit_order", "params": [{params}]}}'


@pytest.mark.soak
@pytest.mark.parametrize(
    ("orders", "operations"), [(1_000, 100_000), (100_000, 0), (100_000, 100_000), (100_000, 1_000_000)]
)
def test_how_long(
    tmp_path: Path, mariadb: MariaDbAddress, capsys: pytest.CaptureFixture[str], orders: int, operations: int
) -> None:
    pair = Pair(mariadb)
    fill(pair, orders, operations)
    engine = EngineProcess(tmp_path, config_of(pair), data_dir=tmp_path / "new", embedded=False)
    command = [sys.executable, "-m", "matchengine", "adopt", "--config", str(engine.config_path)]
    begun, cpu = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, "--data-dir", str(engine.data_dir)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    adopted_s, spent = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = spent.ru_utime + spent.ru_stime - cpu.ru_utime - cpu.ru_stime
    assert done.returncode == 0, done.stderr
    assert f"operation {operations} (slice {SLICE_S}, {operations} operations after it)" in done.stdout
    begun = time.monotonic()
    with engine:
        started_s = time.monotonic() - begun
        with engine.client("tcp") as client:
            (market,) = client.call(308, ["BTCBCH"])["result"]
        assert market["ask_count"] == orders + operations % 2
        begun = time.monotonic()
        address, rate = str(engine.address("tcp")), "100000"
        asked = ["--engine", address, "--no-console", "--queries-per-s", rate, "--json"]
        assert main(["migrate-rehearse", str(engine.config_path), *asked]) == 0
        rehearsed_s = time.monotonic() - begun
        report = json.loads(capsys.readouterr().out)
        assert report["compared"]["counts"]["orders"] == orders + operations % 2
        assert engine.terminate() == 0
    print(
        f"\n{orders} orders, {operations} operations: adopted in {adopted_s:.1f} s (own CPU {cpu_s:.1f} s), "
        f"started in {started_s:.1f} s; rehearsed in {rehearsed_s:.1f} s, of that built in "
        f"{report['build_s']:.1f} s, {report['compared']['queries']} queries",
        file=sys.__stdout__,
    )
