"""A follower of the small journals that `tests.matchengine.journal.journals` makes."""

from __future__ import annotations

from pathlib import Path

from matchengine.journal.follower import JournalFollower
from tests.matchengine.journal.journals import SYSTEM_ID, digest_of
from vxutils.disk import Disk
from vxutils.packing import unpack_all


class ByHand:
    """Monotonic seconds that are moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Following:
    """A follower and everything that it gave so far: checked to be gapless, each record where it says."""

    def __init__(
        self, directory: Path, from_sequence: int = 1, floor: int = 0, disk: Disk | None = None
    ) -> None:
        self.clock = ByHand()
        self.follower = JournalFollower(
            disk or Disk(),
            directory,
            directory / "archive",
            SYSTEM_ID,
            from_sequence,
            floor,
            self.clock,
        )
        self.sequences: list[int] = []

    def __enter__(self) -> Following:
        return self

    def __exit__(self, *_: object) -> None:
        self.follower.close()

    def poll(self, bytes_max: int = 1 << 20) -> list[int]:
        """The sequences of the records that one poll gives."""
        given: list[int] = []
        for frame in self.follower.poll(bytes_max):
            records = list(unpack_all(frame.payload))
            assert len(records) == frame.count
            for sequence, record in enumerate(records, frame.first_sequence):
                assert isinstance(record, list)
                assert record[0] == sequence
                given.append(sequence)
            assert frame.digest == digest_of(given[-1])
        if self.sequences and given:
            assert given[0] == self.sequences[-1] + 1
        self.sequences += given
        return given

    def wait_in_vain(self, seconds: float) -> None:
        """Polls, lets time pass, polls again; nothing may come."""
        assert self.poll() == []
        self.clock.seconds += seconds
        assert self.poll() == []
