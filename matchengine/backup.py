"""A backup of a data directory, taken while everything runs, or while nothing does.

    consumers, topics -> databases, the history last -> slices -> how far is the journal durable? -> journal
              -> archive -> read back, replayed -> BACKUP

The order makes the copy agree with itself: a consumer's position is not past the history, and neither the
history, nor the position in Kafka, nor a slice is past the end of the journal, which is looked up after them.
The segment in use is cut behind the last durable frame. BACKUP (see `manifest`) is written when the copy has
been read back, scanned from its first record to its last, and recovered; until then the directory is no
backup.

Nothing in the data directory is changed, and nobody waits: the engine is not asked, SQLite files are read in
one read transaction. What becomes of a backup is in `restore`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

from matchengine import recovery, slices, system
from matchengine.core.invariants import broken_laws
from matchengine.extent import durable_end
from matchengine.handed_over import HANDED_OVER_FILE
from matchengine.journal import format as layout
from matchengine.journal.archive import ARCHIVE_DIRECTORY, archived_name, list_archived
from matchengine.journal.durable import own_durable
from matchengine.journal.reader import scan
from matchengine.journal.segments import SegmentFile, list_segments
from matchengine.manifest import (
    FORMAT_VERSION,
    BackupFile,
    Manifest,
    changed_files,
    copy_file,
    hash_file,
    write_manifest,
)
from matchengine.recorder.keep import BASE_FILE, read_base
from vxnet.clock import Clock
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit
from vxutils.store.embedded.consumers import CONSUMERS_DIRECTORY
from vxutils.store.embedded.copying import CopyFailed, copied_position, copy_database
from vxutils.store.embedded.schema import HISTORY_FILE
from vxutils.store.kafka.floor import FLOOR_FILE

CONFIG_DIRECTORY = "config"
SPARE_BYTES = 64 << 20  # what may come in addition while the copy is made

Progress = Callable[[str], None]


def backup(
    disk: Disk,
    clock: Clock,
    data: Path,
    journal: Path,
    target: Path,
    configs: list[Path],
    progress: Progress,
    rest: Callable[[], None],
) -> tuple[Manifest, list[str]]:
    """Copies the data directory into `target`, which is missing or empty; the manifest, and warnings.

    `configs` are put beside it, as files of the operator's. `rest` is called after each piece of work.

    Raises: ProcessExit with a sentence; JournalError, SliceError, SystemFileError, OSError. Then `target`
    holds no backup, and can be removed.
    """
    identity = system.read_system(disk, data)
    _refuse_unless_usable(disk, target, configs)
    disk.make_directory(target)
    if disk.names(target):
        raise ProcessExit(ExitCode.CONFIG, f"{target} is not empty: a backup goes into a new directory")
    work = _Backup(disk, data, journal, target, identity, progress, rest)
    work.demand_space()
    work.copy_consumers()
    work.copy_topics()
    work.copy_databases()
    work.copy_slices()
    sequence = work.copy_journal()
    for path in configs:
        work.copy(path, f"{CONFIG_DIRECTORY}/{path.name}")
    if disk.exists(data / HANDED_OVER_FILE):
        work.copy(data / HANDED_OVER_FILE, HANDED_OVER_FILE)
    work.copy(data / system.SYSTEM_FILE, system.SYSTEM_FILE)
    manifest = work.prove(sequence, clock.wall_us())
    write_manifest(disk, target, manifest)
    disk.sync_directory(target.absolute().parent)
    return manifest, work.warnings


class _Backup:
    """One backup being made; owns the list of what is in it."""

    def __init__(
        self,
        disk: Disk,
        data: Path,
        journal: Path,
        target: Path,
        identity: system.System,
        progress: Progress,
        rest: Callable[[], None],
    ) -> None:
        self.disk = disk
        self.data = data
        self.journal = journal
        self.target = target
        self.identity = identity
        self.progress = progress
        self.rest = rest
        self.files: list[BackupFile] = []
        self.warnings: list[str] = []
        self.history_sequence: int | None = None

    def demand_space(self) -> None:
        """Raises: ProcessExit when the file system of the target is surely too small."""
        sources = [path for _, path in self._databases()]
        for directory in (self.data / recovery.SLICES_DIRECTORY, self.data / ARCHIVE_DIRECTORY):
            if self.disk.is_directory(directory):
                sources += [directory / name for name in self.disk.names(directory)]
        sources += [segment.path for segment in list_segments(self.disk, self.journal)]
        needed = SPARE_BYTES
        for path in sources:
            try:
                needed += path.stat().st_size
            except FileNotFoundError:
                pass  # archived or removed meanwhile
        free = self.disk.free_bytes(self.target)
        if free < needed:
            raise ProcessExit(
                ExitCode.JOURNAL_IO,
                f"the backup takes up to {needed} bytes, {self.target} has {free} bytes left",
            )

    def copy(self, source: Path, name: str, size_max: int | None = None) -> None:
        """One file, as it is. Raises: OSError; FileNotFoundError: then it is not in the backup."""
        self.progress(name)
        path = self.target / name
        self.disk.make_directory(path.parent)
        size_bytes, sha256 = copy_file(self.disk, source, path, size_max, self.rest)
        self.files.append(BackupFile(name, size_bytes, sha256))

    def copy_consumers(self) -> None:
        """First: so the candles, copied next, are never behind what their consumer file gives away."""
        directory = self.data / CONSUMERS_DIRECTORY
        for name in self.disk.names(directory) if self.disk.is_directory(directory) else ():
            if name.endswith(".json"):
                self.copy(directory / name, f"{CONSUMERS_DIRECTORY.as_posix()}/{name}")

    def copy_topics(self) -> None:
        """How far messages were sent to Kafka, if they are: like the history never past the journal."""
        if self.disk.exists(self.data / FLOOR_FILE):
            self.copy(self.data / FLOOR_FILE, FLOOR_FILE)

    def copy_databases(self) -> None:
        """The history is the last one: what follows it is never ahead of it."""
        for name, source in self._databases():
            self.progress(name)
            path = self.target / name
            try:
                copy_database(source, path, self.rest)
                if name == HISTORY_FILE:
                    self.history_sequence = copied_position(path).sequence
            except CopyFailed as error:
                raise ProcessExit(
                    ExitCode.JOURNAL_DAMAGED,
                    f"{error}. The process that owns the file sets a damaged one aside when it starts; take "
                    "the backup after that",
                ) from error
            self.files.append(BackupFile(name, *hash_file(self.disk, path)))

    def _databases(self) -> list[tuple[str, Path]]:
        names = [name for name in self.disk.names(self.data) if name.endswith(".db")]
        return [
            (name, self.data / name) for name in sorted(names, key=lambda name: (name == HISTORY_FILE, name))
        ]

    def copy_slices(self) -> None:
        """Every good one; a bad one is named and left out."""
        directory = self.data / recovery.SLICES_DIRECTORY
        for file in slices.list_slices(self.disk, directory):
            name = f"{recovery.SLICES_DIRECTORY}/{file.path.name}"
            try:
                self.copy(file.path, name)
            except FileNotFoundError:
                continue  # a newer one has taken its place
            try:
                slices.verify_slice(self.disk, self.target / name)
            except slices.SliceDamaged as error:
                self.warnings.append(f"not in the backup, because it is damaged: {file.path} ({error})")
                self.disk.unlink(self.target / name)
                del self.files[-1]
        if self.disk.exists(directory / slices.NEEDED_FILE):
            self.copy(directory / slices.NEEDED_FILE, f"{recovery.SLICES_DIRECTORY}/{slices.NEEDED_FILE}")

    def copy_journal(self) -> int:
        """All segments up to what is durable now, from the journal and the archive; that sequence."""
        disk, archive = self.disk, self.data / ARCHIVE_DIRECTORY
        sequence = durable_end(disk, self.data, self.journal, self.identity)
        if not sequence:
            raise ProcessExit(
                ExitCode.CONFIG, f"{self.data} holds no record yet: there is nothing to back up"
            )
        last, last_bytes = self._cut(sequence)
        # The journal first: what moves to the archive meanwhile is then seen in one of them at least.
        found = {segment.number: segment for segment in list_segments(disk, self.journal)}
        for segment in list_archived(disk, archive):
            found.setdefault(segment.number, segment)
        for number in sorted(found):
            if number <= last:
                self._copy_segment(found[number], last_bytes if number == last else None)
        if disk.exists(archive / BASE_FILE):
            self.copy(archive / BASE_FILE, f"{ARCHIVE_DIRECTORY}/{BASE_FILE}")
        directory = self.target / recovery.JOURNAL_DIRECTORY
        own_durable(disk, directory, self.identity.id_bytes, self.identity.last_epoch, sequence).close()
        durable = f"{recovery.JOURNAL_DIRECTORY}/DURABLE"
        self.files.append(BackupFile(durable, *hash_file(disk, self.target / durable)))
        return sequence

    def _cut(self, sequence: int) -> tuple[int, int]:
        """(segment number, bytes) where the frame that ends with `sequence` ends."""
        reading = scan(
            self.disk, self.journal, self.identity.id_bytes, sequence, self.data / ARCHIVE_DIRECTORY
        )
        for frame in reading:
            return frame.segment, frame.offset + layout.frame_bytes(len(frame.payload))
        raise ProcessExit(
            ExitCode.JOURNAL_DAMAGED, f"sequence {sequence} was durable, but {self.journal} does not hold it"
        )

    def _copy_segment(self, segment: SegmentFile, size_max: int | None) -> None:
        archive = self.data / ARCHIVE_DIRECTORY
        name = segment.path.name
        if segment.path.parent != archive:
            try:
                self.copy(segment.path, f"{recovery.JOURNAL_DIRECTORY}/{name}", size_max)
                return
            except FileNotFoundError:
                name = archived_name(name)  # moved there meanwhile
        try:
            self.copy(archive / name, f"{ARCHIVE_DIRECTORY}/{name}")
        except FileNotFoundError:
            raise ProcessExit(
                ExitCode.FAILURE,
                f"{archive / name} was removed while the backup was taken (`vx prune`): take it again",
            ) from None

    def prove(self, sequence: int, now_us: int) -> Manifest:
        """The copy is what was written, and leads to a state. Raises: ProcessExit and what replay raises."""
        disk, target = self.disk, self.target
        changed = changed_files(disk, target, self.files, self.progress)
        if changed:
            raise ProcessExit(ExitCode.JOURNAL_IO, "written, but not read back: " + "; ".join(changed))
        base = read_base(disk, target).sequence
        if base and not disk.exists(target / recovery.SLICES_DIRECTORY / slices.slice_name(base)):
            raise ProcessExit(
                ExitCode.FAILURE, f"the slice of sequence {base}, where the archive begins, is missing: again"
            )
        self.progress("replaying the copy")
        identity = system.read_copied_system(disk, target)
        try:
            self._scan_all(identity)
            found = recovery.recover(disk, target, target / recovery.JOURNAL_DIRECTORY, identity)
        except (layout.JournalDamaged, layout.JournalMissing) as error:
            raise ProcessExit(
                ExitCode.JOURNAL_DAMAGED,
                f"no backup was made: {error}. Every file was copied as it is, so the same damage is in "
                f"{self.data}; `vx audit` names it",
            ) from error
        if found.position.sequence != sequence or (self.history_sequence or 0) > sequence:
            raise ProcessExit(
                ExitCode.JOURNAL_DAMAGED,
                f"the copy ends with sequence {found.position.sequence}, its history with "
                f"{self.history_sequence}, but sequence {sequence} was durable",
            )
        broken = broken_laws(found.engine)
        if broken:
            raise ProcessExit(ExitCode.JOURNAL_DAMAGED, "the state is not sound: " + "; ".join(broken))
        return Manifest(
            format_version=FORMAT_VERSION,
            system_id=identity.system_id,
            created_us=now_us,
            epoch=identity.last_epoch,
            sequence=sequence,
            time_us=found.position.time_us,
            operation_id=found.position.operation_id,
            order_id=found.engine.last_order_id,
            deal_id=found.engine.last_deal_id,
            state_hash=recovery.state_hash(found.engine, found.position).hex(),
            history_sequence=self.history_sequence,
            files=self.files,
        )

    def _scan_all(self, identity: system.System) -> None:
        """Every frame of the copy, and that the segments belong together."""
        journal, archive = self.target / recovery.JOURNAL_DIRECTORY, self.target / ARCHIVE_DIRECTORY
        oldest = min(
            [*list_archived(self.disk, archive), *list_segments(self.disk, journal)], key=attrgetter("number")
        )
        for _ in scan(self.disk, journal, identity.id_bytes, oldest.first_sequence, archive):
            self.rest()


def _refuse_unless_usable(disk: Disk, target: Path, configs: list[Path]) -> None:
    """Raises: ProcessExit for what can be known before anything is made."""
    if disk.exists(target) and not disk.is_directory(target):
        raise ProcessExit(ExitCode.CONFIG, f"{target} is not a directory")
    names = [path.name for path in configs]
    for path in configs:
        if not path.is_file():
            raise ProcessExit(ExitCode.CONFIG, f"{path} is not a file")
        if names.count(path.name) > 1:
            raise ProcessExit(ExitCode.CONFIG, f"two of the settings files are called {path.name}")
