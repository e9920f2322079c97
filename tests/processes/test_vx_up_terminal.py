"""Ctrl-C at a terminal under another program (make, a script): that one is not hit, and goes on."""

from __future__ import annotations

import os
import pty
import select
import shlex
import signal
import time
from pathlib import Path

from tests.gateways.cli.running import DEADLINE_S, VX, anywhere
from tests.support.configs import toml_config

CTRL_C = b"\x03"


def test_ctrl_c_is_ours_alone_and_the_terminal_is_given_back(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(toml_config())
    # The shell shares its process group with its children, as make does, and would die of the INT.
    command = [*VX, "up", "--config", "c.toml", *anywhere(tmp_path)]
    script = f"{shlex.join(command)}; echo code $?; read line; echo got $line"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execvp("sh", ["sh", "-c", script])
    try:
        read_until(terminal, b"Ctrl-C stops everything")
        os.write(terminal, CTRL_C)
        read_until(terminal, b"code 0")
        os.write(terminal, b"input\n")  # a shell left in the background could not read it
        read_until(terminal, b"got input")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        pid = 0
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(terminal)  # hangs up: whoever is still there is told to stop


def read_until(terminal: int, expected: bytes) -> None:
    seen, deadline = b"", time.monotonic() + DEADLINE_S
    while expected not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"waited for {expected!r}, got {seen!r}"
        seen += os.read(terminal, 4096)
