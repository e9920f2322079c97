"""Brokers that hang or die hold messages up and lose none, and are told apart from well ones."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from tests.servers.fixtures import need
from tests.servers.kafka import Kafka
from tests.vxutils.store.kafka.topics import PATIENCE_S, append, make, sequences, writer_of
from vxutils.store.kafka.consumer import KafkaFeed
from vxutils.store.kafka.settings import ConsumerSettings

HANG_S = 3.0


class Load:
    """A writer that goes on in a thread, as the writer process does beside the recorder."""

    def __init__(self, broker: Kafka, directory: Path) -> None:
        self._writer = writer_of(broker, directory, os.urandom(16))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._failure: BaseException | None = None
        self._thread.start()

    @property
    def sequence(self) -> int:
        return self._writer.position.sequence

    def go_on(self, records: int) -> None:
        wanted, deadline = self.sequence + records, time.monotonic() + PATIENCE_S
        while self.sequence < wanted:
            assert self._thread.is_alive(), self._failure
            assert time.monotonic() < deadline, "nothing is written any more"
            time.sleep(0.01)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._writer.close()
        assert self._failure is None

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                append(self._writer, self.sequence + 20)
        except BaseException as error:
            self._failure = error
            raise


def test_what_is_written_while_brokers_hang_and_die_arrives_once(tmp_path: Path) -> None:
    need("Kafka")
    server = Kafka(tmp_path)
    with (tmp_path / "server.properties").open("a") as properties:
        # A killed broker may come back only when its session is over.
        properties.write("broker.session.timeout.ms=1500\nbroker.heartbeat.interval.ms=300\n")
    with server as broker:
        make(broker)
        feed = KafkaFeed(ConsumerSettings(brokers=broker.brokers, topic="deals"), 0)
        taken: list[int] = []
        load = Load(broker, tmp_path / "data")
        try:
            load.go_on(500)
            broker.suspend()
            time.sleep(HANG_S)
            broker.go_on()
            load.go_on(500)
            broker.kill()
            deadline = time.monotonic() + PATIENCE_S
            while feed.source != "none":
                taken += [message.sequence for message in feed.poll(100_000)]
                assert time.monotonic() < deadline, "nobody noticed"
                time.sleep(0.01)
            broker.start()
            load.go_on(500)
        finally:
            load.stop()
        wanted = list(range(1, load.sequence + 1))
        assert sequences(broker) == wanted
        deadline = time.monotonic() + PATIENCE_S
        while len(taken) < len(wanted):
            taken += [message.sequence for message in feed.poll(100_000)]
            assert time.monotonic() < deadline, f"{len(taken)} of {len(wanted)} came, {feed.trouble}"
            time.sleep(0.01)
        assert taken == wanted
        assert feed.trouble is None
        feed.close()
