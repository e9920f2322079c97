"""The one writer of a journal: appends frames, syncs them, and goes from segment to segment.

    append --> [ segment n ] --full--> sync n, take a prepared file, header, sync, rename, sync directory
    sync   --> fdatasync, then the cell in DURABLE

A crash between any two of these steps leaves either the old end of the journal or the new, empty segment.
With durability `group` a frame is written only when the one before is synced, so at most one frame
can be torn. `interval` leaves several unsynced until the owner calls `sync`; `off` never syncs (tests).

The owner decides when to sync, numbers the records and gives the time. After a failed write or sync
the writer is dead: the kernel may call lost pages clean, so nothing may be acknowledged any more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from matchengine.journal import format as layout
from matchengine.journal.durable import DurableCell, own_durable
from matchengine.journal.segments import (
    PREPARED_BY_ENGINE,
    prepare_segment,
    prepared_segments,
    remove_unfinished,
)
from vxutils.disk import Disk

Durability = Literal["group", "interval", "off"]

# A segment never fills to its last byte: one whose file ends with its last frame was closed cleanly.
_SPARE_BYTES = 8
_RECORDS_MAX = 2**32 - 1


class JournalWriter:
    """Owns the open segment and the DURABLE file of `directory`. Not for two threads.

    `previous` is (number, hash) of the last segment that is there, None for a new journal. Everything
    before `first_sequence` must be synced. Files that a crash left half made are removed, so no helper
    process may prepare any before the writer is there. `clock()` gives wall-clock microseconds, for
    headers only.

    `rules_hash` may be set at any time; the next segment's header carries it.

    Raises: NoSpace (nothing was written), JournalIOError, JournalForeign.
    """

    def __init__(
        self,
        disk: Disk,
        directory: Path,
        *,
        system_id: bytes,
        epoch: int,
        rules_hash: bytes,
        first_sequence: int,
        previous: tuple[int, bytes] | None,
        segment_size: int,
        durability: Durability,
        clock: Callable[[], int],
    ) -> None:
        assert layout.SEGMENT_BYTES_MIN <= segment_size <= layout.SEGMENT_BYTES_MAX, (
            "segment size out of bounds"
        )
        assert segment_size % layout.FRAME_ALIGNMENT == 0, "the segment size is a multiple of 8"
        assert first_sequence >= 1, "sequences start at 1"
        self.rules_hash = rules_hash
        self.segment_size = segment_size
        self.frame_bytes_max = segment_size // 4
        self.inline_preparations = 0
        self._disk = disk
        self._directory = directory
        self._system_id = system_id
        self._epoch = epoch
        self._durability = durability
        self._clock = clock
        self._capacity = segment_size - _SPARE_BYTES
        self._next_sequence = first_sequence
        self._synced_sequence = first_sequence - 1
        self._failure: str | None = None
        self._fd = -1
        self._seed = 0
        self._offset = 0
        self._number, self._previous_hash = previous if previous is not None else (0, layout.NO_HASH)
        self._hash = layout.segment_hash()
        self._prepared: list[Path] = []
        self.path = directory
        self._clear_unfinished()
        self._require_prepared()
        self._durable: DurableCell = own_durable(disk, directory, system_id, epoch, first_sequence - 1)
        self._open_segment()

    @property
    def last_sequence(self) -> int:
        """The sequence of the last record appended, synced or not."""
        return self._next_sequence - 1

    @property
    def durable_sequence(self) -> int:
        """The highest sequence that `sync` has covered."""
        return self._synced_sequence

    @property
    def segment_number(self) -> int:
        return self._number

    @property
    def prepared(self) -> int:
        """How many prepared files the writer knows of; it never looks by itself, see `take_prepared`."""
        return len(self._prepared)

    @property
    def room(self) -> int:
        """Bytes of frames (`format.frame_bytes`) that can surely still be appended, of whatever sizes.

        Counts the rest of this segment and the prepared ones; less what switches may leave unused.
        """
        waste = self.frame_bytes_max
        rest = self._capacity - self._offset
        return rest + len(self._prepared) * (self._capacity - layout.SEGMENT_HEADER_BYTES - waste)

    def take_prepared(self) -> int:
        """Looks which prepared files are there now; returns their number.

        Raises: JournalIOError.
        """
        self._check_alive()
        try:
            self._prepared = [path for _, path in prepared_segments(self._disk, self._directory)]
        except OSError as error:
            raise self._fail(f"{self._directory} can not be listed: {error}") from error
        return len(self._prepared)

    def append(self, records: list[bytes], first_sequence: int, time_us: int, digest: bytes) -> None:
        """Writes one frame with these packed records; `digest` pins the outcomes up to and with them.

        Records are numbered from `first_sequence` without gaps. The frame must not be larger than
        `frame_bytes_max`. Not durable before `sync`.

        Raises: NoSpace when it needs a new segment and there is no room: nothing was written, a smaller
        frame may still fit. JournalIOError: the writer is dead.
        """
        self._check_alive()
        assert self._durability != "group" or self._synced_sequence == self.last_sequence, (
            "a frame is written only after the sync of the one before"
        )
        assert first_sequence == self._next_sequence, "a sequence was skipped or used twice"
        assert 0 < len(records) <= _RECORDS_MAX, "a frame holds at least one record"
        size = layout.frame_bytes(sum(map(len, records)))
        assert size <= self.frame_bytes_max, "the caller splits what is larger than frame_bytes_max"
        if self._offset + size > self._capacity:
            self._switch()
        unsynced = self.last_sequence - self._synced_sequence
        frame = layout.encode_frame(
            self._seed, self._epoch, first_sequence, records, unsynced, time_us, digest
        )
        try:
            self._disk.pwrite(self._fd, frame, self._offset)
        except OSError as error:
            raise self._fail(f"{self.path}, offset {self._offset}: a write failed: {error}") from error
        self._hash.update(frame)
        self._offset += len(frame)
        self._next_sequence += len(records)

    def sync(self) -> int:
        """Makes everything appended durable, tells it in DURABLE, and returns the last sequence.

        Raises: JournalIOError: the writer is dead.
        """
        self._check_alive()
        last = self._next_sequence - 1
        if last != self._synced_sequence:
            if self._durability != "off":
                self._sync_file()
            self._synced_sequence = last
            self._durable.sequence = last
        return last

    def close(self, clean: bool = True) -> None:
        """Ends the journal. `clean`: sync, and cut the segment to what is used, which marks a clean end.

        After a failure, or with `clean` false, only closes what is open.
        """
        try:
            if clean and self._failure is None:
                self.sync()
                try:
                    self._disk.truncate(self._fd, self._offset)
                    self._disk.fsync(self._fd)
                except OSError as error:
                    raise self._fail(f"{self.path} can not be closed: {error}") from error
        finally:
            self._failure = self._failure or "it is closed"
            self._durable.close()
            if self._fd >= 0:
                self._disk.close(self._fd)
                self._fd = -1

    def _clear_unfinished(self) -> None:
        try:
            remove_unfinished(self._disk, self._directory, self.segment_size)
        except OSError as error:
            raise self._fail(f"{self._directory} can not be tidied: {error}") from error

    def _switch(self) -> None:
        self._require_prepared()
        # In every durability: the next header vouches for this segment's hash.
        if self._synced_sequence != self.last_sequence:
            self._sync_file()
            self._synced_sequence = self.last_sequence
            self._durable.sequence = self.last_sequence
        self._previous_hash = self._hash.digest()
        old, self._fd = self._fd, -1
        self._disk.close(old)
        self._open_segment()

    def _require_prepared(self) -> None:
        if self._prepared or self.take_prepared():
            return
        prepared = prepare_segment(self._disk, self._directory, PREPARED_BY_ENGINE, self.segment_size)
        self.inline_preparations += 1
        self._prepared = [prepared]

    def _open_segment(self) -> None:
        prepared = self._prepared.pop(0)
        header = layout.SegmentHeader(
            system_id=self._system_id,
            epoch=self._epoch,
            number=self._number + 1,
            first_sequence=self._next_sequence,
            rules_hash=self.rules_hash,
            previous_hash=self._previous_hash,
            created_us=self._clock(),
        )
        block = layout.encode_segment_header(header)
        path = self._directory / layout.segment_name(header.number, header.first_sequence)
        try:
            self._fd = self._disk.open_to_write(prepared)
            assert self._disk.size(self._fd) == self.segment_size, "a prepared file has another size"
            # The header is on the disk before the name says that there is one.
            self._disk.pwrite(self._fd, block, 0)
            self._disk.fdatasync(self._fd)
            self._disk.rename(prepared, path)
            self._disk.sync_directory(self._directory)
        except OSError as error:
            raise self._fail(f"{path} can not be begun: {error}") from error
        self.path = path
        self._number = header.number
        self._seed = layout.segment_seed(block)
        self._hash = layout.segment_hash(block)
        self._offset = len(block)

    def _sync_file(self) -> None:
        try:
            self._disk.fdatasync(self._fd)
        except OSError as error:
            raise self._fail(f"{self.path}: a sync failed: {error}") from error

    def _check_alive(self) -> None:
        if self._failure is not None:
            raise layout.JournalIOError(f"the journal is not written any more: {self._failure}")

    def _fail(self, what: str) -> layout.JournalIOError:
        self._failure = what
        return layout.JournalIOError(what)
