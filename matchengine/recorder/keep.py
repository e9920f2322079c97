"""What is kept of slices and old segments, so that everything can be made again, and nothing for ever twice.

    slices/     the newest two (a start of the engine), the newest at or before the recorder's position,
                and the one at the base of the history
    journal/    every segment that a start of the engine from one of its two slices, or the recorder, may want
    archive/    the segments before, compressed; BASE: from where history can be made again

The work is done by a short-lived process (`python -m matchengine.recorder tidy`), started by the `Keeper`, at
low priority: neither engine nor recorder waits for it. A slice is made in a place of its own, because the
engine removes what is unfinished in `slices/`, and gets its name there when it has been verified.
"""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import msgspec

from matchengine import recovery, slices, system
from matchengine.journal.archive import (
    ARCHIVE_DIRECTORY,
    archive_segment,
    list_archived,
    remove_unfinished_archives,
)
from matchengine.journal.durable import read_durable
from matchengine.journal.segments import SegmentFile, list_segments
from matchengine.recorder.lag import MESSAGES_RECORDER, state_path
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit
from vxutils.store.embedded.history import HistoryReader, HistoryUnavailable
from vxutils.store.embedded.schema import HISTORY_FILE, HistoryBase

SLICES_KEPT: Final = 2  # as the engine keeps
MAKING_DIRECTORY: Final = Path("run") / "recorder"
BASE_FILE: Final = "BASE"
BASE_BYTES_MAX: Final = 4096
REST: Final = 1.0  # times the duration of each step of packing: half of one processor at most

_log = logging.getLogger("vx.recorder.keep")


class Runner(Protocol):
    """A helper process that is started with words, one at a time."""

    def poll(self) -> bool: ...
    def start(self, words: list[str]) -> bool: ...


class Helper:
    """`python -m matchengine.recorder tidy`, at most one; it ends by itself or with us. It finds `given` on
    its standard input, which is less than a pipe holds. `failures` counts those that ended with an error."""

    def __init__(self, words: list[str], given: bytes = b"") -> None:
        self.failures = 0
        self._given = given
        self._words = [sys.executable, "-m", "matchengine.recorder", "tidy", *words]
        self._process: subprocess.Popen[bytes] | None = None

    def poll(self) -> bool:
        """Whether it is running; a failure is logged once."""
        process = self._process
        if process is None:
            return False
        code = process.poll()
        if code is None:
            return True
        self._process = None
        if code != 0:
            self.failures += 1
            _log.error("the helper that makes slices and archives ended with status %d", code)
        return False

    def start(self, words: list[str]) -> bool:
        """Starts it unless it is running. Raises: OSError."""
        if self.poll():
            return False
        self._process = process = subprocess.Popen([*self._words, *words], stdin=subprocess.PIPE)  # noqa: S603
        assert process.stdin is not None, "it is a pipe"
        with suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(self._given)
        return True

    def stop(self) -> None:
        """Ends it; what it was making has no name yet."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            process.wait()


class Keeper:
    """Decides when the helper has something to do. `tick` is called once a second.

    A slice is due `slice_records` after the newest one, or `slice_s` after it if anything was recorded since
    (0: never by time).
    """

    def __init__(
        self,
        disk: Disk,
        data: Path,
        runner: Runner,
        slice_records: int,
        slice_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._disk = disk
        self._data = data
        self._directory = data / recovery.SLICES_DIRECTORY
        self._runner = runner
        self._slice_records = slice_records
        self._slice_s = slice_s
        self._monotonic = monotonic
        self._newest = -1
        self._newest_since = monotonic()
        self._tidied = -1
        self._declared: list[int] | None = None

    @property
    def newest(self) -> int:
        """The sequence of the newest slice, as of the last tick; 0 if there is none."""
        return max(self._newest, 0)

    def tick(self, sequence: int) -> None:
        """`sequence`: what the recorder has committed. Raises: SliceError, OSError."""
        files = slices.list_slices(self._disk, self._directory)
        newest = files[-1].sequence if files else 0
        now = self._monotonic()
        if newest != self._newest:
            self._newest, self._newest_since = newest, now
        self._declare(files, sequence)
        if self._runner.poll():
            return
        records = sequence - newest
        is_due = records >= self._slice_records or (
            0 < self._slice_s <= now - self._newest_since and records > 0
        )
        words = ["--slice"] if is_due else []
        if (is_due or newest != self._tidied) and self._runner.start(["--sequence", str(sequence), *words]):
            self._tidied = newest
            self._newest_since = now

    def _declare(self, files: list[slices.SliceFile], sequence: int) -> None:
        """Tells which slices must stay, when that has changed."""
        base = read_base(self._disk, self._data).sequence
        wanted = [
            file.sequence for at in (base, sequence) if (file := slices.newest_at(files, at)) is not None
        ]
        if wanted != self._declared:
            slices.declare_needed(self._disk, self._directory, [base, sequence])
            self._declared = wanted


def tidy(disk: Disk, data: Path, journal: Path, sequence: int, want_slice: bool, want_archive: bool) -> None:
    """The helper's work: a slice if wanted, then old slices, and old segments if wanted.

    `sequence`: what the recorder has committed; nothing after it is given away.

    Raises: JournalError, SliceError, SystemFileError, OSError.
    """
    identity = system.read_system(disk, data)
    if want_slice:
        make_slice(disk, data, journal, identity)
    directory = data / recovery.SLICES_DIRECTORY
    slices.remove_older(disk, directory, SLICES_KEPT, unfinished=False)
    if not want_archive:
        return
    remove_unfinished_archives(disk, data / ARCHIVE_DIRECTORY)
    begun = time.monotonic()

    def rest() -> None:
        nonlocal begun
        time.sleep(min(0.2, (time.monotonic() - begun) * REST))
        begun = time.monotonic()

    for segment in old_segments(disk, data, journal, sequence):
        archive_segment(disk, segment, data / ARCHIVE_DIRECTORY, rest)


def make_slice(disk: Disk, data: Path, journal: Path, identity: system.System) -> slices.Slice | None:
    """A slice of what is durable now, beside a running engine; None when there is one of that sequence.

    Raises: JournalError, SliceError.
    """
    through = read_durable(disk, journal, identity.id_bytes)
    if not through:
        return None
    found = recovery.recover(disk, data, journal, identity, through=through)
    if found.position.sequence == found.slice_sequence:
        return None
    making = data / MAKING_DIRECTORY
    made = recovery.write_slice(disk, making, identity, identity.last_epoch, found.engine, found.position)
    path = data / recovery.SLICES_DIRECTORY / made.path.name
    try:
        disk.make_directory(path.parent)
        disk.rename(made.path, path)
        disk.sync_directory(path.parent)
        slices.remove_older(disk, making / recovery.SLICES_DIRECTORY)
    except OSError as error:
        raise slices.SliceIOError(f"the slice {path} can not be put in place: {error}") from error
    return msgspec.structs.replace(made, path=path)


def old_segments(disk: Disk, data: Path, journal: Path, sequence: int) -> list[SegmentFile]:
    """The segments that are for the archive, oldest first: whoever starts now begins after them.

    None while there are fewer than two slices. Raises: JournalError, SliceError.
    """
    files = slices.list_slices(disk, data / recovery.SLICES_DIRECTORY)
    if len(files) < SLICES_KEPT:
        return []
    wanted_after = min(sequence, files[-SLICES_KEPT].sequence)
    segments = list_segments(disk, journal)
    return [
        segment
        for segment, following in itertools.pairwise(segments)
        if following.first_sequence - 1 <= wanted_after
    ]


def read_base(disk: Disk, data: Path) -> HistoryBase:
    """From where history can be made again; the default is: from the first record. Raises: OSError."""
    path = data / ARCHIVE_DIRECTORY / BASE_FILE
    try:
        return msgspec.json.decode(disk.read_file(path, BASE_BYTES_MAX), type=HistoryBase)
    except (FileNotFoundError, NotADirectoryError):
        return HistoryBase()
    except msgspec.DecodeError as error:
        raise ProcessExit(
            ExitCode.JOURNAL_DAMAGED, f"{path} is damaged ({error}); put it back from a backup"
        ) from error


def prune(disk: Disk, data: Path, journal: Path) -> str:
    """Removes archived segments for good; a sentence that says what went and what can not be made again.

    History can be made again from the newest slice that it has passed; that slice is kept from then on.

    Raises: ProcessExit when there is no such slice or no history, or when there are two recorders;
    JournalError, SliceError, OSError.
    """
    identity = system.read_system(disk, data)
    if disk.exists(state_path(data, MESSAGES_RECORDER)):
        raise ProcessExit(
            ExitCode.CONFIG,
            "history and messages of this data directory are recorded apart; what each store still needs is "
            "not known here. Nothing was removed",
        )
    archive = data / ARCHIVE_DIRECTORY
    archived = list_archived(disk, archive)
    if not archived:
        return "the archive is empty, nothing to remove"
    reader = HistoryReader(data / HISTORY_FILE)
    try:
        position = reader.position()
        directory = data / recovery.SLICES_DIRECTORY
        good, _ = slices.newest_good_slice(disk, directory, identity.id_bytes, position.sequence)
        if good is None:
            raise ProcessExit(
                ExitCode.CONFIG,
                f"there is no good slice at or before sequence {position.sequence}, which the history has "
                "reached: without the archive it could not be made again. Nothing was removed",
            )
        base = reader.base_at(good.header.sequence)
    except HistoryUnavailable as error:
        raise ProcessExit(ExitCode.CONFIG, f"{error}. Nothing was removed") from error
    finally:
        reader.close()
    following = [*archived[1:], *list_segments(disk, journal)[:1]]
    old = [
        segment
        for segment, after in zip(archived, following, strict=False)
        if after.first_sequence - 1 <= base.sequence
    ]
    if not old:
        return (
            f"all archived segments are needed after the slice of sequence {base.sequence}: none was removed"
        )
    slices.declare_needed(disk, directory, [base.sequence, position.sequence])
    slices.verify_slice(disk, good.path)  # still there, now that it will stay
    disk.write_atomically(archive / BASE_FILE, msgspec.json.encode(base))
    for segment in old:
        disk.unlink(segment.path)
    disk.sync_directory(archive)
    return (
        f"removed {len(old)} archived segments, sequences {old[0].first_sequence} to "
        f"{following[len(old) - 1].first_sequence - 1}. Rows and messages up to sequence {base.sequence} can "
        f"not be made again if {HISTORY_FILE} is lost; nothing can be replayed from before it; the slice "
        f"{good.path.name} is kept from now on"
    )
