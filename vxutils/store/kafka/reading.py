"""Looks into topics, for the writer: their ends, and committed messages from an offset on.

Every call waits for the brokers, at most ANSWER_S: for a process that serves nobody. Only what is committed
is seen, and no position is left in Kafka.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from vxutils.store.kafka.errors import KafkaAway, KafkaTopicMissing, is_missing, sort_error
from vxutils.store.kafka.headers import Origin, read_headers
from vxutils.store.kafka.login import connection_settings
from vxutils.store.kafka.settings import PARTITION, KafkaLogin

ANSWER_S: Final = 10.0
READ_AT_ONCE: Final = 1_000
PATIENCE_S: Final = 0.02  # for more to come, where there is less than that

SILENT: Final = logging.Logger("kafka", logging.CRITICAL + 1)
"""For the library, which writes to the standard error output otherwise."""


def consumer_settings(brokers: str, login: KafkaLogin | None = None) -> dict[str, Any]:
    """Of a consumer that belongs to no group: the library wants a name all the same.

    Raises: KafkaNotAllowed.
    """
    return connection_settings(brokers, login) | {
        "group.id": "vx-unused",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "allow.auto.create.topics": False,
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "fetch.error.backoff.ms": 100,
        "fetch.queue.backoff.ms": 20,
        "reconnect.backoff.max.ms": 2_000,
        "logger": SILENT,  # what it has to say comes as errors
    }


class TopicReader:
    """Belongs to one thread."""

    def __init__(self, brokers: str, login: KafkaLogin | None = None) -> None:
        """Raises: KafkaNotAllowed."""
        self._brokers = brokers
        # A request that waits for news holds up the ones behind it, and it is the end that we ask for.
        settings = consumer_settings(brokers, login) | {"fetch.wait.max.ms": int(PATIENCE_S * 1000)}
        self._consumer = Consumer(settings)

    def close(self) -> None:
        self._consumer.close()

    def ends(self, topic: str) -> tuple[int, int]:
        """Offsets of the oldest message and of the one that is committed next.

        Raises: KafkaTopicMissing, KafkaTrouble.
        """
        where = f"topic {topic} at {self._brokers}"
        try:
            known = self._consumer.list_topics(topic, timeout=ANSWER_S).topics.get(topic)
            error = known.error if known is not None else None
            if error is not None:
                raise sort_error(error, where)
            if known is None or PARTITION not in known.partitions:
                raise KafkaTopicMissing(f"{where}: there is no such topic; make it, with one partition")
            found = self._consumer.get_watermark_offsets(TopicPartition(topic, PARTITION), timeout=ANSWER_S)
        except KafkaException as error:
            raise sort_error(error.args[0], where) from error
        if found is None:
            raise KafkaAway(f"{where}: no answer within {ANSWER_S:g} s")
        return found

    def read(self, topic: str, begin: int, end: int) -> Iterator[tuple[int, Origin | None]]:
        """Offset and origin of the committed messages from `begin` on, before `end`.

        Raises: KafkaTrouble.
        """
        if begin >= end:
            return
        where = f"topic {topic} at {self._brokers}"
        self._consumer.assign([TopicPartition(topic, PARTITION, begin)])
        try:
            due = time.monotonic() + ANSWER_S
            while True:
                for message in self._consumer.consume(READ_AT_ONCE, PATIENCE_S):
                    error, offset = message.error(), message.offset()
                    if error is None:
                        assert offset is not None, "the broker gave it one"
                        if offset >= end:
                            return
                        due = time.monotonic() + ANSWER_S
                        yield offset, read_headers(message.headers())
                    elif error.code() == KafkaError._PARTITION_EOF:
                        return
                    elif is_missing(error) or not error.retriable():
                        raise sort_error(error, where)
                if time.monotonic() > due:
                    raise KafkaAway(f"{where}: no answer within {ANSWER_S:g} s")
        finally:
            self._consumer.unassign()

    def last(self, topic: str) -> Origin | None:
        """Who wrote the last committed message; None if nobody did, or somebody who marks none.

        Looks further and further back, past aborted messages. Raises: KafkaTrouble.
        """
        low, high = self.ends(topic)
        back = 16
        while high > low:
            begin = max(low, high - back)
            found = deque(self.read(topic, begin, high), maxlen=1)
            if found:
                return found[0][1]
            if begin == low:
                break
            back *= 8
        return None
