"""The programs that `vx` starts: their names, their command lines, their packaged default settings.

A service never imports another one, so nothing of a program is loaded here: it is a command line with words,
an exit code and ready lines. After `become` this process is the program: one process for supervisord to
watch, and its own exit code.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from vxutils.exits import ExitCode, ProcessExit

DEFAULT_FILE: Final = "default.toml"


class Program(msgspec.Struct, frozen=True):
    """`name` as ready lines and messages show it, `package` as `python -m` takes it, `words` of its command
    line beside those of all."""

    name: str
    package: str
    words: tuple[str, ...] = ()


ALERTCENTER: Final = Program("alertcenter", "gateways.alertcenter")
RECORDER: Final = Program("recorder", "matchengine.recorder")
MESSAGES_RECORDER: Final = Program("recorder-messages", "matchengine.recorder", ("--sink", "messages"))
ENGINE: Final = Program("matchengine", "matchengine")
READHISTORY: Final = Program("readhistory", "gateways.readhistory")
MARKETPRICE: Final = Program("marketprice", "marketprice")
ACCESSHTTP: Final = Program("accesshttp", "gateways.accesshttp")
ACCESSWS: Final = Program("accessws", "gateways.accessws")

RECORDERS: Final = (RECORDER, MESSAGES_RECORDER)
"""The second one only where history and messages go to different stores."""

PROGRAMS: Final = (ALERTCENTER, RECORDER, ENGINE, READHISTORY, MARKETPRICE, ACCESSHTTP, ACCESSWS)
"""In the order in which they are started, of an exchange with one recorder; they are stopped in reverse.

The alert centre hears of everybody's end. The recorders outlive the engine, so that they record all that it
has written. A gateway comes after whoever is behind it.
"""

PROGRAMS_OF_TWO_RECORDERS: Final = (ALERTCENTER, *RECORDERS, *PROGRAMS[2:])
"""The same with two."""

GATEWAYS: Final = (ACCESSHTTP, ACCESSWS)
"""Those with a listener and workers, which know the services behind them."""

CONFIGURED: Final = tuple(program for program in PROGRAMS if program is not RECORDER)
"""Those with a settings file of their own; the recorders read the engine's."""


def command_line(program: Program, words: Sequence[str | Path]) -> list[str]:
    """The command line of the program with these words."""
    return [sys.executable, "-m", program.package, *map(str, words)]


def environment() -> dict[str, str]:
    """Our environment, with two changes. Modules are not looked for in the working directory, which may hold
    a directory called `matchengine` (the engine's data, for instance). Output is buffered: unbuffered, a line
    and its end are two writes, and the ready lines of processes that share a pipe would run into each other.
    """
    return os.environ | {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": ""}


def become(program: Program, words: Sequence[str | Path]) -> NoReturn:
    """Replaces this process by the program. Raises: OSError if that is not possible."""
    sys.stdout.flush()
    sys.stderr.flush()
    command = command_line(program, words)
    os.execve(command[0], command, environment())  # noqa: S606


def packaged_settings(program: Program) -> Path:
    """The default settings file inside the program's package, which is not imported for it.

    Raises: ProcessExit (CONFIG) if it is not there.
    """
    place = Path(program.package.replace(".", "/"))
    root, *inner = place.parts
    spec = importlib.util.find_spec(root)
    for found in (spec.submodule_search_locations or []) if spec else []:
        path = Path(found, *inner, DEFAULT_FILE)
        if path.is_file():
            return path
    raise ProcessExit(ExitCode.CONFIG, f"{place}/{DEFAULT_FILE} is missing: the installation is not whole")
