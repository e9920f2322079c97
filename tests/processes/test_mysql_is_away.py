"""MariaDB stopped, killed and suspended: trading and messages go on, rows come later, in order, once each."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes.histories_in_mysql import Exchange, exchange, mysql_config
from tests.servers.fixtures import need
from tests.servers.mariadb import MariaDb
from tests.support.processes import wait_until
from tests.vxutils.store.mysql.databases import Pair, sequences_in

AWAY = "MySQL can not be written, it is tried again"
WELL = "the history is written again"
TIMEOUT_S = 1.0  # of an answer of the database
ANSWER_S = 2.0  # of the engine, on a busy machine


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MariaDb]:
    need("MariaDB")
    (tmp_path / "server").mkdir()
    with MariaDb(tmp_path / "server") as server:
        yield server


class Depositor:
    """Deposits 1, 2, 3 ..., each a record of its own."""

    def __init__(self, made: Exchange) -> None:
        self._made = made
        self._numbers = itertools.count(1)
        self.count = 0

    def deposit(self, count: int) -> None:
        with self._made.engine.client("tcp") as client:
            for number in itertools.islice(self._numbers, count):
                begun = time.monotonic()
                reply = client.call(102, [number % 7, "BTC", "deposit", number, str(number), {}])
                assert reply["error"] is None, reply
                assert time.monotonic() - begun < ANSWER_S, "trading does not wait for a database"
                self.count = number


def is_troubled(made: Exchange) -> bool:
    state = made.history.state
    return state is not None and state.is_troubled


def test_rows_come_later_and_once(tmp_path: Path, server: MariaDb) -> None:
    pair = Pair(server, TIMEOUT_S)
    ways: list[tuple[Callable[[], None], Callable[[], None]]] = [
        (server.suspend, server.go_on),
        (server.kill, server.start),
        (server.stop, server.start),
    ]
    with exchange(tmp_path, mysql_config(pair)) as made:
        depositor = Depositor(made)
        depositor.deposit(100)
        for turn, (leave, come_back) in enumerate(ways, start=1):
            leave()
            depositor.deposit(200)
            wait_until(lambda: made.history.stderr.count(AWAY) >= turn, "the alarm", 20.0)  # noqa: B023
            wait_until(lambda: is_troubled(made), "the state", 20.0)
            made.messages.wait_until_committed()  # another store, not held back
            depositor.deposit(100)
            come_back()
            made.history.wait_until_committed()
            wait_until(lambda: made.history.stderr.count(WELL) >= turn, "the all-clear", 20.0)  # noqa: B023
        made.stop()
    every = list(range(1, depositor.count + 1))
    assert sequences_in(pair) == (every, every)
    assert pair.rows("log", "SELECT * FROM vx_dead_letter") == []


def test_a_recorder_that_starts_while_it_is_away_tells_how_far_it_is(tmp_path: Path, server: MariaDb) -> None:
    pair = Pair(server, TIMEOUT_S)
    with exchange(tmp_path, mysql_config(pair)) as made:
        depositor = Depositor(made)
        depositor.deposit(50)
        made.history.wait_until_committed()
        made.history.end()
        server.kill()
        made.history.launch()
        depositor.deposit(50)
        wait_until(lambda: AWAY in made.history.stderr, "the alarm", 20.0)

        def knows_its_lag() -> bool:
            state = made.history.state
            return state is not None and state.is_troubled and state.lag_records >= 50

        wait_until(knows_its_lag, "its state", 20.0)
        server.start()
        made.history.wait_until_committed()
        made.stop()
    assert sequences_in(pair) == (list(range(1, 101)), list(range(1, 101)))
