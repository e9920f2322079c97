"""The watchdog: a parent that forks the worker, waits, and forks it again when it dies.

    run_watched
        |  fork                     worker ends
        v                               |
     [worker runs] ---------------------+--> exit 0 ................ stop with 0
        ^                               +--> exit in NOT_RESTARTED . alarm, stop with that code
        |  at once, or after a back-off +--> signal, other exit .... alarm, fork again
        +-------------------------------+
    TERM, QUIT, INT, HUP to the parent: TERM to the worker, bounded wait, KILL; never a new worker.
    (HUP with `passes_hangup`: HUP to the worker, which reads its files again.)

The parent has no loop, no thread and no signal handler: all signals it cares for are blocked and taken one by
one with sigtimedwait, so nothing can be missed or run in between. Whatever the worker leaves behind is ended
before the next one is forked (its locks and listening sockets would be in the way) and before we return. If
the parent itself is killed, the kernel kills the worker (`die_with_parent`). What happens inside the worker,
while it lives, is the worker's business, its children included.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, NoReturn

import msgspec

from vxutils.exits import NOT_RESTARTED, ExitCode, ProcessExit
from vxutils.process import STOP_SIGNALS, adopt_orphans, die_with_parent, set_title

__all__ = ["Backoff", "RestartPolicy", "run_watched"]

Seconds = Annotated[float, msgspec.Meta(ge=0)]

LEFTOVERS_TIMEOUT_S: Final = 5.0
"""How long killed descendants may take to be gone: more than enough unless one hangs in the kernel."""

_WAITED_FOR: Final = frozenset({*STOP_SIGNALS, signal.SIGCHLD})
_IGNORED: Final = (signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU, signal.SIGPIPE)
"""The worker inherits this and is safe from them until it installs its own. Source: protocol.md 10.6."""


class RestartPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When to fork again, and how long to wait for an orderly stop."""

    short_life_s: Seconds = 5.0
    """A worker that lived less long died at once."""

    short_lives_forgiven: int = 2
    """So many such deaths in a row are answered at once, the following ones with a pause."""

    backoff_first_s: Seconds = 1.0
    backoff_max_s: Seconds = 30.0
    stop_timeout_s: Seconds = 120.0
    """From TERM to KILL: a clean stop writes a slice. The journal makes the KILL harmless."""


class Backoff:
    """How long to pause before the next fork: nothing, then 1, 2, 4 ... seconds while workers die at once."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._short_lives = 0

    def delay_after_s(self, lived_s: float) -> float:
        """Notes a death after `lived_s` seconds of life and returns the pause, in seconds."""
        if lived_s >= self._policy.short_life_s:
            self._short_lives = 0
            return 0.0
        self._short_lives += 1
        doublings = self._short_lives - self._policy.short_lives_forgiven - 1
        if doublings < 0:
            return 0.0
        return min(self._policy.backoff_first_s * 2.0 ** min(doublings, 32), self._policy.backoff_max_s)


def run_watched(
    worker: Callable[[], int],
    name: str,
    *,
    policy: RestartPolicy | None = None,
    log: logging.Logger | None = None,
    on_fatal: Callable[[str], None] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    passes_hangup: bool = False,
) -> int:
    """Runs `worker` in forked children called `name` until it is done; returns our own exit code.

    To be called while this process has one thread, no event loop and no children. `worker` runs in the child
    with the default action for the stop signals. Its return value is the child's exit code, a `ProcessExit`
    is logged and becomes its code, any other exception is logged and becomes FAILURE. Each death is one FATAL
    line (an alert) and one call of `on_fatal` with the same text. `passes_hangup`: HUP is passed on to the
    child, for which it is no end.

    After a stop signal the result is the worker's own code, OK if the signal ended it before it could answer,
    FAILURE if it crashed or had to be killed.

    Source: protocol.md 10.6.
    """
    assert len(os.listdir("/proc/self/task")) == 1, "the watchdog forks: no thread may exist yet"  # noqa: PTH208
    watchdog = _Watchdog(
        worker, name, policy or RestartPolicy(), log or logging.getLogger("vx.watchdog"), monotonic
    )
    watchdog.on_fatal = on_fatal
    watchdog.passes_hangup = passes_hangup
    if passes_hangup:
        # Not a worker's end while it starts either, until it has its own handler. We take it all the same: a
        # blocked signal is never ignored.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    mask_before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # inherited as ignored, it would take the exit codes away
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    adopt_orphans()
    set_title(f"{name} watchdog")
    try:
        return watchdog.run(mask_before)
    finally:
        while signal.sigtimedwait(_WAITED_FOR, 0):
            pass  # a second Ctrl-C must not turn our orderly exit into a death by signal
        signal.pthread_sigmask(signal.SIG_SETMASK, mask_before)


class _Watchdog:
    """State of one `run_watched`."""

    def __init__(
        self,
        worker: Callable[[], int],
        name: str,
        policy: RestartPolicy,
        log: logging.Logger,
        monotonic: Callable[[], float],
    ) -> None:
        self.on_fatal: Callable[[str], None] | None = None
        self.passes_hangup = False
        self._worker = worker
        self._name = name
        self._policy = policy
        self._log = log
        self._monotonic = monotonic
        self._backoff = Backoff(policy)
        self._stopping = False

    def run(self, worker_mask: set[int | signal.Signals]) -> int:
        while True:
            born = self._monotonic()
            try:
                pid = self._fork(worker_mask)
            except OSError as error:
                self._alarm(f"name: {self._name} cannot be forked: {error}")
            else:
                status = self._wait_for(pid)
                self._end_leftovers()
                code = self._judge(pid, status)
                if code is not None:
                    return code
            delay_s = self._backoff.delay_after_s(self._monotonic() - born)
            if delay_s:
                self._log.error(
                    "name: %s died at once several times, next start in %g s", self._name, delay_s
                )
                if self._stopped_within(delay_s):
                    return ExitCode.OK

    def _fork(self, worker_mask: set[int | signal.Signals]) -> int:
        parent_pid = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._be_worker(parent_pid, worker_mask)
        self._log.info("process: %d, name: %s started", pid, self._name)
        return pid

    def _be_worker(self, parent_pid: int, mask: set[int | signal.Signals]) -> NoReturn:
        code: int = ExitCode.FAILURE
        try:
            die_with_parent(parent_pid)
            for number in _WAITED_FOR:
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                    signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            set_title(self._name)
            code = self._worker()
        except ProcessExit as ending:
            self._log.critical("%s", ending.sentence)
            code = ending.code
        except SystemExit as ending:
            code = (
                ending.code
                if isinstance(ending.code, int)
                else ExitCode.FAILURE
                if ending.code
                else ExitCode.OK
            )
        except BaseException as error:
            self._log.critical("name: %s ends by an uncaught %r", self._name, error, exc_info=True)
        finally:
            with suppress(Exception):
                logging.shutdown()
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code & 0xFF)  # never back into the frames that belong to the parent

    def _wait_for(self, worker_pid: int) -> int:
        """Waits until the worker is gone, passing a stop on to it; returns its wait status."""
        kill_at: float | None = None
        while True:
            for pid, status in _reap():
                if pid == worker_pid:
                    return status
            timeout_s = None if kill_at is None else max(kill_at - self._monotonic(), 0.0)
            number = _next_signal(timeout_s)
            if number is None:
                self._log.error(
                    "name: %s did not stop in %g s, killed", self._name, self._policy.stop_timeout_s
                )
                os.kill(worker_pid, signal.SIGKILL)
                kill_at = self._monotonic() + self._policy.stop_timeout_s
            elif number == signal.SIGHUP and self.passes_hangup:
                os.kill(worker_pid, signal.SIGHUP)
            elif number in STOP_SIGNALS and not self._stopping:
                self._stopping = True
                os.kill(worker_pid, signal.SIGTERM)
                kill_at = self._monotonic() + self._policy.stop_timeout_s

    def _judge(self, pid: int, status: int) -> int | None:
        """The code to stop with, or None to fork again."""
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            if self._stopping and -code in STOP_SIGNALS:
                return ExitCode.OK
            self._alarm(
                f"process: {pid}, name: {self._name} terminated by signal: '{signal.strsignal(-code)}'"
            )
            return ExitCode.FAILURE if self._stopping else None
        if code == ExitCode.OK:
            return ExitCode.OK
        if code in NOT_RESTARTED:
            self._alarm(
                f"process: {pid}, name: {self._name} exited with status: {code} ({ExitCode(code).name}); "
                "not restarted, a person is needed"
            )
            return code
        self._alarm(f"process: {pid}, name: {self._name} exited with status: {code}")
        return code if self._stopping else None

    def _stopped_within(self, delay_s: float) -> bool:
        """Sleeps; True as soon as a stop is asked for."""
        until = self._monotonic() + delay_s
        while (left_s := until - self._monotonic()) > 0:
            number = _next_signal(left_s)
            if number in STOP_SIGNALS and not (number == signal.SIGHUP and self.passes_hangup):
                return True
        return False

    def _end_leftovers(self) -> None:
        """Kills and reaps what the worker left behind, which is now ours (`adopt_orphans`), at any depth."""
        give_up_at = self._monotonic() + LEFTOVERS_TIMEOUT_S
        while children := _children(os.getpid()):
            for pid in children:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _reap()
            if self._monotonic() > give_up_at:
                self._alarm(f"name: {self._name} left processes behind that do not die: {children}")
                return
            time.sleep(0.001)

    def _alarm(self, text: str) -> None:
        self._log.critical("%s", text)
        if self.on_fatal is not None:
            self.on_fatal(text)


def _next_signal(timeout_s: float | None) -> int | None:
    """The next blocked signal, or None when `timeout_s` has passed first."""
    info = (
        signal.sigwaitinfo(_WAITED_FOR) if timeout_s is None else signal.sigtimedwait(_WAITED_FOR, timeout_s)
    )
    return None if info is None else info.si_signo


def _reap() -> list[tuple[int, int]]:
    """Pid and wait status of all children that have ended."""
    ended: list[tuple[int, int]] = []
    with suppress(ChildProcessError):
        while (child := os.waitpid(-1, os.WNOHANG))[0]:
            ended.append(child)
    return ended


def _children(parent_pid: int) -> list[int]:
    """Pids whose parent is `parent_pid`. Source: proc(5), stat; not every kernel has `children`."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent_pid:
                    found.append(int(entry.name))
    return found
