"""Engines on copies of one directory, with MySQL and Kafka: the newest one goes on, nothing is there twice.

The copies are made while the original hangs: what it goes on with later, the copies know nothing of.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from matchengine.system import read_copied_system
from tests.processes.histories_in_mysql import Exchange, mysql_config
from tests.processes.recorders import RecorderProcess
from tests.servers.kafka import KafkaAddress
from tests.servers.mariadb import MariaDbAddress
from tests.vxutils.store.kafka.topics import make
from tests.vxutils.store.mysql.databases import Pair, sequences_in
from vxutils.disk import Disk
from vxutils.exits import ExitCode
from vxutils.ring.segment import ring_name

WAIT_S = 60.0


def deposit(made: Exchange, *numbers: int) -> None:
    with made.engine.client("tcp") as client:
        for number in numbers:
            params = [number % 7 + 1, "BTC", "deposit", number, str(number), {}]
            deadline = time.monotonic() + WAIT_S
            while (reply := client.call(102, params))["error"] is not None:  # it has just hung
                assert reply["error"]["code"] == 3 and time.monotonic() < deadline, reply


def copy_of(made: Exchange, place: Path, config: str) -> Exchange:
    """As `cp -r` makes it, while everything runs."""
    place.mkdir()
    subprocess.run(["cp", "-r", str(made.engine.data_dir), str(place / "data")], check=True)
    return Exchange(place, config)


def adopt(made: Exchange) -> None:
    command = [sys.executable, "-m", "matchengine", "adopt", "--data-dir", str(made.engine.data_dir)]
    subprocess.run(command, check=True, capture_output=True, timeout=WAIT_S)


def takes_no_orders(made: Exchange) -> None:
    """It learns of it within two seconds; then it only lets out: cancels, queries."""
    deadline = time.monotonic() + WAIT_S
    with made.engine.client("tcp") as client:
        for number in range(1_000, 1_500):
            reply = client.call(102, [1, "BTC", "deposit", number, "1", {}])
            if reply["error"] is not None:
                assert reply["error"]["code"] == 3
                break
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            raise AssertionError("it goes on as if nothing had happened")
        assert client.call(101, [1, "BTC"])["error"] is None
    assert "belongs to another engine or another past" in made.engine.stderr


def ends_in_words(recorder: RecorderProcess, words: str) -> None:
    assert recorder.wait() == ExitCode.JOURNAL_DAMAGED, recorder.output
    assert words in recorder.stderr, recorder.output


def sent(kafka: KafkaAddress) -> list[int]:
    """The amounts in the messages about balances, in order."""
    texts = [json.loads(message.value() or b"") for message in kafka.messages("balances")]
    return [int(float(text[4])) for text in texts]


def test_the_newest_one_goes_on(tmp_path: Path, mariadb: MariaDbAddress, kafka: KafkaAddress) -> None:
    make(kafka)
    pair = Pair(mariadb)
    config = mysql_config(pair, kafka.brokers)
    first = Exchange(tmp_path, config)
    with first.engine, first.history, first.messages:
        deposit(first, *range(1, 31))
        os.kill(first.engine.pid, signal.SIGSTOP)
        for recorder in (first.history, first.messages):
            recorder.wait_until_committed()
        second = copy_of(first, tmp_path / "2", config)
        late = copy_of(first, tmp_path / "3", config)

        second.engine.launch()
        assert second.engine.wait() == ExitCode.JOURNAL_DAMAGED, second.engine.output
        assert "is a copy of system" in second.engine.stderr
        adopt(second)  # though the original lives
        with second.engine.start(), second.history, second.messages:
            assert rings_of(first).isdisjoint(rings_of(second))
            deposit(second, *range(31, 61))
            for recorder in (second.history, second.messages):
                recorder.wait_until_committed()
            os.kill(first.engine.pid, signal.SIGCONT)
            deposit(first, *range(100, 110))
            ends_in_words(first.history, "another engine of this system writes with epoch")
            ends_in_words(first.messages, "only one may run")
            takes_no_orders(first)

            adopt(late)  # its past ends before what is in the stores
            late.history.launch()
            late.messages.launch()
            ends_in_words(late.history, "another engine of this system writes with epoch")
            ends_in_words(late.messages, "that this data directory has not sent")
            deposit(second, *range(61, 71))
            for recorder in (second.history, second.messages):
                recorder.wait_until_committed()
            second.stop()
    every = list(range(1, 71))
    assert sequences_in(pair) == (every, every)
    assert sent(kafka) == every


def rings_of(made: Exchange) -> set[str]:
    """The shared memory of its books."""
    data = made.engine.data_dir
    identity = read_copied_system(Disk(), data)
    name = ring_name(identity.id_bytes, data, "book.")
    found = {path.name for path in Path("/dev/shm").glob(f"{name.lstrip('/')}*")}
    assert found, "books are in shared memory"
    return found
