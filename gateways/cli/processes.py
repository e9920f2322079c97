"""One process that `vx up` keeps running: its command line, its pipes, its deaths and restarts.

    absent --start--> starting --ready line--> ready --death--> absent (and `due` if it is to start again)

It owns the child and its pipes. The child has a process group of its own, so that a Ctrl-C at the terminal
reaches us alone and the order of the stop is ours. Who is started, restarted or stopped when is decided by
`supervisor`; nothing here waits.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gateways.cli.engine import engine_environment
from gateways.cli.fatal_lines import fatal_sentences, log_size
from gateways.cli.output import LineReader, complain, show
from vxnet.address import Address, parse_address
from vxnet.errors import AddressError
from vxutils.watchdog import Backoff, RestartPolicy


class WatchedProcess:
    """The process `name`, started by `command`; it announces itself by a line `<name> ready: ADDRESS...`.

    `command` must end with the option that takes our pid: the child dies with us (`die_with_parent`).
    `log_path` is the file it logs to. `shown_instead` is a name of ours (of a file that we wrote) and the one
    that the person knows, which is shown in its place.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log_path: Path,
        policy: RestartPolicy,
        shown_instead: tuple[str, str],
    ) -> None:
        self.name = name
        self.addresses: list[Address] = []
        self.console: Address | None = None
        self.is_ready = False
        self.due: float | None = None  # monotonic seconds at which it is to be started again
        self._command = list(command)
        self._log_path = log_path
        self._backoff = Backoff(policy)
        self._shown_instead = shown_instead
        self._process: subprocess.Popen[bytes] | None = None
        self._stdout: LineReader | None = None
        self._stderr: LineReader | None = None
        self._born = 0.0
        self._log_begin = 0

    def start(self) -> None:
        """Raises: OSError if there can be no further process."""
        assert self._process is None, f"{self.name} runs already"
        self.due = None
        self.is_ready = False
        self._log_begin = log_size(self._log_path)
        self._born = time.monotonic()
        process = subprocess.Popen(  # noqa: S603
            [*self._command, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=engine_environment(),
            process_group=0,
        )
        assert process.stdout is not None and process.stderr is not None
        self._process = process
        self._stdout, self._stderr = LineReader(process.stdout), LineReader(process.stderr)

    @property
    def is_running(self) -> bool:
        """False once `reap` has told of its death."""
        return self._process is not None

    @property
    def pipes(self) -> list[LineReader]:
        """Those that may have something to say."""
        return [pipe for pipe in (self._stdout, self._stderr) if pipe is not None and pipe.is_open]

    def relay(self) -> None:
        """Shows what it has said since; takes note of a ready line."""
        for line in self._stdout.read() if self._stdout else ():
            show(line)
            self._note_ready(line)
        for line in self._stderr.read() if self._stderr else ():
            complain(line.replace(*self._shown_instead))

    def reap(self) -> int | None:
        """Its exit code (minus the signal's number if one killed it) if it has ended since, else None."""
        code = self._process.poll() if self._process is not None else None
        if code is None:
            return None
        self.relay()
        for pipe in (self._stdout, self._stderr):
            if pipe is not None:
                pipe.close()
        self._process = self._stdout = self._stderr = None
        self.is_ready = False
        return code

    def plan_restart(self) -> float:
        """Sets `due` after a death; the pause in seconds, longer if it keeps dying at once."""
        now = time.monotonic()
        pause_s = self._backoff.delay_after_s(now - self._born)
        self.due = now + pause_s
        return pause_s

    def send(self, number: signal.Signals) -> None:
        """A signal to it, if it is still there."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def last_words(self) -> list[str]:
        """The fatal sentences in its log since its latest start."""
        return fatal_sentences(self._log_path, self._log_begin)

    def _note_ready(self, line: str) -> None:
        begin = f"{self.name} ready: "
        if not line.startswith(begin):
            return
        served, _, console = line.removeprefix(begin).partition(" cli ")
        with suppress(AddressError):
            self.addresses = [parse_address(word) for word in served.split()]
            self.console = parse_address(console) if console else None
            self.is_ready = True
