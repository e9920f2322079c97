"""The lock of a data directory: one holder, named; gone with the process, not passed on by exec."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.vxutils.process import script
from vxutils.exits import ExitCode, ProcessExit
from vxutils.process import DirectoryLock

HOLDER = """
    import pathlib, sys
    from vxutils.process import DirectoryLock
    lock = DirectoryLock(pathlib.Path(sys.argv[1]))
    print("held")
    sys.stdin.read()
"""
EXEC_WITHOUT_LOCK = """
    import os, pathlib, sys
    from vxutils.process import DirectoryLock
    lock = DirectoryLock(pathlib.Path(sys.argv[1]))
    os.execv("/bin/cat", ["cat"])
"""


def test_a_second_owner_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    holder = script.start(HOLDER, tmp_path)
    assert script.read_line(holder) == "held"
    with pytest.raises(ProcessExit) as caught:
        DirectoryLock(tmp_path)
    assert caught.value.code == ExitCode.ALREADY_RUNNING
    assert caught.value.sentence == f"data directory {tmp_path} is in use by process {holder.pid}"
    holder.communicate(timeout=script.DEADLINE_S)


def test_the_refused_one_does_not_disturb_the_holder(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path):
        for _ in range(2):
            with pytest.raises(ProcessExit, match=f"process {os.getpid()}"):
                DirectoryLock(tmp_path)
    DirectoryLock(tmp_path).release()


def test_kill_9_releases_the_directory(tmp_path: Path) -> None:
    holder = script.start(HOLDER, tmp_path)
    assert script.read_line(holder) == "held"
    holder.kill()
    holder.communicate(timeout=script.DEADLINE_S)
    DirectoryLock(tmp_path).release()


def test_a_program_started_by_exec_does_not_hold_it(tmp_path: Path) -> None:
    process = script.start(EXEC_WITHOUT_LOCK, tmp_path)
    comm = Path(f"/proc/{process.pid}/comm")
    script.wait_until(lambda: comm.read_text() == "cat\n")
    DirectoryLock(tmp_path).release()
    process.communicate(timeout=script.DEADLINE_S)


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "LOCK").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError):
        DirectoryLock(tmp_path)
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_missing_directory_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DirectoryLock(tmp_path / "missing")
