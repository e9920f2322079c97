"""How a process of ours ends: one named exit code per reason that an operator must tell apart.

The watchdog, supervisord.conf and the documentation all take their numbers from here. This module only names
the codes; who restarts what is decided by `vxutils.watchdog` and by supervisord.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["NOT_RESTARTED", "ExitCode", "ProcessExit"]


class ExitCode(IntEnum):
    """Exit status of every process of ours. Source: sysexits(3) for the numbers from 64 on."""

    OK = 0
    """Asked to stop and stopped in order."""

    FAILURE = 1
    """Our own fault (an assertion, an uncaught exception). A new worker starts: the journal is replayed."""

    USAGE = 64
    """The command line makes no sense. A restart would read the same line."""

    JOURNAL_DAMAGED = 65
    """Data on disk contradicts itself, is a copy, is newer than this program, or is no data directory."""

    ADDRESS_TAKEN = 69
    """An address to listen on can not be bound: in use, not ours, or not allowed."""

    JOURNAL_IO = 74
    """The journal could not be written or synced. Only a person may start again: lost pages look clean."""

    ALREADY_RUNNING = 75
    """Another process works in the same data directory."""

    CONFIG = 78
    """The settings file is missing, unreadable or refused."""


NOT_RESTARTED: Final[frozenset[ExitCode]] = frozenset(ExitCode) - {ExitCode.OK, ExitCode.FAILURE}
"""Endings that need a person: neither the watchdog nor supervisord starts the process again after them."""


class ProcessExit(Exception):
    """Ends the process with `code`; `sentence` tells the operator what is wrong and, where known, what to do.

    Raised anywhere below `main`, caught only by `main` and by the watchdog's child, which print the sentence.
    """

    def __init__(self, code: ExitCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence

    def __reduce__(self) -> tuple[type[ProcessExit], tuple[ExitCode, str]]:
        return type(self), (self.code, self.sentence)
