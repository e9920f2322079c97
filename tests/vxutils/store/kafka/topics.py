"""Fresh topics on the broker of the test run, writers of made-up batches, messages as a C producer sends."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from confluent_kafka import KafkaException, Producer

from tests.servers.kafka import KafkaAddress
from tests.vxutils.store.histories import batch_of
from vxutils.disk import Disk
from vxutils.store.embedded.schema import TOPICS, HistoryBase
from vxutils.store.kafka.errors import KafkaTrouble
from vxutils.store.kafka.headers import read_headers
from vxutils.store.kafka.reading import TopicReader
from vxutils.store.kafka.writer import KafkaMessageWriter, open_messages

PATIENCE_S = 40.0
_T = TypeVar("_T")


def patiently(attempt: Callable[[], _T]) -> _T:
    """The result of `attempt`, which is repeated while the brokers can not do it yet."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return attempt()
        except (KafkaTrouble, KafkaException):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def make(kafka: KafkaAddress, *names: str, config: dict[str, str] | None = None) -> None:
    """Makes the topics anew, and waits until they can be used."""
    names = names or TOPICS
    for name in names:
        try:
            kafka.delete(name)
        except KafkaException:
            continue
    patiently(lambda: kafka.create(*names, config=config))
    reader = TopicReader(kafka.brokers)
    try:
        for name in names:
            patiently(lambda name=name: reader.ends(name))  # type: ignore[misc]
    finally:
        reader.close()


def writer_of(
    kafka: KafkaAddress,
    directory: Path,
    system: bytes,
    alarms: list[str] | None = None,
    disk: Disk | None = None,
    base: HistoryBase | None = None,
) -> KafkaMessageWriter:
    """Opens the topics, patiently."""
    directory.mkdir(exist_ok=True)
    told = alarms if alarms is not None else []
    return patiently(
        lambda: open_messages(
            kafka.brokers, directory, system, base or HistoryBase(), disk or Disk(), told.append
        )
    )


def append(writer: KafkaMessageWriter, through: int) -> None:
    """The records up to this one, as one batch."""
    batch = batch_of(writer.position.sequence, through)
    patiently(lambda: writer.append(batch))
    assert writer.position == batch.position


def sequences(kafka: KafkaAddress, topic: str = "deals") -> list[int]:
    """Of the committed messages of a topic, by their headers; 0 for one without."""
    origins = [read_headers(message.headers()) for message in kafka.messages(topic)]
    return [origin.id.sequence if origin is not None else 0 for origin in origins]


def send_as_c(kafka: KafkaAddress, topic: str, *texts: str) -> None:
    """Messages without headers, outside of any transaction."""
    producer = Producer({"bootstrap.servers": kafka.brokers, "queue.buffering.max.ms": 1})
    for text in texts:
        producer.produce(topic, text.encode(), partition=0)
    assert producer.flush(PATIENCE_S) == 0
