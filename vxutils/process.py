"""What a process does about itself: title, limits, lock on its data directory, signals, parentage.

Each function is one system call's worth of work with its pitfalls handled. Nothing here logs, loops or owns
state, except `DirectoryLock`, whose owner keeps it for as long as the directory is used.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

import setproctitle

from vxutils.exits import ExitCode, ProcessExit

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "STOP_SIGNALS",
    "DirectoryLock",
    "adopt_orphans",
    "daemonise",
    "die_with_parent",
    "install_signals",
    "raise_limits",
    "set_title",
]

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGHUP)
"""Each asks for an orderly stop. INT is Ctrl-C; HUP is the terminal that went away (nohup still works)."""

LOCK_FILE_NAME: Final = "LOCK"

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


def announce(line: str) -> None:
    """Writes one line to standard output at once, in one piece: several processes may share a pipe."""
    sys.stdout.flush()
    os.write(1, f"{line}\n".encode())


def set_title(text: str) -> None:
    """Shows `text` as this process's name in ps and top."""
    setproctitle.setproctitle(text)


def raise_limits(file_limit: int, core_limit: int) -> list[str]:
    """Raises RLIMIT_NOFILE (descriptors) and RLIMIT_CORE (bytes) to at least these; 0 leaves a limit alone.

    A higher limit stays. Where the hard limit forbids it, the soft limit goes as high as allowed.

    Returns: one sentence per limit that could not be raised far enough, for the log; no refusal.
    Source: protocol.md 10.3 (there, failure aborts).
    """
    wanted = ((resource.RLIMIT_NOFILE, "process.file_limit", file_limit),
              (resource.RLIMIT_CORE, "process.core_limit", core_limit))  # fmt: skip
    return [
        sentence
        for kind, name, limit in wanted
        if limit > 0 and (sentence := _raise_limit(kind, name, limit))
    ]


def _raise_limit(kind: int, name: str, limit: int) -> str:
    soft, hard = resource.getrlimit(kind)
    if soft == resource.RLIM_INFINITY or soft >= limit:
        return ""
    hard_needed = hard if hard == resource.RLIM_INFINITY or hard >= limit else limit
    with suppress(OSError, ValueError):  # ValueError: beyond the hard limit without the privilege
        resource.setrlimit(kind, (limit, hard_needed))
        return ""
    reached = hard if hard != resource.RLIM_INFINITY else soft
    with suppress(OSError, ValueError):
        resource.setrlimit(kind, (reached, hard))
    reached = resource.getrlimit(kind)[0]
    return f"{name}: wanted {limit}, this system allows {reached}; going on with that"


class DirectoryLock:
    """Keeps a data directory for one process: an exclusive flock on its file LOCK, which names the holder.

    The lock belongs to the open descriptor: a forked child holds it too until it ends, a program started by
    exec does not inherit it, and a kill -9 releases it. The file itself stays; only the lock counts.
    """

    def __init__(self, directory: Path) -> None:
        """Takes the lock at once, never waiting.

        Raises: ProcessExit (ALREADY_RUNNING) naming the holder; OSError if the directory can not be written.
        """
        self.path = directory / LOCK_FILE_NAME
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            self.release()
            sentence = f"data directory {directory} is in use by process {holder}"
            raise ProcessExit(ExitCode.ALREADY_RUNNING, sentence) from None
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Gives the directory back. Done again: no effect."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> DirectoryLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.release()


def die_with_parent(parent_pid: int) -> None:
    """Has the kernel kill this process (SIGKILL) when the thread that forked it ends, however that happens.

    `parent_pid` is what the parent's os.getpid() said before the fork: if that one is gone already, we go.
    Children of this process are not covered: each calls this for itself.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans() -> None:
    """Makes this process the parent of descendants whose own parent dies, so that it can end them."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if (
        libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
        != 0
    ):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def install_signals(
    loop: asyncio.AbstractEventLoop,
    stop: Callable[[str], None],
    level_up: Callable[[], object] | None = None,
    level_down: Callable[[], object] | None = None,
    reload: Callable[[], object] | None = None,
) -> None:
    """Lets signals speak to a worker through its loop; the signal handlers themselves only wake it.

    TERM, QUIT, INT, HUP: `stop(signal name)`, once however many come; with `reload` HUP calls that
    instead. TTIN, TTOU: more, fewer log levels (ignored when not given). USR1 and PIPE: ignored. A HUP that
    is already ignored (nohup) stays so, unless there is `reload`. What comes before the loop runs is answered
    when it does (`loop.add_signal_handler` of uvloop loses it). A child forked later must set its own
    handlers, or it speaks to this loop.

    Source: protocol.md 10.6.
    """
    stopping = False

    def stop_once(name: str) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            stop(name)

    def watch(number: signal.Signals, callback: Callable[..., object], *arguments: object) -> None:
        def wake(*_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed: this process is on its last lines
                loop.call_soon_threadsafe(callback, *arguments)

        signal.signal(number, wake)

    for number in STOP_SIGNALS:
        if number == signal.SIGHUP and reload is not None:
            watch(number, reload)
        elif number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            watch(number, stop_once, number.name)
    for number, callback in ((signal.SIGTTIN, level_up), (signal.SIGTTOU, level_down)):
        if callback is None:
            signal.signal(number, signal.SIG_IGN)
        else:
            watch(number, callback)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def daemonise(keep_streams: bool = False) -> None:
    """Goes on in the background: returns in a grandchild with its own session; the caller's process ends.

    The working directory stays. The standard streams become /dev/null unless `keep_streams`. To be called
    before any loop, thread or lock exists (a lock taken before would be kept, a thread would be lost).

    Source: protocol.md 10.6.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork() > 0:
        os._exit(ExitCode.OK)
    os.setsid()
    if os.fork() > 0:  # not a session leader: can never get a controlling terminal by opening one
        os._exit(ExitCode.OK)
    if not keep_streams:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        if null > 2:
            os.close(null)
