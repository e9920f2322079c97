"""MariaDB, Kafka and Redis stopped, killed, slowed, filled and failed over, one after the other, under load.

Each time: trading goes on without an error; the other stores are not held back; what waits is bounded, seen,
and written in order afterwards; the alarm is raised and taken back; and in the end rows, messages and candles
are what the journal says.

The long form takes VX_SOAK_OUTAGE_S seconds for each case (two minutes).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.processes.outages import ANSWER_S, FAT_DEPOSITS, PATIENCE_S, Trader, Way, World
from tests.support.processes import wait_until

SERVERS = ("mariadb", "kafka", "redis")
WAYS = ("stopped", "killed", "slowed", "filled", "failed over")
CASES = [(server, how) for server in SERVERS for how in WAYS] + [("mariadb", "hung")]
OUTAGE_S = 1.0
SOAK_OUTAGE_S = float(os.environ.get("VX_SOAK_OUTAGE_S", "120"))
DEALS = 5  # more than so many while it lasts, or trading has stopped
ORDERS_OF_A_DEAL = 2
WAITS_ALWAYS = 200  # records, at most, on a busy machine where all is well


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("w"), is_hasty=True) as world:
        yield world


@pytest.fixture(scope="module")
def plain_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("w"), is_hasty=False) as world:
        yield world


@pytest.mark.parametrize(("server", "how"), CASES)
def test_seconds(world: World, server: str, how: str) -> None:
    outage(world, server, how, OUTAGE_S, pause_s=0.02)


@pytest.mark.soak
@pytest.mark.parametrize(("server", "how"), CASES)
def test_minutes(plain_world: World, server: str, how: str) -> None:
    outage(plain_world, server, how, SOAK_OUTAGE_S, pause_s=0.01)


def outage(world: World, server: str, how: str, lasting_s: float, pause_s: float) -> None:
    """One case, from all well to all well."""
    way = world.way(server, how)
    raised, taken_back = world.alarms(server)
    trader = world.trade(pause_s)
    try:
        go_through(world, server, way, trader, lasting_s)
        trader.stop()
        assert trader.slowest_s < ANSWER_S
        for name in SERVERS:
            wait_until(lambda: world.has_caught_up(name), f"all in {name}", PATIENCE_S)  # noqa: B023
        wait_until(world.reads_history, "history to be read again", PATIENCE_S)
        now_raised, now_taken_back = world.alarms(server)
        assert (now_raised > raised) == (now_taken_back > taken_back)
        world.check_all()
    except BaseException as error:
        error.add_note(world.shown)
        raise
    finally:
        trader.stop()


def go_through(world: World, server: str, way: Way, trader: Trader, lasting_s: float) -> None:
    """The outage itself, until all is well again."""
    raised, begun, deals = world.alarms(server)[0], time.monotonic(), trader.deals
    way.begin()
    try:
        if way.is_noticed:
            wait_until(lambda: world.alarms(server)[0] > raised, "the alarm", PATIENCE_S)
            check_seen(world, server)
        for other in SERVERS:
            # What marketprice writes into Redis comes from Kafka.
            if other != server and (server, other) != ("kafka", "redis"):
                check_unaffected(world, other)
        check_answers(world, server, way.is_gone)
        while time.monotonic() < begun + lasting_s:
            trader.check()
            time.sleep(0.05)
        wait_until(lambda: trader.deals > deals + DEALS, "deals", PATIENCE_S)
        marks = int(time.monotonic() - begun)  # one record each second
        made = ORDERS_OF_A_DEAL * (trader.deals - deals) + FAT_DEPOSITS + marks
        assert world.waiting(server) <= made + WAITS_ALWAYS, "what waits is what came meanwhile"
    finally:
        way.end()
    wait_until(lambda: world.health(server)["status"] == "ok", "well again", PATIENCE_S)


def check_seen(world: World, server: str) -> None:
    """Health and metrics say that something waits, and why."""
    health = world.health(server)
    assert health["status"] == "degraded", health
    facts = health["facts"]
    if server == "redis":
        assert "can not be saved" in facts["trouble"]
        return
    assert "can not be written" in facts["history"]
    assert facts["lag"] > 0
    assert not facts["lag_is_too_high"]
    assert 'vx_recorder_trouble{what="history"} 1' in world.metrics(server)


def check_unaffected(world: World, other: str) -> None:
    """What is durable now is there soon."""
    assert world.health(other)["status"] == "ok"
    if other == "redis":
        offset = world.health("redis")["facts"]["offset"]
        wait_until(
            lambda: world.health("redis")["facts"]["saved_offset"] >= offset, "market data", PATIENCE_S
        )
    else:
        world.recorders[other].wait_until_committed()


def check_answers(world: World, server: str, is_gone: bool) -> None:
    """Market data are answered whoever is away; history unless its database is, and that is an alarm."""
    assert world.can_read("market.last", "BTCCNY")
    assert world.can_read("order.depth", "BTCCNY", 10, "0")
    if server != "mariadb":
        assert world.can_read("balance.history", 1, "BTC", "", 0, 0, 0, 10)
    elif is_gone:
        assert not world.can_read("balance.history", 1, "BTC", "", 0, 0, 0, 10)
        assert "a query failed" in world.readhistory.log
