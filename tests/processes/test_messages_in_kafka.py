"""The real engine with messages in a real Kafka and history in `history.db`: the C system's, once each."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.conformance.replay import VECTORS
from tests.conformance.test_scenario_02_rows_and_messages import masked
from tests.processes.histories_in_mysql import Exchange
from tests.processes.test_history_in_mysql import play_scenario
from tests.servers.kafka import KafkaAddress
from tests.support.configs import toml_config
from tests.vxutils.store.kafka.topics import make
from vxutils.store.embedded.schema import HISTORY_FILE, TOPICS


def test_scenario_02_in_topics_of_the_c_system(tmp_path: Path, kafka: KafkaAddress) -> None:
    make(kafka)
    config = toml_config().replace(
        "[recorder]\n", '[recorder]\nmessages_monitor_address = "tcp@127.0.0.1:0"\n'
    )
    made = Exchange(tmp_path, f'{config}\n[kafka]\nbrokers = "{kafka.brokers}"\n')
    with made.engine, made.history, made.messages:
        for part in range(2):
            play_scenario(made.engine, part * 30, 30)
            os.kill(made.messages.writer_pid, signal.SIGKILL)
        made.messages.wait_until_committed()
        made.history.wait_until_committed()
        made.stop()
    recorded = json.loads((VECTORS / "02_kafka.json").read_text())
    for topic in TOPICS:
        found = [masked((message.value() or b"").decode()) for message in kafka.messages(topic)]
        assert found == [masked(message["value"]) for message in recorded[topic]]
    with closing(sqlite3.connect(made.engine.data_dir / HISTORY_FILE)) as connection:
        assert connection.execute("SELECT count(*) FROM operlog").fetchone() == (50,)
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (0,)
