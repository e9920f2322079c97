"""A crash before any step of the disk - in a run, in the start after it, in the stop - loses nothing.

The steps are counted by the disk itself, so each of them is met, whatever it is.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from matchengine import system
from tests.support.faulty_disk import Crash, FaultyDisk
from tests.support.hand_worker import HandWorker, audit, hand_settings
from vxutils.disk import Disk

SMALL = hand_settings(journal={"segment_size_bytes": 64 << 10})
STEPS_MAX = 400


def deposit(number: int, size: int = 0) -> list[object]:
    return [1, "BTC", "deposit", number, "1", {"pad": "x" * size}]


def copy_of(data: Path, name: str) -> Path:
    copy = data.with_name(name)
    shutil.copytree(data, copy)
    system.adopt(Disk(), copy)
    return copy


def test_in_a_run(tmp_path: Path) -> None:
    """Deposits with long details, so that segments switch; the crash comes at each step of the whole run."""
    for step in range(1, STEPS_MAX):
        data = tmp_path / str(step)
        disk = FaultyDisk()
        acknowledged: list[int] = []
        try:
            with HandWorker(data, SMALL, disk=disk) as worker:
                disk.crash_at(step)
                for number in range(30):
                    worker.done(102, deposit(number, 4000))
                    acknowledged.append(number)
                    if number % 10 == 5:
                        worker.prepare_segments()
            is_over = True
        except Crash:
            is_over = False
        with HandWorker(data, SMALL) as worker:
            worker.prepare_segments()
            for number in acknowledged:
                assert worker.refused(102, deposit(number)) == 10, f"step {step}: {number} was acknowledged"
            unsure = worker.ask(102, deposit(len(acknowledged)))
            assert is_over or unsure["error"] is None or unsure["error"]["code"] == 10
            worker.check_laws()
        found = audit(data)
        assert found.operation_id in (len(acknowledged), len(acknowledged) + 1)
        shutil.rmtree(data)
        if is_over:
            assert step > 60, "fewer steps than syncs"
            return
    raise AssertionError("it never ended")


@pytest.mark.parametrize("ending", ["killed", "torn", "clean"])
def test_in_a_start(tmp_path: Path, ending: str) -> None:
    """The start after a kill, after a torn write, after a clean stop; then the next start has everything."""
    data = tmp_path / "data"
    with HandWorker(data, SMALL) as worker:
        for number in range(5):
            worker.done(102, deposit(number))
        mark = worker.state_hash
        path = worker.worker.journal.path
        offset = worker.worker.journal._offset
        if ending != "clean":
            worker.crash()
    if ending == "torn":
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(b"VXFR\x40\0\0\0unfinished")
    for step in range(1, STEPS_MAX):
        copy = copy_of(data, f"copy{step}")
        disk = FaultyDisk()
        disk.crash_at(step)
        try:
            with HandWorker(copy, SMALL, disk=disk) as worker:
                worker.crash()
            is_over = True
        except Crash:
            is_over = False
        with HandWorker(copy, SMALL) as worker:
            assert worker.state_hash == mark, f"step {step}"
            worker.done(102, deposit(99))
        assert audit(copy).operation_id == 6
        shutil.rmtree(copy)
        if is_over:
            assert step > 10
            return
    raise AssertionError("it never ended")


def test_in_a_stop(tmp_path: Path) -> None:
    """Sync, slice, removal of older ones, clean end of the journal."""
    data = tmp_path / "data"
    for number in range(3):
        with HandWorker(data, SMALL) as worker:
            worker.done(102, deposit(number))
    for step in range(1, STEPS_MAX):
        copy = copy_of(data, f"copy{step}")
        disk = FaultyDisk()
        try:
            with HandWorker(copy, SMALL, disk=disk) as worker:
                worker.done(102, deposit(3))
                mark = worker.state_hash
                disk.crash_at(step)
            is_over = True
        except Crash:
            is_over = False
        with HandWorker(copy, SMALL) as worker:
            assert worker.state_hash == mark, f"step {step}"
            worker.crash()
        assert audit(copy).operation_id == 4
        shutil.rmtree(copy)
        if is_over:
            assert step > 8
            return
    raise AssertionError("it never ended")
