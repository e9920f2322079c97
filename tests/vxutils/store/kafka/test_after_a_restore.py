"""A restored exchange goes on in topics that its past has filled: nothing twice, what is lost is counted."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from tests.servers.kafka import KafkaAddress
from tests.vxutils.store.histories import batch_of
from tests.vxutils.store.kafka.topics import append, make, sequences, writer_of
from vxutils.disk import Disk
from vxutils.store.embedded.schema import HistoryBatch
from vxutils.store.kafka.errors import KafkaAhead, KafkaFenced
from vxutils.store.kafka.floor import give_up, read_floor, write_floor

RESTORED = 1002  # an epoch; `batch_of` makes those of epoch 1


def of_epoch(after: int, through: int) -> HistoryBatch:
    batch = batch_of(after, through)
    return msgspec.structs.replace(batch, position=msgspec.structs.replace(batch.position, epoch=RESTORED))


def test_what_was_sent_is_not_sent_again(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    system, alarms = os.urandom(16), list[str]()
    old, new, disk = tmp_path / "old", tmp_path / "new", Disk()
    past = writer_of(kafka, old, system)
    append(past, 6)
    floor = read_floor(disk, old, system.hex())  # the backup: its journal ends with 9
    assert floor is not None
    append(past, 8)
    append(past, 12)
    new.mkdir()
    write_floor(disk, new, floor)
    with pytest.raises(KafkaAhead):
        writer_of(kafka, new, system)
    write_floor(disk, new, give_up(floor, RESTORED - 1, 9))

    restored = writer_of(kafka, new, system, alarms)
    assert [alarm for alarm in alarms if "topic deals " in alarm] == [
        f"the topic deals at {kafka.brokers} holds 3 messages after sequence 9, up to 12, which were given "
        "up when the exchange was restored; who reads it has them; it goes on after sequence 6"
    ]
    restored.append(of_epoch(6, 7))  # all of it is there
    restored.close()
    restored = writer_of(kafka, new, system, alarms)
    restored.append(of_epoch(7, 11))
    assert sequences(kafka) == [*range(1, 13), 10, 11]
    assert len(alarms) == 2  # once for each topic of which it is true, and no more after a new start

    with pytest.raises(KafkaFenced):
        past.append(batch_of(12, 20))
    with pytest.raises(KafkaAhead, match=f"epoch {RESTORED}, while it is at 1"):
        past.append(batch_of(12, 20))
    restored.append(of_epoch(11, 13))
    assert sequences(kafka) == [*range(1, 13), 10, 11, 12, 13]
    assert sequences(kafka, "orders") == [1, 3, 5, 7, 9, 11, 11, 13]
