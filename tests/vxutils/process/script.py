"""Runs a small Python program as a process of its own: what forks must not do so inside pytest."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

DEADLINE_S = 10.0


def start(source: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-c", textwrap.dedent(source), *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(source: str, *arguments: object) -> tuple[int, str]:
    """Exit code and standard output; standard error is shown by pytest when the test fails."""
    process = start(source, *arguments)
    out, err = process.communicate(timeout=DEADLINE_S)
    sys.stderr.write(err)
    return process.returncode, out


def read_line(process: subprocess.Popen[str]) -> str:
    """The next line of its standard output, empty at the end. A process that says nothing fails the test."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()  # past the buffer, so that `select` and `communicate` see everything
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([descriptor], [], [], DEADLINE_S)[0]:
            process.kill()
            raise AssertionError(f"no further line within {DEADLINE_S} s")
        byte = os.read(descriptor, 1)
        if not byte:
            break
        line += byte
    return line.decode().strip()


def is_alive(pid: int) -> bool:
    """Runs or sleeps; a zombie that nobody has waited for yet does not live."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
