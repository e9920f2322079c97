"""Book and balances as they were: the state after one record, or at one time, made again from what is kept.

    newest good slice at or before the moment --load--> state --records up to the moment--> state

Replay proves every outcome on the way. It only reads, and goes no further than what is durable, so the engine
may run; a backup can be looked at in the same way. How the state is shown is in `at_view`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from matchengine import recovery, slices, system
from matchengine.core.engine import Engine
from matchengine.extent import durable_end
from matchengine.journal.archive import ARCHIVE_DIRECTORY, list_archived
from matchengine.journal.format import JournalMissing
from matchengine.journal.reader import Frame, scan
from matchengine.journal.record import decode_records
from matchengine.journal.segments import SegmentFile, list_segments
from matchengine.position import Position
from matchengine.recorder.keep import read_base
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit

_SECONDS = re.compile(r"@(\d{1,12})(?:\.(\d{1,6}))?|(\d{1,12})\.(\d{1,6})")
_SEQUENCE = re.compile(r"\d{1,19}")


class Moment(msgspec.Struct, frozen=True):
    """After a record (`sequence`), or at a time in microseconds since 1970; the other one is None."""

    sequence: int | None
    time_us: int | None


class AsItWas(msgspec.Struct):
    """The state at a moment, the place of its last record, and the slice it was made from (0: none)."""

    engine: Engine
    position: Position
    slice_sequence: int
    warnings: list[str]


def parse_moment(text: str) -> Moment:
    """`1234` is a sequence; `@1700000000` or `1700000000.5` unix seconds; else ISO 8601 with its zone.

    Raises: ProcessExit (USAGE).
    """
    if _SEQUENCE.fullmatch(text):
        return Moment(int(text), None)
    match = _SECONDS.fullmatch(text)
    if match is not None:
        whole, part = match[1] or match[3], match[2] or match[4] or ""
        return Moment(None, int(whole) * 1_000_000 + int(part.ljust(6, "0")))
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ProcessExit(
            ExitCode.USAGE,
            f"'{text}' is neither a sequence (1234) nor a time (2024-05-01T12:00:00Z, @1714564800)",
        ) from None
    if time.tzinfo is None:
        raise ProcessExit(ExitCode.USAGE, f"'{text}' says no time zone: add Z, or +01:00, ...")
    since = time - datetime(1970, 1, 1, tzinfo=UTC)
    return Moment(None, (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def time_text(time_us: int) -> str:
    """A time as ISO 8601 in UTC."""
    return f"{datetime.fromtimestamp(time_us // 1_000_000, UTC):%Y-%m-%dT%H:%M:%S}.{time_us % 1_000_000:06d}Z"


def state_at(disk: Disk, data: Path, journal: Path, moment: Moment, now_us: int) -> AsItWas:
    """The state at a moment. Memory and time are those of a start from the slice before it.

    Raises: ProcessExit when the moment is before what is kept, or has not come yet; JournalError, SliceError,
    SystemFileError.
    """
    identity = system.read_copied_system(disk, data)
    end = durable_end(disk, data, journal, identity)
    if not end:
        raise ProcessExit(ExitCode.CONFIG, f"{data} holds no record yet")
    if moment.sequence is not None and not 1 <= moment.sequence <= end:
        raise ProcessExit(
            ExitCode.CONFIG,
            f"there is no sequence {moment.sequence}: the journal goes from 1 to {end}"
            + (f"; the time is written @{moment.sequence}" if moment.sequence > end else ""),
        )
    if moment.time_us is not None and moment.time_us > now_us:
        raise ProcessExit(ExitCode.CONFIG, f"{time_text(moment.time_us)} has not come yet")
    found = _from_slice(disk, data / recovery.SLICES_DIRECTORY, identity, moment)
    limit = end if moment.sequence is None else moment.sequence
    start = found.position.sequence
    if start < limit:
        try:
            for frame in scan(disk, journal, identity.id_bytes, start + 1, data / ARCHIVE_DIRECTORY):
                if not _apply(found, frame, limit, moment.time_us) or found.position.sequence >= limit:
                    break
        except JournalMissing as error:
            raise ProcessExit(ExitCode.CONFIG, _what_is_kept(disk, data, journal, moment)) from error
    if not found.position.sequence:
        raise ProcessExit(ExitCode.CONFIG, "that is before the first record: there was no exchange yet")
    return found


def _from_slice(disk: Disk, directory: Path, identity: system.System, moment: Moment) -> AsItWas:
    """The state of the newest good slice that is not after the moment; the empty state if there is none."""
    warnings: list[str] = []
    before = moment.sequence
    while True:
        good, bad = slices.newest_good_slice(disk, directory, identity.id_bytes, before)
        warnings += [warning for warning in bad if warning not in warnings]
        if good is None:
            return AsItWas(Engine(), Position(), 0, warnings)
        if moment.time_us is None or good.header.time_us <= moment.time_us:
            engine, position = recovery.load_slice(disk, good)
            return AsItWas(engine, position, position.sequence, warnings)
        before = good.header.sequence - 1


def _apply(found: AsItWas, frame: Frame, limit: int, time_us: int | None) -> bool:
    """Executes what of the frame is not after the moment; whether that was all of it."""
    engine, position = found.engine, found.position
    outcomes = []
    for record in decode_records(frame.payload):
        if record.sequence > limit or (time_us is not None and record.command.time_us > time_us):
            return False
        outcomes.append(recovery.replay_record(engine, position, record))
    recovery.prove_frame(position, frame, outcomes)
    return True


def _what_is_kept(disk: Disk, data: Path, journal: Path, moment: Moment) -> str:
    """A sentence about a moment from before everything that is kept."""
    asked = f"sequence {moment.sequence}" if moment.time_us is None else time_text(moment.time_us)
    files = [*list_archived(disk, data / ARCHIVE_DIRECTORY), *list_segments(disk, journal)]
    first = _oldest_without_gap(sorted(files, key=lambda file: file.number, reverse=True))
    kept = [file.sequence for file in slices.list_slices(disk, data / recovery.SLICES_DIRECTORY)]
    shown = min((sequence for sequence in kept if sequence >= first - 1), default=None)
    begins = f"; what can be shown begins with sequence {shown}" if shown is not None else ""
    base = read_base(disk, data).sequence
    if first <= base + 1:
        return f"{asked} is not kept any more: `vx prune` has removed sequences 1 to {first - 1}{begins}"
    return (
        f"{asked} can not be shown: the segments with sequences {base + 1} to {first - 1} are neither in "
        f"{journal} nor in the archive; put them back from a backup{begins}"
    )


def _oldest_without_gap(newest_first: list[SegmentFile]) -> int:
    """The first sequence of the run of segments that leads to the newest one."""
    number, first = newest_first[0].number, newest_first[0].first_sequence
    for file in newest_first:
        if file.number < number - 1:
            break
        number, first = file.number, file.first_sequence
    return first
