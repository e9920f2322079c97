"""Of two writers of one system the later one writes; whoever must not write says why, and disturbs nobody."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.servers.kafka import KafkaAddress
from tests.vxutils.store.histories import batch_of
from tests.vxutils.store.kafka.topics import append, make, sequences, writer_of
from vxutils.store.kafka.errors import KafkaAhead, KafkaFenced, KafkaFloorBad, KafkaForeign
from vxutils.store.kafka.floor import FLOOR_FILE


def test_the_first_writer_is_fenced_by_one_on_a_copy(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    system = os.urandom(16)
    first = writer_of(kafka, tmp_path / "a", system)
    append(first, 10)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    second = writer_of(kafka, tmp_path / "b", system)
    with pytest.raises(KafkaFenced, match="another engine"):
        first.append(batch_of(10, 20))
    append(second, 15)
    assert sequences(kafka) == list(range(1, 16))
    with pytest.raises(KafkaAhead, match="sequence 11, while it is at 10"):
        first.append(batch_of(10, 20))  # when it tries again, it looks first
    append(second, 20)


def test_an_old_copy_is_refused_and_disturbs_nobody(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    system = os.urandom(16)
    writer = writer_of(kafka, tmp_path / "a", system)
    append(writer, 10)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    append(writer, 20)
    with pytest.raises(KafkaAhead, match="sequence 11, while it is at 10"):
        writer_of(kafka, tmp_path / "b", system)
    append(writer, 30)
    assert sequences(kafka) == list(range(1, 31))


def test_a_lost_or_damaged_position_is_not_guessed(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    system = os.urandom(16)
    writer = writer_of(kafka, tmp_path, system)
    append(writer, 10)
    file = tmp_path / FLOOR_FILE
    content = file.read_bytes()
    file.unlink()
    with pytest.raises(KafkaFloorBad, match=r"up to sequence 9, but .*kafka\.json"):
        writer_of(kafka, tmp_path, system)
    file.write_bytes(content[:40])
    with pytest.raises(KafkaFloorBad, match="damaged"):
        writer_of(kafka, tmp_path, system)
    file.write_bytes(content)
    with pytest.raises(KafkaFloorBad, match="belongs to system"):
        writer_of(kafka, tmp_path, os.urandom(16))
    append(writer, 11)


def test_topics_of_another_system_are_left_alone(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    append(writer_of(kafka, tmp_path / "a", os.urandom(16)), 3)
    with pytest.raises(KafkaForeign, match="two exchanges can not share a topic"):
        writer_of(kafka, tmp_path / "b", os.urandom(16))
