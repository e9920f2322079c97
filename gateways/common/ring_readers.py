"""The snapshot rings of one data directory, by name, as long as there are any.

    find("book.BTCUSDT") -> SnapshotReader, attached or not

The exchange is known by its SYSTEM file, which may come later than the gateway, or become another one when a
backup is restored: it is read again once in LOOK_US while something is asked for that does not live. Clients
may ask for names that are none, so readers are bounded; those without a ring go first. One thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vxnet.clock import Clock
from vxutils.ring.segment import ring_name
from vxutils.ring.snapshot import SnapshotReader
from vxutils.system_id import read_system_id

READERS_MAX: Final = 8_192
LOOK_US: Final = 1_000_000


class RingReaders:
    """Finds and keeps the readers."""

    def __init__(self, data_directory: Path, clock: Clock) -> None:
        self._directory = data_directory
        self._clock = clock
        self._readers: dict[str, SnapshotReader] = {}
        self._system_id = read_system_id(data_directory)
        self._look_at_us = clock.monotonic_us() + LOOK_US
        self._torn = 0  # of readers that are no longer kept
        self._reattached = 0

    @property
    def attached(self) -> int:
        """Rings in use."""
        return sum(reader.is_attached for reader in self._readers.values())

    @property
    def torn(self) -> int:
        """Reads that met the writer at work and were repeated."""
        return self._torn + sum(reader.torn for reader in self._readers.values())

    @property
    def reattached(self) -> int:
        """Times another ring was found under a name: its writer was restarted, or it was removed."""
        return self._reattached + sum(reader.reattached for reader in self._readers.values())

    def find(self, what: str) -> SnapshotReader | None:
        """The reader of this ring; None while there is no exchange here, or there are too many readers."""
        reader = self._readers.get(what)
        if reader is not None and reader.is_alive:
            return reader
        if self._clock.monotonic_us() >= self._look_at_us:
            self._look()
            reader = self._readers.get(what)
        if reader is None and self._system_id is not None and self._has_room():
            name = ring_name(self._system_id, self._directory, what)
            reader = self._readers[what] = SnapshotReader(name, now=self._clock.monotonic_us)
        return reader

    def close(self) -> None:
        """Lets go of everything; what is asked for then is found again."""
        self._drop(list(self._readers))

    def _look(self) -> None:
        self._look_at_us = self._clock.monotonic_us() + LOOK_US
        system_id = read_system_id(self._directory)
        if system_id is not None and system_id != self._system_id:
            self.close()
            self._system_id = system_id

    def _has_room(self) -> bool:
        if len(self._readers) >= READERS_MAX:
            self._drop([what for what, reader in self._readers.items() if not reader.is_attached])
        return len(self._readers) < READERS_MAX

    def _drop(self, names: list[str]) -> None:
        for what in names:
            reader = self._readers.pop(what)
            self._torn += reader.torn
            self._reattached += reader.reattached
            reader.close()
