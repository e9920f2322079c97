"""A gateway's processes under one parent: each under its own watchdog, started and stopped in order.

    parent --fork--> watchdog of worker 0 --fork--> worker 0
           --fork--> watchdog of listener --fork--> listener

    started first to last, stopped last to first, each waited for

The parent only forks, waits and passes the stop on, with the stop signals blocked and taken one by one. A
watchdog that is killed takes its process along (the kernel sees to it) and both are started again, as soon
as the process is dead: until then it holds the addresses that the next one needs. A process
that ends in order while nobody stops the group is replaced: TERM to a worker drains it and a new one takes
its place. An ending that needs a person ends the group with that code. HUP goes to the members that take it;
if there is none it is a stop like TERM.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NoReturn

import msgspec

from vxutils.exits import NOT_RESTARTED, ExitCode
from vxutils.process import STOP_SIGNALS, adopt_orphans, die_with_parent, set_title
from vxutils.watchdog import Backoff, RestartPolicy, run_watched

_WAITED_FOR: Final = frozenset({*STOP_SIGNALS, signal.SIGCHLD})
_IGNORED: Final = (signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU, signal.SIGPIPE)
_KILL_MARGIN_S: Final = 5.0
"""A watchdog kills its own worker first; this is for a watchdog that hangs."""
_ORPHAN_TIMEOUT_S: Final = 5.0
_ORPHAN_POLL_S: Final = 0.001

_log = logging.getLogger("vx.gateways.group")


class Member(msgspec.Struct, frozen=True):
    """One process of the group: `run` is called in it, once per life, and returns its exit code.

    `takes_hangup`: HUP makes it read its files again, and is no end.
    """

    title: str
    run: Callable[[], int]
    takes_hangup: bool = False


def run_group(
    members: Sequence[Member], title: str, policy: RestartPolicy, on_fatal: Callable[[str], None]
) -> int:
    """Keeps all members running until a stop signal; the exit code.

    To be called while this process has one thread, no event loop and no children.
    """
    group = _Group(members, policy, on_fatal)
    mask_before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    adopt_orphans()
    set_title(title)
    try:
        return group.run(mask_before)
    finally:
        while signal.sigtimedwait(_WAITED_FOR, 0):
            pass  # a second Ctrl-C must not turn our orderly exit into a death by signal
        signal.pthread_sigmask(signal.SIG_SETMASK, mask_before)


class _Seat:
    """One member and the watchdog that runs it now (pid 0: none, to be started at `due`)."""

    def __init__(self, member: Member, policy: RestartPolicy) -> None:
        self.member = member
        self.pid = 0
        self.born = 0.0
        self.due = 0.0
        self.backoff = Backoff(policy)


class _Group:
    def __init__(
        self, members: Sequence[Member], policy: RestartPolicy, on_fatal: Callable[[str], None]
    ) -> None:
        self._seats = [_Seat(member, policy) for member in members]
        self._policy = policy
        self._on_fatal = on_fatal
        self._mask: set[int | signal.Signals] = set()
        self._ending: int | None = None

    def run(self, mask: set[int | signal.Signals]) -> int:
        self._mask = mask
        try:
            while self._ending is None:
                self._start_due()
                self._wait(self._next_due())
        finally:
            if self._ending is None:
                self._ending = ExitCode.FAILURE  # our own fault is on its way out
            for seat in reversed(self._seats):
                self._stop(seat)
        return self._ending

    def _start_due(self) -> None:
        for seat in self._seats:
            if not seat.pid and seat.due <= time.monotonic():
                seat.born = time.monotonic()
                try:
                    seat.pid = self._fork(seat.member)
                except OSError as error:
                    _log.critical("name: %s cannot be forked: %s", seat.member.title, error)
                    seat.due = seat.born + max(1.0, seat.backoff.delay_after_s(0.0))

    def _next_due(self) -> float | None:
        return min((seat.due for seat in self._seats if not seat.pid), default=None)

    def _fork(self, member: Member) -> int:
        parent_pid = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._be_watchdog(member, parent_pid)
        return pid

    def _be_watchdog(self, member: Member, parent_pid: int) -> NoReturn:
        code: int = ExitCode.FAILURE
        try:
            die_with_parent(parent_pid)
            os.setpgid(0, 0)  # a Ctrl-C at the terminal is the parent's: he keeps the order of the stop
            if member.takes_hangup:
                signal.signal(
                    signal.SIGHUP, signal.SIG_IGN
                )  # `run_watched` passes it on, as soon as it is there
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            code = run_watched(
                member.run,
                member.title,
                policy=self._policy,
                on_fatal=self._on_fatal,
                passes_hangup=member.takes_hangup,
            )
        except BaseException as error:
            _log.critical("watchdog of %s ends by an uncaught %r", member.title, error, exc_info=True)
        finally:
            with suppress(Exception):
                logging.shutdown()
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code & 0xFF)  # never back into the frames that belong to the parent

    def _wait(self, until: float | None) -> None:
        """Waits for a signal, at most until then (monotonic seconds), and acts upon it."""
        if until is None:
            number = signal.sigwaitinfo(_WAITED_FOR).si_signo
        else:
            info = signal.sigtimedwait(_WAITED_FOR, max(0.0, until - time.monotonic()))
            number = 0 if info is None else info.si_signo
        takers = [seat.pid for seat in self._seats if seat.member.takes_hangup]
        if number == signal.SIGHUP and takers:
            for pid in filter(None, takers):
                os.kill(pid, signal.SIGHUP)
        elif number in STOP_SIGNALS and self._ending is None:
            self._ending = ExitCode.OK
        with suppress(ChildProcessError):
            while (child := os.waitpid(-1, os.WNOHANG))[0]:
                self._ended(*child)

    def _ended(self, pid: int, status: int) -> None:
        seat = next((seat for seat in self._seats if seat.pid == pid), None)
        if seat is None:
            return
        seat.pid = 0
        code = os.waitstatus_to_exitcode(status)
        title = seat.member.title
        if code in NOT_RESTARTED:
            if self._ending in (None, ExitCode.OK):
                self._ending = code
            return
        if self._ending is not None:
            if code != ExitCode.OK and -code not in STOP_SIGNALS:
                _log.error("name: %s ended with %d while stopping", title, code)
            return
        if code == ExitCode.OK:
            _log.info("name: %s was told to stop; a new one takes its place", title)
            seat.due = time.monotonic() + seat.backoff.delay_after_s(time.monotonic() - seat.born)
            return
        _log.critical("watchdog of %s ended with %d; starting it again", title, code)
        _await_orphans_of(pid)
        seat.due = time.monotonic() + seat.backoff.delay_after_s(time.monotonic() - seat.born)

    def _stop(self, seat: _Seat) -> None:
        if not seat.pid:
            return
        os.kill(seat.pid, signal.SIGTERM)
        kill_at = time.monotonic() + self._policy.stop_timeout_s + _KILL_MARGIN_S
        while seat.pid:
            self._wait(kill_at)
            if seat.pid and time.monotonic() >= kill_at:
                _log.error("watchdog of %s did not stop, killed", seat.member.title)
                os.kill(seat.pid, signal.SIGKILL)
                kill_at = time.monotonic() + _KILL_MARGIN_S


def _await_orphans_of(watchdog_pid: int) -> None:
    """What a dead watchdog left was killed by the kernel, is in its process group, and is ours to reap."""
    give_up_at = time.monotonic() + _ORPHAN_TIMEOUT_S
    with suppress(ChildProcessError):
        while time.monotonic() < give_up_at:
            if not os.waitpid(-watchdog_pid, os.WNOHANG)[0]:
                time.sleep(_ORPHAN_POLL_S)
