"""Each batch is in the topics once: whatever fails, and wherever the process is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers.kafka import KafkaAddress
from tests.vxutils.store.histories import batch_of
from tests.vxutils.store.kafka.dying import POINTS
from tests.vxutils.store.kafka.topics import append, make, sequences, writer_of
from vxutils.disk import Disk
from vxutils.store.embedded.schema import HistoryBase, HistoryBatch, HistoryPosition
from vxutils.store.embedded.writer import OutOfPlace

KILLS = 3


class FailingDisk(Disk):
    """Fails the write which is so many away."""

    def __init__(self) -> None:
        self.left = -1

    def write_atomically(self, path: Path, data: bytes) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError("no space")
        super().write_atomically(path, data)


def test_messages_look_as_those_of_the_c_system_and_say_which_they_are(
    kafka: KafkaAddress, tmp_path: Path
) -> None:
    make(kafka)
    system = os.urandom(16)
    writer = writer_of(kafka, tmp_path, system)
    texts = ['[1.5, 1, "BTC", "deposit", "100.00000000"]', '{"event": 1, "stock": "é"}', "[1, 2]", "[1, 3]"]
    batch = HistoryBatch(
        0,
        HistoryPosition(9, 3, 0, b"12345678"),
        messages=[
            ("balances", 4, 0, texts[0]),
            ("orders", 9, 2, texts[1]),
            ("deals", 9, 0, texts[2]),
            ("deals", 9, 1, texts[3]),
        ],
    )
    assert writer.append(batch) == []
    found = [message for topic in ("balances", "orders", "deals") for message in kafka.messages(topic)]
    assert [message.value() for message in found] == [text.encode() for text in texts]
    assert {(message.partition(), message.key()) for message in found} == {(0, None)}
    headers = dict(found[1].headers() or {})
    assert len(headers.pop("batch") or "") == 16
    assert headers == {
        "system": system.hex().encode(),
        "epoch": b"3",
        "sequence": b"9",
        "index": b"2",
    }
    writer.close()
    assert writer_of(kafka, tmp_path, system).position == batch.position


def test_a_directory_begins_at_its_base_and_takes_only_what_follows(
    kafka: KafkaAddress, tmp_path: Path
) -> None:
    make(kafka)
    writer = writer_of(kafka, tmp_path, os.urandom(16), base=HistoryBase(sequence=500))
    with pytest.raises(OutOfPlace):
        writer.append(batch_of(499, 501))
    append(writer, 502)
    writer.append(HistoryBatch(502, HistoryPosition(510)))  # records without messages
    append(writer, 511)
    assert sequences(kafka) == [501, 502, 511]


@pytest.mark.parametrize("write", [1, 2])
def test_a_failure_of_the_disk_doubles_and_loses_nothing(
    kafka: KafkaAddress, tmp_path: Path, write: int
) -> None:
    """1: before the messages are sent. 2: after they were committed."""
    make(kafka)
    disk, system = FailingDisk(), os.urandom(16)
    writer = writer_of(kafka, tmp_path, system, disk=disk)
    append(writer, 10)
    disk.left = write
    with pytest.raises(OSError, match="no space"):
        writer.append(batch_of(10, 20))
    assert writer.position.sequence == 10
    append(writer, 20)
    append(writer, 30)
    disk.left = write
    with pytest.raises(OSError, match="no space"):
        writer.append(batch_of(30, 40))
    again = writer_of(kafka, tmp_path, system)
    assert again.position.sequence == (30 if write == 1 else 40)
    append(again, 50)
    assert sequences(kafka) == list(range(1, 51))


def test_a_killed_writer_doubles_and_loses_nothing(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    system = os.urandom(16)
    words = [sys.executable, "-m", "tests.vxutils.store.kafka.sender", kafka.brokers, str(tmp_path)]
    for _ in range(KILLS):
        process = subprocess.Popen([*words, system.hex()], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with process, process.stdout:
            assert process.stdout.readline().startswith("ready")
            time.sleep(random.uniform(0.03, 0.3))
            process.kill()
    writer = writer_of(kafka, tmp_path, system)
    append(writer, writer.position.sequence + 3)
    found = sequences(kafka)
    assert found == list(range(1, writer.position.sequence + 1))
    assert len(found) > 3
    orders = [sequence for sequence in range(1, found[-1] + 1) if sequence % 2]
    assert sequences(kafka, "orders") == orders


def test_a_writer_that_is_killed_at_each_point_of_a_batch(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    system = os.urandom(16)
    append(writer_of(kafka, tmp_path, system), 10)
    words = [sys.executable, "-m", "tests.vxutils.store.kafka.dying", kafka.brokers, str(tmp_path)]
    for point in POINTS:
        before = sequences(kafka)
        through = before[-1] + 10
        ended = subprocess.run([*words, system.hex(), str(through), point], check=False, timeout=60)
        assert ended.returncode == -signal.SIGKILL
        has_arrived = point == "it is committed"
        assert sequences(kafka) == list(range(1, through + 1 if has_arrived else before[-1] + 1)), point
        writer = writer_of(kafka, tmp_path, system)
        assert writer.position.sequence == (through if has_arrived else before[-1]), point
        append(writer, through + 1)
        assert sequences(kafka) == list(range(1, through + 2)), point
