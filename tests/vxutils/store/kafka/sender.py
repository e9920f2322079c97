"""A process that sends batches until it is killed.

Its line `ready` says that it has opened the topics.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from tests.servers.kafka import KafkaAddress
from tests.vxutils.store.kafka.topics import append, writer_of


def main(brokers: str, directory: str, system: str) -> None:
    writer = writer_of(KafkaAddress(brokers), Path(directory), bytes.fromhex(system))
    print("ready", writer.position.sequence, flush=True)
    while True:
        append(writer, writer.position.sequence + random.randint(1, 400))


if __name__ == "__main__":
    main(*sys.argv[1:4])
