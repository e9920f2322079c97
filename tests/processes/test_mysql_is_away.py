"""A recorder that starts while MariaDB is away: it says so, and how far it is; rows come later, once each.

Databases that go away under load: `test_outages_of_each_server`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.histories_in_mysql import Exchange, exchange, mysql_config
from tests.servers.fixtures import need
from tests.servers.mariadb import MariaDb
from tests.support.processes import wait_until
from tests.vxutils.store.mysql.databases import Pair, sequences_in

AWAY = "MySQL can not be written, it is tried again"
TIMEOUT_S = 1.0  # of an answer of the database
ANSWER_S = 2.0  # of the engine, on a busy machine


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MariaDb]:
    need("MariaDB")
    (tmp_path / "server").mkdir()
    with MariaDb(tmp_path / "server") as server:
        yield server


def deposit(made: Exchange, numbers: range) -> None:
    with made.engine.client("tcp") as client:
        for number in numbers:
            begun = time.monotonic()
            reply = client.call(102, [number % 7, "BTC", "deposit", number, str(number), {}])
            assert reply["error"] is None, reply
            assert time.monotonic() - begun < ANSWER_S, "trading does not wait for a database"


def test_a_recorder_that_starts_while_it_is_away_tells_how_far_it_is(tmp_path: Path, server: MariaDb) -> None:
    pair = Pair(server, TIMEOUT_S)
    with exchange(tmp_path, mysql_config(pair)) as made:
        deposit(made, range(1, 51))
        made.history.wait_until_committed()
        made.history.end()
        server.kill()
        made.history.launch()
        deposit(made, range(51, 101))
        wait_until(lambda: AWAY in made.history.stderr, "the alarm", 20.0)

        def knows_its_lag() -> bool:
            state = made.history.state
            return state is not None and state.is_troubled and state.lag_records >= 50

        wait_until(knows_its_lag, "its state", 20.0)
        server.start()
        made.history.wait_until_committed()
        made.stop()
    assert sequences_in(pair) == (list(range(1, 101)), list(range(1, 101)))
