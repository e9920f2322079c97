"""The process dies before the n-th change to the disk, for every n: a start finds all that was synced."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from matchengine.journal.format import JournalIOError
from matchengine.journal.segments import repair_tail
from matchengine.journal.writer import Durability, JournalWriter
from tests.matchengine.journal.journals import (
    append,
    end_of,
    make_journal,
    open_writer,
    read_all,
    recover,
)
from tests.support.faulty_disk import Crash, FaultyDisk


def run_until_crash(directory: Path, step: int, durability: Durability) -> tuple[int, bool]:
    """Over a segment switch and a clean end; returns the last acknowledged sequence and whether it ended."""
    disk = FaultyDisk()
    disk.crash_at(step)
    acknowledged = 0
    writer: JournalWriter | None = None
    try:
        writer = open_writer(directory, disk, durability=durability)
        while writer.segment_number < 3:
            append(writer, size=7000, sync=durability == "group" or writer.last_sequence % 3 == 2)
            acknowledged = writer.durable_sequence
        writer.close()
    except Crash:
        if writer is not None:
            writer.close(clean=False)
        return acknowledged, False
    return writer.last_sequence, True


@pytest.mark.parametrize("durability", ["group", "interval"])
def test_a_crash_between_any_two_steps(tmp_path: Path, durability: Durability) -> None:
    step = 0
    ended = False
    while not ended:
        step += 1
        directory = tmp_path / str(step)
        acknowledged, ended = run_until_crash(directory, step, durability)
        sequences, writer = recover(directory, epoch=2)
        assert len(sequences) >= acknowledged
        append(writer)
        writer.close()
        expected = list(range(1, len(sequences) + 2))
        assert sequences == expected[:-1]
        assert read_all(directory)[0] == expected
        leftovers = [path.name for path in directory.iterdir() if "prepar" in path.name or "tmp" in path.name]
        assert leftovers == []
    assert step > 30


@pytest.mark.parametrize("prepared", [False, True])
def test_a_crash_inside_the_repair(tmp_path: Path, prepared: bool) -> None:
    step = 0
    ended = False
    while not ended:
        step += 1
        directory = tmp_path / str(step)
        make_journal(directory, frames=5)
        if prepared:
            (directory / "next-2.prepared").write_bytes(bytes(32 * 1024))
        end = end_of(directory)
        disk = FaultyDisk()
        disk.crash_at(step)
        try:
            repair_tail(disk, directory, end.segment_path, end.valid_bytes)
            ended = True
        except Crash:
            pass
        sequences, writer = recover(directory, epoch=2)
        assert sequences == [1, 2, 3, 4, 5]
        writer.close()
        assert list(directory.glob("*.repairing")) == []
    assert step > 4


@pytest.mark.parametrize("operation", ["fdatasync", "pwrite", "rename", "sync_directory"])
def test_a_disk_that_fails_inside_the_switch(tmp_path: Path, operation: str) -> None:
    """Every failure of the switch itself kills the writer, and the next start goes on."""
    for nth in range(1, 4):
        directory = tmp_path / str(nth)
        disk = FaultyDisk()
        writer = open_writer(directory, disk)
        for _ in range(3):
            append(writer, size=7000)
        # The prepared file is there, so only the switch touches the disk.
        (directory / "next-1.prepared").write_bytes(bytes(32 * 1024))
        disk.fail(operation, nth, errno.EIO)
        try:
            append(writer, size=7000)
        except JournalIOError:
            acknowledged = 3
        else:
            acknowledged = 4
        writer.close(clean=False)
        sequences, writer = recover(directory, epoch=2)
        assert len(sequences) >= acknowledged
        writer.close()
