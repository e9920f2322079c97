"""One program that `vx up` keeps running: its command line, its pipes, its deaths and restarts.

    absent --start--> starting --all ready lines--> ready --death--> absent (`due` if it is to start again)

It owns the child and its pipes. The child has a process group of its own, so that a Ctrl-C at the terminal
reaches us alone and the order of the stop is ours. Who is started, restarted or stopped when is decided by
`supervisor`; nothing here waits.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from gateways.cli.fatal_lines import fatal_sentences, log_size
from gateways.cli.output import LineReader, complain, show
from gateways.cli.programs import environment
from vxnet.address import Address, parse_address
from vxnet.errors import AddressError
from vxutils.watchdog import Backoff, RestartPolicy

_READY: Final = " ready"
_LABELS: Final = ("cli", "monitor")


class Places(msgspec.Struct, frozen=True):
    """The addresses in a ready line: those that serve, the console, the monitor."""

    serves: tuple[Address, ...] = ()
    console: Address | None = None
    monitor: Address | None = None


class Launch(msgspec.Struct, frozen=True):
    """What a start needs: the command line, the names of the ready lines to come, the log, and a name of ours
    (of a file that we wrote) with the one that the person knows, which is shown in its place.

    The command line must end with the option that takes our pid: the child dies with us (`die_with_parent`).
    """

    command: list[str]
    announces: Sequence[str]
    log_path: Path
    shown_instead: tuple[str, str]


class WatchedProcess:
    """The program `name`, started as `launch` says each time it is asked.

    A ready line is `NAME ready`, or `NAME ready: ADDRESS... [cli ADDRESS] [monitor ADDRESS]`.
    """

    def __init__(self, name: str, launch: Callable[[], Launch], policy: RestartPolicy) -> None:
        self.name = name
        self.places = Places()
        self.due: float | None = None  # monotonic seconds at which it is to be started again
        self._launch = launch
        self._current = Launch([], [], Path(), ("", ""))
        self._missing: set[str] = set()
        self._backoff = Backoff(policy)
        self._process: subprocess.Popen[bytes] | None = None
        self._stdout: LineReader | None = None
        self._stderr: LineReader | None = None
        self._born = 0.0
        self._log_begin = 0

    def start(self) -> None:
        """Raises: OSError if there can be no further process; ProcessExit as `launch`."""
        assert self._process is None, f"{self.name} runs already"
        self.due = None
        self._current = launch = self._launch()
        self._missing = set(launch.announces)
        self._log_begin = log_size(launch.log_path)
        self._born = time.monotonic()
        process = subprocess.Popen(  # noqa: S603
            [*launch.command, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
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
    def is_ready(self) -> bool:
        """It runs, and has said since its start all that it says when it serves."""
        return self._process is not None and not self._missing

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def pipes(self) -> list[LineReader]:
        """Those that may have something to say."""
        return [pipe for pipe in (self._stdout, self._stderr) if pipe is not None and pipe.is_open]

    def relay(self) -> None:
        """Shows what it has said since; takes note of ready lines."""
        for line in self._stdout.read() if self._stdout else ():
            show(line)
            self._note_ready(line)
        for line in self._stderr.read() if self._stderr else ():
            complain(line.replace(*self._current.shown_instead))

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
        return fatal_sentences(self._current.log_path, self._log_begin)

    def _note_ready(self, line: str) -> None:
        head, _, tail = line.partition(": ")
        name = head.removesuffix(_READY)
        if name == head or name not in self._current.announces:
            return
        if tail:
            with suppress(AddressError, ValueError):
                self.places = _places(tail.split())
        self._missing.discard(name)


def _places(words: list[str]) -> Places:
    """Raises: AddressError, ValueError."""
    labelled: dict[str, Address] = {}
    for label in _LABELS:
        if label in words:
            index = words.index(label)
            labelled[label] = parse_address(words[index + 1])
            del words[index : index + 2]
    serves = tuple(parse_address(word) for word in words)
    return Places(serves, labelled.get("cli"), labelled.get("monitor"))
