"""A process that appends one batch, and kills itself at a named point of it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.servers.kafka import KafkaAddress
from tests.vxutils.store.histories import batch_of
from tests.vxutils.store.kafka.topics import writer_of
from vxutils.disk import Disk
from vxutils.store.embedded.schema import HistoryBatch
from vxutils.store.kafka import writer as writers
from vxutils.store.kafka.writer import KafkaMessageWriter

POINTS = ("before anything", "in flight is noted", "all is sent", "it is committed")
"""In the order in which they come."""


class DyingDisk(Disk):
    """Its `left`-th write from now on does not happen any more; 0: all do."""

    left = 0

    def write_atomically(self, path: Path, data: bytes) -> None:
        self.left -= 1
        if self.left == 0:
            die()
        super().write_atomically(path, data)


class DyingWriter(KafkaMessageWriter):
    """Dies before it begins, or before it commits."""

    point = ""

    def _transact(self, batch: HistoryBatch, name: str) -> None:
        if self.point == "in flight is noted":
            die()
        super()._transact(batch, name)

    def _mark_ids(self, batch: HistoryBatch) -> None:
        if self.point == "all is sent":
            die()
        super()._mark_ids(batch)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(brokers: str, directory: str, system: str, through: str, point: str) -> None:
    disk = DyingDisk()
    DyingWriter.point = point
    writers.KafkaMessageWriter = DyingWriter  # type: ignore[misc]
    writer = writer_of(KafkaAddress(brokers), Path(directory), bytes.fromhex(system), disk=disk)
    disk.left = {"before anything": 1, "it is committed": 2}.get(point, 0)
    writer.append(batch_of(writer.position.sequence, int(through)))


if __name__ == "__main__":
    main(*sys.argv[1:6])
