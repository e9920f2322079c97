"""A process of ours to be measured: started, waited for until its ready line, stopped in order or killed.

In the foreground and without a watchdog, so its process id is the worker's. The caller owns the directory,
where what it writes to standard error is kept; a bench that dies leaves none of them behind.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from vxutils.process import die_with_parent

READY_DEADLINE_S = 30.0
STOP_DEADLINE_S = 60.0
PROGRESS_S = 5.0  # between two words about a start that takes long

Progress = Callable[[str], None]


class ServiceError(Exception):
    """A process did not start or did not stop in order; the text holds what it wrote."""


class ProcessFacts(msgspec.Struct, frozen=True):
    """Memory in use and processor time so far (user and system) of one process."""

    resident_bytes: int
    processor_s: float


def process_facts(pid: int) -> ProcessFacts:
    """What /proc says about process `pid`; zeros for pid 0 (nobody told). Raises: OSError if it is gone."""
    if not pid:
        return ProcessFacts(0, 0.0)
    resident_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(after_name[11]) + int(after_name[12])
    return ProcessFacts(resident_pages * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK"))


def sum_of(facts: Sequence[ProcessFacts]) -> ProcessFacts:
    """Several processes as if they were one."""
    return ProcessFacts(sum(one.resident_bytes for one in facts), sum(one.processor_s for one in facts))


def busy_s() -> float:
    """Processor time that this machine has spent on anything so far, what its host took away included."""
    words = Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = map(int, words)
    return (user + nice + system + sum(interrupts_and_stolen)) / os.sysconf("SC_CLK_TCK")


def child_of(pid: int, text: bytes) -> int:
    """The child of `pid` with `text` in its title or command line, 0 if there is none."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            if text in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    except OSError:
        pass  # it has just gone
    return 0


class Service:
    """`python -m` with `words`, which announces `NAME ready`. May be started again after it ended.

    `ready_s` is how long the latest start took until then.
    """

    def __init__(self, name: str, words: Sequence[str], directory: Path) -> None:
        self.name = name
        self.ready_s = 0.0
        self._command = [sys.executable, "-m", *words]
        self._errors = directory / f"{name}-stderr.txt"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "only a started service has a process"
        return self._process.pid

    @property
    def is_started(self) -> bool:
        """Whether there is a process to stop; it may have ended by itself."""
        return self._process is not None

    @property
    def exit_code(self) -> int | None:
        """None while it runs, or was never started."""
        return self._process.poll() if self._process else None

    @property
    def said(self) -> str:
        """What it wrote to standard error."""
        return self._errors.read_text(errors="replace") if self._errors.exists() else ""

    def start(self, deadline_s: float = READY_DEADLINE_S, progress: Progress | None = None) -> str:
        """Starts it and returns its ready line. Raises: ServiceError; it is ended then."""
        assert self._process is None, f"{self.name} runs already"
        begun = time.monotonic()
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=errors,
                preexec_fn=partial(die_with_parent, os.getpid()),  # no orphan when the bench is killed
            )
        try:
            line = self._ready_line(self._process, begun, deadline_s, progress)
        except BaseException:
            self.kill()
            raise
        self.ready_s = time.monotonic() - begun
        return line

    def stop(self) -> None:
        """Asks it to stop. Raises: ServiceError when it does not, or not with 0; it is gone all the same."""
        assert self._process is not None, f"{self.name} was started"
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            code = None
        self.kill()
        if code != 0:
            raise ServiceError(f"{self.name} stopped with {code}: {self.said}")

    def kill(self) -> None:
        """kill -9, if it runs."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _ready_line(
        self, process: subprocess.Popen[bytes], begun: float, deadline_s: float, progress: Progress | None
    ) -> str:
        assert process.stdout is not None
        written = b""
        shown = begun
        while (now := time.monotonic()) < begun + deadline_s:
            if progress is not None and now - shown > PROGRESS_S:
                progress(f"{self.name} is starting, {now - begun:.0f} s")
                shown = now
            if not select.select([process.stdout], [], [], 0.2)[0]:
                continue
            received = os.read(process.stdout.fileno(), 65_536)
            written += received
            for line in written.decode(errors="replace").splitlines(keepends=True):
                if line.startswith(f"{self.name} ready") and line.endswith("\n"):
                    return line
            if not received:
                break
        raise ServiceError(f"{self.name} did not get ready: {written.decode(errors='replace')}{self.said}")
