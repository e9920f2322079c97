"""`vx handover`: a C system starts from what we leave it, with our state; `vx adopt` takes it back."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from matchengine import recovery, system
from matchengine.c_database.handing_over import Wish, hand_over
from matchengine.handed_over import HANDED_OVER_FILE
from matchengine.main import directories
from matchengine.settings import load_settings
from tests.conformance.replay import Record, records
from tests.conformance.test_scenario_02_rows_and_messages import OPERATIONS
from tests.processes.histories_in_mysql import Exchange, mysql_config
from tests.processes.recorders import RecorderProcess
from tests.processes.test_c_database_is_taken_over import adopt
from tests.processes.test_history_in_mysql import play_scenario
from tests.servers.kafka import KafkaAddress
from tests.servers.mariadb import MariaDbAddress
from tests.support.c_loader import CSystem, State, load
from tests.support.configs import recorded_rules
from tests.support.hand_worker import HandWorker
from tests.support.loaded_by_c import state_of
from tests.support.processes import wait_until
from tests.vxutils.store.kafka.topics import make
from tests.vxutils.store.mysql.databases import Pair, fresh
from vxnet.clock import ManualClock, SystemClock
from vxutils.disk import Disk
from vxutils.exits import ExitCode
from vxutils.rpc.blocking import BlockingClient
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.schema import migrate

TIMEOUT_S = 60.0
TRADED = ("BTCBCH", "BTCCNY", "LTCBTC")
USERS = (1, 2, 3, 4, 5)
YEAR_S = 365 * 86_400
EVENING_S = int(datetime(2026, 3, 10, 23, 54, tzinfo=UTC).timestamp())


@pytest.fixture(scope="module")
def wide_pair(mariadb: MariaDbAddress) -> Pair:
    """With 20 decimals of a balance, so that no digit gets lost."""
    made = Pair(mariadb)
    log = Database(made.log)
    migrate(log, "log")
    log.close()
    return made


@pytest.fixture
def pair(wide_pair: Pair) -> Iterator[Pair]:
    yield from fresh(wide_pair)


def handover(made: Exchange, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateways.cli", "handover", str(made.engine.config_path)]
    command += ["--data-dir", str(made.engine.data_dir), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def our_state(data: Path, through: int | None = None) -> State:
    """As a start of ours would find it; after `through`, beside an engine that runs."""
    identity = system.read_system(Disk(), data)
    found = recovery.recover(Disk(), data, data / "journal", identity, through=through)
    return state_of(found.engine, found.position.operation_id)


def c_starts(pair: Pair, rules: dict[str, Any] | None = None) -> CSystem:
    return load(pair.log, rules or recorded_rules(), int(time.time()), UTC)


def rules_told(text: str) -> dict[str, Any]:
    """What the C system's configuration must say, as the operator is told."""
    (line,) = [line for line in text.splitlines() if line.startswith('     "assets": ')]
    told: dict[str, Any] = json.loads("{" + line + "}")
    return told


def trade_at_random(client: BlockingClient, count: int) -> None:
    """Orders that rest, trade and go, with fees of many decimals; some are refused."""
    chance = random.Random(count)
    placed: list[tuple[int, str, int]] = []
    for _ in range(count):
        market, user, side = chance.choice(TRADED), chance.choice(USERS), chance.choice((1, 2))
        middle = {"BTCBCH": 20.0, "BTCCNY": 60_000.0, "LTCBTC": 0.0122}[market]
        amount = f"{chance.uniform(0.1, 1.5):.8f}"
        draw = chance.random()
        if draw < 0.7:
            price = f"{middle * chance.uniform(0.98, 1.02):.8f}"
            fees = (f"{chance.uniform(0, 0.003):.4f}", f"{chance.uniform(0, 0.003):.4f}")
            reply = client.call(201, [user, market, side, amount, price, *fees, "random"])
            if reply["error"] is None:
                placed.append((user, market, reply["result"]["id"]))
        elif draw < 0.85:
            client.call(202, [user, market, side, amount, "0.0013", "random"])
        elif placed:
            client.call(204, list(placed.pop(chance.randrange(len(placed)))))


class Broken(Exception):
    """Stands for the end of the process at this point."""


def break_off_at(made: Exchange, point: str, accepts_loss: bool = False) -> None:
    """Hands over until it says `point`, and no further."""

    def tell(text: str) -> None:
        if text.startswith(point):
            raise Broken

    settings = load_settings(made.engine.config_path, embedded=False).settings
    where = directories(settings, made.engine.data_dir)
    wish = Wish(config=made.engine.config_path, accepts_loss=accepts_loss, wait_s=TIMEOUT_S)
    with pytest.raises(Broken):
        hand_over(Disk(), SystemClock(), settings, where, wish, tell)


def trade_in_c(c: CSystem) -> None:
    """A deposit, a cancel of an order that was ours, orders that trade with others."""
    now_s = int(time.time())
    number, user, *_ = c.state["books"]["BTCBCH", 2][0]
    for command, params in (
        (102, [9, "BTC", "deposit", 900, "3.5", {"by": "ü"}]),
        (204, [user, "BTCBCH", number]),
        (201, [9, "BTCCNY", 1, "1.2", "59000", "0.001", "0.001", "c"]),
        (201, [2, "BTCCNY", 2, "0.5", "50000", "0.001", "0.001", "c"]),
        (202, [9, "BTCCNY", 1, "0.2", "0.001", "c"]),
        (201, [3, "LTCBTC", 1, "2", "0.0135", "0.001", "0.001", "c"]),
    ):
        assert c.execute(command, list(params), now_s)["error"] is None, params


def demand_refused(made: Exchange, sentence: str) -> None:
    made.engine.launch()
    assert made.engine.wait() in (ExitCode.CONFIG, ExitCode.JOURNAL_DAMAGED), made.engine.output
    assert sentence in made.engine.output
    made.engine.end()


def test_there_and_back(tmp_path: Path, pair: Pair, kafka: KafkaAddress) -> None:
    make(kafka)
    made = Exchange(tmp_path, mysql_config(pair, kafka.brokers, slice_interval_s=86_400))
    data = made.engine.data_dir
    with made.engine, made.history, made.messages:
        play_with_a_slice(made, pair)
        made.history.terminate()
        made.messages.terminate()
        with made.engine.client("tcp") as client:
            trade_at_random(client, 60)
        running = handover(made)
        assert running.returncode == ExitCode.ALREADY_RUNNING
        assert "the engine may still take orders" in running.stderr
        made.engine.kill()  # it need not have ended in order, and the recorders are behind
    before = our_state(data)
    refuse_narrow_columns(made, pair)
    break_off_at(made, "reading it back")
    assert our_state(data) == before
    assert not (data / HANDED_OVER_FILE).exists()
    made.engine.start()  # as if nothing had been
    made.engine.terminate()
    break_off_at(made, "nothing of ours starts")
    demand_refused(made, f"{data} was handed over to the C system at sequence")
    done = handover(made)
    assert done.returncode == ExitCode.OK, done.stderr
    assert "was handed over before" in done.stderr
    assert "WHOEVER REPEATS ONE OF THEM NOW" in done.stdout

    c = c_starts(pair, rules_told(done.stdout))
    assert c.state == before
    refuse_copies(made, tmp_path)
    trade_in_c(c)
    assert c_starts(pair).state == c.state, "the C system finds what it did itself"
    take_back(tmp_path / "b", pair, kafka, c)


def play_with_a_slice(made: Exchange, pair: Pair) -> None:
    """A C system can start from the slice of a running exchange, and what has come after it."""
    play_scenario(made.engine, 0, 30)
    wait_until(lambda: bool(pair.rows("log", "SELECT * FROM slice_history")), "the first slice", 30.0)
    play_scenario(made.engine, 30)
    with made.engine.client("tcp") as client:
        trade_at_random(client, 100)
    sequence = made.history.wait_until_committed()
    c = c_starts(pair)
    assert c.state == our_state(made.engine.data_dir, sequence)
    assert c.state["books"]["BTCBCH", 2], "there are orders to compare"
    ((ends_at,),) = pair.rows("log", "SELECT end_oper_id FROM slice_history")
    assert ends_at < c.operation_id, "there was something after the slice"


def refuse_narrow_columns(made: Exchange, pair: Pair) -> None:
    """Those of the C system can not hold 20 decimals."""
    column = "ALTER TABLE slice_balance_example MODIFY balance DECIMAL"
    pair.run("log", f"{column}(30,16) NOT NULL")
    refused = handover(made)
    assert refused.returncode == ExitCode.CONFIG, refused.stderr
    assert "the C system would lose digits" in refused.stderr
    assert "available BCH of user 1: " in refused.stderr
    break_off_at(made, "recording everything", accepts_loss=True)
    pair.run("log", f"{column}(65,30) NOT NULL")


def refuse_copies(made: Exchange, directory: Path) -> None:
    """An older copy has no mark; the databases do."""
    copy = directory / "c"
    shutil.copytree(made.engine.data_dir, copy)
    (copy / HANDED_OVER_FILE).unlink()
    command = [sys.executable, "-m", "matchengine", "adopt", "--data-dir", str(copy)]
    subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=True)
    original, made.engine.data_dir = made.engine.data_dir, copy
    demand_refused(made, "was handed over to the C system at sequence")
    made.engine.data_dir = original


def take_back(directory: Path, pair: Pair, kafka: KafkaAddress, c: CSystem) -> None:
    """Into a new data directory, where it goes on with the ids of the C system, and in the same topics."""
    directory.mkdir()
    made = Exchange(directory, mysql_config(pair, kafka.brokers))
    done = adopt(made.engine.data_dir, made.engine.config_path)
    assert done.returncode == ExitCode.OK, done.stderr
    assert our_state(made.engine.data_dir) == c.state
    with made.engine, made.history, made.messages:
        with made.engine.client("tcp") as client:
            again = client.call(102, [9, "BTC", "deposit", 900, "3.5", {}])
            assert again["error"]["code"] == 10, "what the C system did is remembered"
            old = client.call(102, [1, "BTC", "deposit", 1, "100", {}])
            assert old["error"]["code"] == 10, "and what was done before it"
            order: dict[str, Any] = client.call(
                201, [9, "BTCCNY", 1, "0.1", "90000", "0.001", "0.001", "back"]
            )
            assert order["result"]["id"] == c.order_id + 1
        made.history.wait_until_committed()
        made.messages.wait_until_committed()
        made.stop()
    orders = [json.loads(message.value() or b"")["order"]["id"] for message in kafka.messages("orders")]
    assert orders[-1] == c.order_id + 1
    assert sorted(set(orders))[:-1] == list(range(1, max(orders[:-1]) + 1)), "all of ours before it"
    ids = [row[0] for rows in pair.days().values() for row in rows]
    assert sorted(ids) == list(range(1, c.operation_id + 2))


def test_a_slice_of_the_evening_and_the_log_of_two_days(tmp_path: Path, pair: Pair) -> None:
    data, config = tmp_path / "data", tmp_path / "config.toml"
    config.write_text(mysql_config(pair, slice_interval_s=YEAR_S))
    settings = load_settings(config, embedded=False).settings
    wanted = [record for record in records("02_limit_basic") if record.command in OPERATIONS]
    clock = ManualClock(EVENING_S * 1_000_000, 0)

    def play(part: list[Record]) -> None:
        with HandWorker(data, settings, clock) as worker:
            for record in part:
                clock.advance(10_000_000)
                worker.ask(record.command, record.params)

    play(wanted[:20])
    with RecorderProcess(tmp_path, config, data) as recorder:
        recorder.wait_until_committed()
        wait_until(lambda: bool(pair.rows("log", "SELECT * FROM slice_history")), "the slice", 30.0)
        play(wanted[20:])
        recorder.wait_until_committed()
        assert recorder.terminate() == 0
    assert sorted(pair.days()) == ["operlog_20260310", "operlog_20260311"]
    c = load(pair.log, recorded_rules(), clock.wall_us() // 1_000_000, UTC)
    assert c.state == our_state(data)
    assert c.operation_id > pair.rows("log", "SELECT end_oper_id FROM slice_history")[0][0] > 0

    wish = Wish(config=config, accepts_loss=False, wait_s=TIMEOUT_S)
    done = hand_over(Disk(), clock, settings, directories(settings, data), wish, lambda text: None)
    assert done.mark.slice_time_s == clock.wall_us() // 1_000_000
    assert done.forgotten.updates_of_a_day == sum(record.command == 102 for record in wanted)
    later_s = done.mark.slice_time_s + 86_400
    assert load(pair.log, recorded_rules(), later_s, UTC).state == c.state
