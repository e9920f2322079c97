"""A real exchange is put back from a backup: its topics go on, and what they hold too much is told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.processes.histories_in_mysql import Exchange
from tests.servers.kafka import KafkaAddress
from tests.support.configs import toml_config
from tests.vxutils.store.kafka.topics import make
from vxutils.store.kafka.headers import read_headers

WAIT_S = 60.0


def run(*words: str | Path) -> str:
    command = [sys.executable, "-m", "matchengine", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=WAIT_S).stdout


def deposit(made: Exchange, first: int, last: int) -> None:
    with made.engine.client("tcp") as client:
        for number in range(first, last + 1):
            reply = client.call(102, [1, "BTC", "deposit", number, str(number), {}])
            assert reply["error"] is None, reply
    made.messages.wait_until_committed()


def amounts(kafka: KafkaAddress) -> list[tuple[int, bool]]:
    """Of the deposits in the topic, and whether they are of the time after the restore."""
    found = []
    for message in kafka.messages("balances"):
        origin = read_headers(message.headers())
        assert origin is not None
        found.append((int(float(json.loads(message.value() or b"")[4])), origin.id.epoch > 1000))
    return found


@pytest.mark.soak
def test_messages_go_on_after_a_restore(tmp_path: Path, kafka: KafkaAddress) -> None:
    make(kafka)
    config = toml_config().replace(
        "[recorder]\n", '[recorder]\nmessages_monitor_address = "tcp@127.0.0.1:0"\n'
    )
    config += f'\n[kafka]\nbrokers = "{kafka.brokers}"\n'
    old = Exchange(tmp_path, config)
    with old.engine, old.history, old.messages:
        deposit(old, 1, 20)
        run("backup", tmp_path / "b", "--data-dir", old.engine.data_dir)
        deposit(old, 21, 30)
        old.stop()
    (tmp_path / "n").mkdir()
    told = run(
        "restore", tmp_path / "b", "--data-dir", tmp_path / "n" / "data", "--replaces", old.engine.data_dir
    )
    assert "messages to Kafka go on after sequence" in told
    assert "they stay in the topics" in told
    new = Exchange(tmp_path / "n", config)
    with new.engine, new.history, new.messages:
        deposit(new, 101, 110)
        assert "the topic balances" in new.messages.stderr
        assert "holds 10 messages after sequence" in new.messages.stderr
        new.stop()
    past = [(number, False) for number in range(1, 31)]
    assert amounts(kafka) == past + [(number, True) for number in range(101, 111)]
    assert max(Counter(amounts(kafka)).values()) == 1
