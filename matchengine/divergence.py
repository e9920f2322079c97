"""What happens when engine and recorder differ: the engine's side, and the dumps that both write.

    recorder: record N can not be proven --STATE--> engine looks, once a second
    engine:   cancel-only (`halt`), dump after its sequence S  --divergence/engine/S.slice-->
    recorder: goes on without proof to S                       --divergence/recorder/S.slice--> `vx diff`

A dump is a slice in another directory: never loaded by a start. It is written by a forked child, because a
process that is still cancelling orders can not stand still for the time that a large state takes to write,
and what is to be seen is this very memory. The process has one thread, so the fork is safe.

An engine that was found different stays so until a recorder has proven the record after all (the recorder's
own memory was wrong, and it was started again), or until it ends.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from matchengine import recovery, slices
from matchengine.core.engine import Engine
from matchengine.position import Position
from matchengine.system import System
from vxutils.disk import Disk
from vxutils.process import STOP_SIGNALS, die_with_parent

DIVERGENCE_DIRECTORY: Final = "divergence"
ENGINE: Final = "engine"
RECORDER: Final = "recorder"
DUMPS_KEPT: Final = 2  # of each side
DUMP_NICENESS: Final = 10
FIRST_OTHER_DESCRIPTOR: Final = 3

_log = logging.getLogger("vx.matchengine.divergence")


def dump_directory(data_directory: Path, side: str) -> Path:
    """Where a side, ENGINE or RECORDER, puts its dumps."""
    return data_directory / DIVERGENCE_DIRECTORY / side


class State(Protocol):
    """What is needed of a `RecorderState`."""

    @property
    def sequence(self) -> int: ...
    @property
    def diverged_at(self) -> int: ...


class DumpProcess:
    """A child that writes the state as it is at its start, at most one."""

    def __init__(self, disk: Disk, data_directory: Path, side: str, identity: System) -> None:
        self._disk = disk
        self._directory = dump_directory(data_directory, side)
        self._identity = identity
        self._pid = 0

    def start(self, engine: Engine, position: Position) -> None:
        """Forks. Raises: OSError."""
        assert not self._pid, "it runs already"
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            self._write(parent, engine, position)

    def poll(self) -> bool:
        """Whether it is still writing; a failure is an alarm."""
        return not self._is_over(os.WNOHANG)

    def wait(self) -> None:
        """Until it has written: the state would be gone with us."""
        self._is_over(0)

    def _is_over(self, options: int) -> bool:
        if self._pid:
            pid, status = os.waitpid(self._pid, options)
            if not pid:
                return False
            self._pid = 0
            if status:
                _log.critical("no dump in %s: the child that wrote it ended so: %d", self._directory, status)
            else:
                _log.critical("the state was dumped into %s: see `vx diff`", self._directory)
        return True

    def _write(self, parent: int, engine: Engine, position: Position) -> None:
        """The child's life. Descriptors and signal handlers are the parent's too, so it lets go of them."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)  # the parent waits for us
            die_with_parent(parent)
            os.closerange(FIRST_OTHER_DESCRIPTOR, os.sysconf("SC_OPEN_MAX"))
            os.nice(DUMP_NICENESS)
            write_dump(self._disk, self._directory, self._identity, engine, position)
            status = 0
        except Exception as error:
            os.write(2, f"dump: {error}\n".encode())
        finally:
            os._exit(status)


def write_dump(disk: Disk, directory: Path, identity: System, engine: Engine, position: Position) -> None:
    """Writes the state as a slice into a directory for dumps; older ones go. Raises: SliceError."""
    header = recovery.slice_header(identity, identity.last_epoch, engine, position)
    slices.write_slice(disk, directory, header, recovery.state_items(engine, position))
    slices.remove_older(disk, directory, DUMPS_KEPT)


class DivergenceWatch:
    """The engine's look at its recorder. `look` is called once a second, between two turns.

    `halts`: whether new orders are refused while the two differ. `dump` starts a dump of the engine's state.
    """

    def __init__(self, halts: bool, dump: Callable[[], None]) -> None:
        self._halts = halts
        self._dump = dump
        self.diverged_at = 0

    @property
    def reason(self) -> str:
        """Why new orders are to be refused, empty if they need not."""
        return self._sentence() if self.diverged_at and self._halts else ""

    def look(self, state: State | None) -> None:
        """`state`: what the recorder says now, None if none runs. An alarm at each change."""
        if state is None:
            return
        if state.diverged_at and not self.diverged_at:
            self.diverged_at = state.diverged_at
            what = "" if self._halts else "; trading goes on as `on_divergence` says"
            _log.critical("%s%s", self._sentence(), what)
            try:
                self._dump()
            except OSError as error:
                _log.critical("the state can not be dumped: %s", error)
        elif self.diverged_at and not state.diverged_at and state.sequence >= self.diverged_at:
            _log.critical("another start of the recorder has proven record %d", self.diverged_at)
            self.diverged_at = 0

    def _sentence(self) -> str:
        return f"engine and recorder differ at record {self.diverged_at}"
