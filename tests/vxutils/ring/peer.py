"""The other process of the ring tests: `python -m tests.vxutils.ring.peer ROLE NAME ...`.

    snapshots NAME SLOT_BYTES SLOTS     publishes at full speed until it is killed
    messages  NAME SIZE_BYTES FIRST     appends at full speed until it is killed
    read      NAME COUNT                reads so many snapshots, prints what it saw as JSON

Payloads carry their own proof, which has nothing to do with that of the ring.
"""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from pathlib import Path

from vxutils.ring.ends import monotonic_us
from vxutils.ring.message import MessageWriter
from vxutils.ring.snapshot import SnapshotReader, SnapshotWriter

ROOT = Path(__file__).resolve().parents[3]
PROOF_BYTES = 16
PAYLOADS = 199


def start(*words: object) -> subprocess.Popen[str]:
    """The other process, its output to be read."""
    command = [sys.executable, "-m", "tests.vxutils.ring.peer", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def proven(body: bytes) -> bytes:
    """A payload of `body` that `check_proven` accepts."""
    return hashlib.blake2b(body, digest_size=PROOF_BYTES).digest() + body


def check_proven(payload: bytes) -> None:
    assert payload[:PROOF_BYTES] == hashlib.blake2b(payload[PROOF_BYTES:], digest_size=PROOF_BYTES).digest()


def message(number: int) -> bytes:
    """The payload of message `number`: its length is uneven, and any byte of another message is wrong."""
    return (b"%d," % number) * (1 + number * 7919 % 23)


def publish_snapshots(name: str, slot_bytes: int, slots: int) -> None:
    chance = random.Random(1)
    sizes = [chance.randrange(slot_bytes - PROOF_BYTES) for _ in range(PAYLOADS)]
    payloads = [proven(chance.randbytes(size)) for size in sizes]
    writer = SnapshotWriter(name, slot_bytes, slots)
    number = 0
    while True:
        for payload in payloads:
            number += 1
            writer.publish(payload, number, 2 * number)
        writer.beat(monotonic_us())


def append_messages(name: str, size_bytes: int, first: int) -> None:
    writer = MessageWriter(name, size_bytes, first)
    number = first
    while True:
        for _ in range(1 + number % 7):
            writer.append(number, message(number))
            number += 1
        writer.publish()
        writer.beat(monotonic_us())
        if number % 1024 < 7:
            time.sleep(0.001)  # now and then a reader may keep up


def read_snapshots(name: str, count: int) -> None:
    reader = SnapshotReader(name)
    deadline = time.monotonic() + 30
    found = highest = changes = 0
    while found < count and time.monotonic() < deadline:
        snapshot = reader.read()
        if snapshot is None:
            continue
        check_proven(snapshot.payload)
        assert snapshot.time_us == 2 * snapshot.sequence, snapshot
        assert snapshot.sequence >= highest, "an older one after a newer one"
        changes += snapshot.sequence > highest
        highest = snapshot.sequence
        found += 1
    print(json.dumps({"found": found, "changes": changes, "torn": reader.torn}))


if __name__ == "__main__":
    role, ring, *numbers = sys.argv[1:]
    {"snapshots": publish_snapshots, "messages": append_messages, "read": read_snapshots}[role](
        ring, *map(int, numbers)
    )
