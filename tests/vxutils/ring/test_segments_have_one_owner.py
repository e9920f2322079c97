"""Names are nobody else's; making, removing and losing a segment is noticed on both sides."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vxutils.ring import peer
from vxutils.ring.ends import LOOK_EVERY_US, monotonic_us
from vxutils.ring.message import MessageReader, MessageWriter
from vxutils.ring.segment import SHM_DIRECTORY, SIZE_BYTES_MAX, RingError, Segment, ring_name
from vxutils.ring.snapshot import SnapshotReader, SnapshotWriter

KIND = b"TESTKIND"


def file_of(name: str) -> Path:
    return SHM_DIRECTORY / name[1:]


def later_us() -> int:
    """A clock on which every look at the name is due."""
    later_us.looks += LOOK_EVERY_US + 1  # type: ignore[attr-defined]
    return monotonic_us() + later_us.looks  # type: ignore[attr-defined,no-any-return]


later_us.looks = 0  # type: ignore[attr-defined]


def test_two_exchanges_never_share_a_name(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    names = {
        ring_name(system_id, directory, what)
        for system_id in (b"1" * 16, b"2" * 16)
        for directory in (here, there)
        for what in ("book.A", "book.B", "tickers")
    }
    assert len(names) == 12
    assert ring_name(b"1" * 16, here / ".." / "here", "x") == ring_name(b"1" * 16, here, "x")


@pytest.mark.parametrize(
    "what", ["book.BTC/USDT", "book.\N{SNOWMAN}", "book." + "\U0001f600" * 200, "a%2F", "\0"]
)
def test_any_market_has_a_name_that_a_file_may_have(tmp_path: Path, what: str) -> None:
    name = ring_name(b"x" * 16, tmp_path, what)
    assert len(name) < 255
    assert "/" not in name[1:]
    assert name != ring_name(b"x" * 16, tmp_path, what + "x")
    writer = SnapshotWriter(name, 10)
    assert file_of(name).exists()
    assert file_of(name).stat().st_mode & 0o777 == 0o600
    writer.close()
    assert not file_of(name).exists()


def test_names_which_look_alike_differ(tmp_path: Path) -> None:
    assert ring_name(b"x", tmp_path, "a/b") != ring_name(b"x", tmp_path, "a%2Fb")


def test_making_one_ends_the_stale_one_at_once(name: str) -> None:
    """A reader of the stale segment must not wait for a heartbeat: the new engine may already answer."""
    stale = SnapshotWriter(name, 10)
    reader = SnapshotReader(name)
    stale.publish(b"old", 1, 1)
    assert reader.read() is not None
    stale.close(unlink=False)
    assert file_of(name).exists()
    writer = SnapshotWriter(name, 10)
    assert reader.read() is None
    writer.publish(b"new", 2, 2)
    assert reader.read().payload == b"new"  # type: ignore[union-attr]
    writer.close()
    assert reader.read() is None
    assert not reader.is_attached
    reader.close()


def test_a_name_removed_from_outside_is_made_anew(name: str) -> None:
    writer, reader = SnapshotWriter(name, 10), SnapshotReader(name, now=later_us)
    reader._dead_after_us = 1 << 60
    writer.publish(b"1", 1, 1)
    assert reader.read() is not None
    assert not writer.check()
    file_of(name).unlink()
    writer.publish(b"2", 2, 2)  # harmless, and seen by nobody who looks for the name
    assert reader.read() is None
    generation = writer.generation
    assert writer.check()
    assert writer.generation != generation
    assert reader.read() is None, "the new one is empty"
    writer.publish(b"3", 3, 3)
    assert reader.read().payload == b"3"  # type: ignore[union-attr]
    # Somebody else's under the name: the owner takes it back.
    file_of(name).unlink()
    other = SnapshotWriter(name, 10)
    assert writer.check()
    writer.publish(b"4", 4, 4)
    assert reader.read().payload == b"4"  # type: ignore[union-attr]
    other.close()
    assert file_of(name).exists(), "closing the other one does not take the name from the owner"
    writer.close()
    reader.close()


def test_a_message_ring_made_anew_knows_where_it_goes_on(name: str) -> None:
    writer, reader = MessageWriter(name, 1000, 0), MessageReader(name, 0, now=later_us)
    writer.append(0, b"0")
    writer.publish()
    assert reader.read(5) == [(0, b"0")]
    file_of(name).unlink()
    assert writer.check()
    writer.append(1, b"1")
    writer.publish()
    assert reader.read(5) == [(1, b"1")]
    writer.close()
    reader.close()


def test_memory_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(RingError, match="over the limit"):
        Segment.create(name, KIND, SIZE_BYTES_MAX)
    status = os.statvfs(SHM_DIRECTORY)
    if 0 < status.f_blocks * status.f_frsize < SIZE_BYTES_MAX // 2:
        with pytest.raises(RingError, match=r"can not be had: .*No space left"):
            Segment.create(name, KIND, status.f_blocks * status.f_frsize + 1)
    assert not file_of(name).exists()


TINY = """
import os, sys
from vxutils.ring.segment import RingError
from vxutils.ring.snapshot import SnapshotReader, SnapshotWriter
name = sys.argv[1]
first = SnapshotWriter(name, 8192, 8)
try:
    SnapshotWriter(name + "2", 8192, 8)
    sys.exit("the second ring was made in a full /dev/shm")
except RingError as error:
    print(error)
reader = SnapshotReader(name)
for number in range(100):
    assert first.publish(b"x" * 8192, number, 0) and reader.read().sequence == number
os.unlink("/dev/shm" + name)
del reader
try:
    first.check()
    sys.exit("both segments fit")
except RingError as error:
    print(error)
first.publish(b"x", 1, 1)
assert os.listdir("/dev/shm") == []
"""


def test_a_tiny_shared_memory_costs_the_ring_and_nothing_else(name: str) -> None:
    """In a mount namespace of its own with a /dev/shm of 100 KiB, where this is allowed."""
    mount = 'mount -t tmpfs -o size=100k none /dev/shm && exec "$@"'
    unshare = ["unshare", "--mount", "sh", "-c", mount, "sh"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("mount namespaces are not allowed here")
    done = subprocess.run(
        [*unshare, sys.executable, "-c", TINY, name],
        cwd=peer.ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("No space left on device") == 2


def test_what_is_not_a_ring_is_not_attached(name: str) -> None:
    assert SnapshotReader(name).read() is None
    for content in (b"", b"x" * 100, b"\0" * 4096, b"x" * 4096):
        file_of(name).write_bytes(content)
        assert SnapshotReader(name).read() is None
        with pytest.raises(RingError):
            Segment.attach(name, KIND)
    writer = MessageWriter(name, 100)  # replaces even that
    assert SnapshotReader(name).read() is None, "of another kind"
    writer.close()


def test_a_name_that_can_not_be_had_is_an_error_in_words(name: str) -> None:
    file_of(name).mkdir()
    try:
        with pytest.raises(RingError, match="can not be made: "):
            SnapshotWriter(name, 10)
        assert SnapshotReader(name).read() is None
    finally:
        file_of(name).rmdir()
