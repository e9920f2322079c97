"""Keeps the processes of `vx up` running, and stops them in reverse order.

    start one, when ready the next --> turn, turn, turn ... --> stop all, last one first, each waited for
                             |
                             +-- lines of the processes are shown
                             +-- a process ends: 0 or a code that needs a person: the end for all
                             |                   anything else: started again, with a back-off
                             +-- TERM, QUIT, INT, HUP: the end, exit code 0

One thread; it sleeps in `select` on the pipes of the processes and on one pipe of its own, into which the
interpreter writes the number of each signal that has come. Any further stop signal changes nothing.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from typing import Final

from gateways.cli.output import complain, show
from gateways.cli.processes import Places, WatchedProcess
from vxutils.exits import NOT_RESTARTED, ExitCode
from vxutils.process import STOP_SIGNALS
from vxutils.watchdog import RestartPolicy

POLICY: Final = RestartPolicy(stop_timeout_s=150.0)
"""Our processes are watchdogs, which give their workers 120 s to stop before they kill them."""

HINTS: Final = {
    ExitCode.ADDRESS_TAKEN: "`vx up --port-offset N` adds N to every port",
    ExitCode.ALREADY_RUNNING: "another process works in that directory: stop it, or take another --data-dir",
}


class SignalPipe:
    """Signals as bytes to be read: the stop signals, and CHLD. Taken over for the rest of the process."""

    def __init__(self) -> None:
        self._read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (*STOP_SIGNALS, signal.SIGCHLD):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, lambda number, frame: None)

    def fileno(self) -> int:
        return self._read

    def take(self) -> list[signal.Signals]:
        """The stop signals that have come since."""
        try:
            data = os.read(self._read, 4096)
        except BlockingIOError:
            return []
        return [signal.Signals(number) for number in data if number in STOP_SIGNALS]

    def ignore_from_now(self) -> None:
        """For the last moments, in which the interpreter would give the signals their deadly default back."""
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)


class Supervisor:
    """`on_change` is called whenever a process has become ready, or has ended, or serves elsewhere, until the
    stop begins."""

    def __init__(
        self, processes: Sequence[WatchedProcess], signals: SignalPipe, on_change: Callable[[], None]
    ) -> None:
        self._processes = list(processes)
        self._waiting = list(processes)  # for those before them to become ready for the first time
        self._signals = signals
        self._on_change = on_change
        self._seen: list[tuple[int | None, bool, Places]] = []
        self._ending: ExitCode | None = None  # why we stop, once we do
        self._sentence = ""

    def run(self) -> tuple[ExitCode, str]:
        """Until told to stop; the exit code and, when it is not OK, what to tell the person."""
        try:
            while self._ending is None:
                self._start_due()
                self._turn(self._next_due())
        finally:
            self._stop_all()
        assert self._ending is not None
        return self._ending, self._sentence

    def _turn(self, until: float | None) -> None:
        """Waits for something to happen, at most until then (monotonic seconds), and acts upon it."""
        timeout_s = None if until is None else max(0.0, until - time.monotonic())
        with selectors.DefaultSelector() as selector:
            selector.register(self._signals, selectors.EVENT_READ)
            for pipe in (pipe for process in self._processes for pipe in process.pipes):
                selector.register(pipe, selectors.EVENT_READ)
            selector.select(timeout_s)
        for number in self._signals.take():
            self._stop_asked(number)
        for process in self._processes:
            process.relay()
            code = process.reap()
            if code is not None:
                self._ended(process, code)
        now = [(one.pid, one.is_ready, one.places) for one in self._processes]
        if now != self._seen and self._ending is None:
            self._seen = now
            self._on_change()

    def _stop_asked(self, number: signal.Signals) -> None:
        if self._ending is None:
            self._ending = ExitCode.OK
            show(f"stopping ({number.name})")
        else:
            show("stopping already: what has been answered is being put in order on the disk")

    def _ended(self, process: WatchedProcess, code: int) -> None:
        if self._ending is not None:
            if code == ExitCode.OK or -code in STOP_SIGNALS:
                show(f"{process.name} stopped")
            elif self._ending is ExitCode.OK:
                self._end_with(process, code)
        elif code == ExitCode.OK:
            self._ending = ExitCode.OK
            show(f"{process.name} was told to stop by somebody else; stopping")
        elif code in NOT_RESTARTED:
            self._end_with(process, code)
        else:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            pause_s = process.plan_restart()
            when = f"in {pause_s:g} s" if pause_s else "now"
            complain(f"vx: {process.name} {how}; starting it again {when}")

    def _end_with(self, process: WatchedProcess, code: int) -> None:
        self._ending = ExitCode(code) if code in set(ExitCode) else ExitCode.FAILURE
        how = self._ending.name if code > 0 else f"signal {-code}"
        words = [word for word in process.last_words() if f"status: {code}" not in word]
        lines = [f"{process.name} ended with {how}", *words]
        if self._ending in HINTS:
            lines.append(HINTS[self._ending])
        self._sentence = "\n  ".join(lines)

    def _next_due(self) -> float | None:
        return min((one.due for one in self._processes if one.due is not None), default=None)

    def _start_due(self) -> None:
        for process in self._processes:
            if process.due is not None and process.due <= time.monotonic():
                process.start()
        begun = [process for process in self._processes if process not in self._waiting]
        if self._waiting and all(process.is_ready for process in begun):
            self._waiting.pop(0).start()

    def _stop_all(self) -> None:
        """The last one first: whoever uses another one is gone before that one goes."""
        if self._ending is None:
            self._ending = ExitCode.FAILURE  # an error of ours is on its way out; nobody is left behind
        for process in reversed(self._processes):
            process.send(signal.SIGTERM)
            kill_at = time.monotonic() + POLICY.stop_timeout_s
            while process.is_running:
                self._turn(kill_at)
                if time.monotonic() >= kill_at:
                    complain(f"vx: {process.name} did not stop in {POLICY.stop_timeout_s:g} s, killed")
                    process.send(signal.SIGKILL)
                    kill_at = time.monotonic() + POLICY.stop_timeout_s
