"""Whoever is killed, in whatever order: no process survives its family, and names tell who is who."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.vxutils.process import script
from tests.vxutils.watchdog import watched

WITH_CHILDREN = """
    plain = subprocess.Popen(["sleep", "60"])
    detached = subprocess.Popen(["setsid", "sh", "-c", "sleep 60 & sleep 60"])
    say("children", plain.pid, detached.pid)
    time.sleep(60)
"""


def children_of(process: subprocess.Popen[str]) -> list[int]:
    return [int(word) for word in script.read_line(process).split()[1:]]


def test_the_worker_dies_with_a_killed_watchdog() -> None:
    process = watched.start("say('ready'); time.sleep(60)")
    pid = watched.next_birth(process)
    process.kill()
    process.wait(script.DEADLINE_S)
    script.wait_until(lambda: not script.is_alive(pid))
    watched.finish(process)


def test_children_of_a_killed_worker_are_gone_before_the_next_is_born() -> None:
    process = watched.start(WITH_CHILDREN)
    first = watched.next_birth(process)
    children = children_of(process)
    assert all(script.is_alive(pid) for pid in children)
    os.kill(first, signal.SIGKILL)
    watched.next_birth(process)
    assert not any(script.is_alive(pid) for pid in children)
    children = children_of(process)
    process.terminate()
    assert watched.finish(process)[0] == 0
    assert not any(script.is_alive(pid) for pid in children)


def test_a_lock_held_by_a_forked_child_is_free_for_the_next_worker(tmp_path: Path) -> None:
    body = f"""
        from pathlib import Path
        from vxutils.process import DirectoryLock
        lock = DirectoryLock(Path({str(tmp_path)!r}))
        if os.fork() == 0:
            time.sleep(60)
        say("locked")
        time.sleep(60)
    """
    process = watched.start(body)
    for _ in range(2):
        pid = watched.next_birth(process)
        assert script.read_line(process) == "locked"
        os.kill(pid, signal.SIGKILL)
    watched.next_birth(process)
    assert script.read_line(process) == "locked"
    process.terminate()
    assert watched.finish(process)[0] == 0


def test_titles_tell_watchdog_and_worker() -> None:
    process = watched.start("time.sleep(60)")
    pid = watched.next_birth(process)
    titles = [Path(f"/proc/{number}/cmdline").read_text().rstrip("\0") for number in (process.pid, pid)]
    assert titles == ["tested watchdog", "tested"]
    process.terminate()
    watched.finish(process)
