"""An exchange that was handed over and taken back is another system; its topics end with those of the old."""

from __future__ import annotations

import os
from pathlib import Path

from tests.servers.kafka import KafkaAddress
from tests.vxutils.store.kafka.topics import append, make, sequences, writer_of
from vxutils.disk import Disk
from vxutils.store.embedded.schema import HistoryBase, HistoryPosition
from vxutils.store.kafka.floor import Floor, write_floor


def test_a_topic_that_a_former_system_wrote_last_is_continued(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    former, system = os.urandom(16), os.urandom(16)
    append(writer_of(kafka, tmp_path / "a", former), 10)
    directory = tmp_path / "b"
    directory.mkdir()
    floor = Floor(
        system=system.hex(), base=HistoryBase(), position=HistoryPosition(), former=("00" * 16, former.hex())
    )
    write_floor(Disk(), directory, floor)
    alarms: list[str] = []
    append(writer_of(kafka, directory, system, alarms), 5)
    append(writer_of(kafka, directory, system, alarms), 7)
    assert sequences(kafka) == [*range(1, 11), *range(1, 8)]
    assert alarms == []
