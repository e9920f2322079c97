"""Topics made anew, cut off, written by the C system or missing: from our own position on, with an alarm."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.servers.kafka import KafkaAddress
from tests.vxutils.store.histories import batch_of
from tests.vxutils.store.kafka.topics import append, make, patiently, send_as_c, sequences, writer_of
from vxutils.disk import Disk
from vxutils.store.embedded.schema import TOPICS, HistoryBase
from vxutils.store.kafka.errors import KafkaTooLarge, KafkaTopicMissing
from vxutils.store.kafka.writer import open_messages


def about(alarms: list[str], topic: str) -> list[str]:
    return [alarm for alarm in alarms if f"topic {topic} " in alarm]


def test_made_anew_while_nobody_wrote(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    system, alarms = os.urandom(16), list[str]()
    writer = writer_of(kafka, tmp_path, system, alarms)
    append(writer, 10)
    writer.close()
    assert alarms == []
    make(kafka, "deals")
    writer = writer_of(kafka, tmp_path, system, alarms)
    append(writer, 12)
    assert sequences(kafka) == [11, 12]
    assert len(alarms) == 1
    assert "deals" in alarms[0]
    assert "made anew or emptied" in alarms[0]
    assert alarms[0].endswith("it goes on after sequence 10")
    # The same, but the new topic is longer than the old one was.
    make(kafka, "deals")
    send_as_c(kafka, "deals", *(["[]"] * 40))
    writer = writer_of(kafka, tmp_path, system, alarms)
    append(writer, 13)
    assert sequences(kafka) == [0] * 40 + [13]
    assert "made anew" in alarms[1]
    assert "40 messages without headers" in alarms[2]


def test_made_anew_while_we_write(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    alarms: list[str] = []
    writer = writer_of(kafka, tmp_path, os.urandom(16), alarms)
    append(writer, 10)
    make(kafka, "deals")
    append(writer, 12)
    append(writer, 14)
    assert sequences(kafka) == [11, 12, 13, 14]
    assert len(about(alarms, "deals")) == 1


def test_cut_off(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    system, alarms = os.urandom(16), list[str]()
    append(writer_of(kafka, tmp_path, system, alarms), 10)
    kafka.trim("deals", 5)
    append(writer_of(kafka, tmp_path, system, alarms), 20)
    assert alarms == []  # what was cut off is older than we need
    assert sequences(kafka) == list(range(6, 21))
    kafka.trim("deals", -1)  # all
    writer = writer_of(kafka, tmp_path, system, alarms)
    assert len(about(alarms, "deals")) == 1
    append(writer, 22)
    assert sequences(kafka) == [21, 22]


def test_written_by_the_c_system(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    send_as_c(kafka, "deals", "[1]", "[2]")
    system, alarms = os.urandom(16), list[str]()
    writer = writer_of(kafka, tmp_path, system, alarms, base=HistoryBase(sequence=100))
    append(writer, 102)
    assert "without headers, as the C system writes" in "".join(alarms)
    writer.close()
    send_as_c(kafka, "deals", "[3]", "[4]", "[5]")
    del alarms[:]
    writer = writer_of(kafka, tmp_path, system, alarms)
    assert writer.position.sequence == 102
    append(writer, 103)
    assert sequences(kafka) == [0, 0, 101, 102, 0, 0, 0, 103]
    assert "got 3 messages without headers" in "".join(alarms)


def test_missing_topics_are_waited_for(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    alarms: list[str] = []
    system = os.urandom(16)
    writer = writer_of(kafka, tmp_path, system, alarms)
    append(writer, 2)
    kafka.delete(*TOPICS)
    with pytest.raises(KafkaTopicMissing, match="make the topic"):
        open_messages(kafka.brokers, tmp_path, system, HistoryBase(), Disk(), alarms.append)
    make(kafka)
    append(writer, 4)
    assert sequences(kafka) == [3, 4]


def test_a_topic_that_takes_little_at_once_gets_little_at_once(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    kafka.configure("deals", max_message_bytes="20000")
    writer = writer_of(kafka, tmp_path, os.urandom(16))
    batch = batch_of(0, 1000)
    with pytest.raises(KafkaTooLarge, match=r"raise max\.message\.bytes"):
        writer.append(batch)
    patiently(lambda: writer.append(batch))
    assert sequences(kafka) == list(range(1, 1001))
