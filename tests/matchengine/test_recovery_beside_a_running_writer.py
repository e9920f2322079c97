"""A slice made beside a working engine: it holds exactly what was durable when it began."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matchengine import offline, recovery
from matchengine.main import SLICES_KEPT
from matchengine.slices import verify_slice
from tests.support.hand_worker import HandWorker, audit
from vxutils.disk import Disk


class DiskWithWitness(Disk):
    """Calls `then` once, right after a segment was read."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then: Callable[[], None] | None = then

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        data = super().pread(fd, size, offset)
        if size > 1 << 20 and self._then is not None:
            then, self._then = self._then, None
            then()
        return data


def deposit(worker: HandWorker, number: int) -> None:
    worker.done(102, [1, "BTC", "deposit", number, "1", {}])


def test_what_comes_meanwhile_is_not_in_it(tmp_path: Path) -> None:
    """The engine goes on right after its segment was read: that is no damage."""
    data = tmp_path / "data"
    with HandWorker(data) as worker:
        for number in range(5):
            deposit(worker, number)
        mark = worker.state_hash

        def go_on() -> None:
            for number in range(5, 9):
                deposit(worker, number)

        made = offline.make_slice(DiskWithWitness(go_on), data, data / "journal")
        assert made is not None
        assert made.header.sequence == 6
        assert made.state_hash == mark
        assert worker.worker.position.sequence == 10
        worker.crash()
    with HandWorker(data) as worker:
        assert worker.worker.recovered.slice_sequence == 6
        assert worker.worker.recovered.replayed == 4
    audit(data)


def test_again_at_the_same_place(tmp_path: Path) -> None:
    """Nothing new, no slice."""
    data = tmp_path / "data"
    with HandWorker(data) as worker:
        deposit(worker, 1)
        assert offline.make_slice(Disk(), data, data / "journal") is not None
        assert offline.make_slice(Disk(), data, data / "journal") is None
        deposit(worker, 2)
        made = offline.make_slice(Disk(), data, data / "journal")
        assert made is not None
        assert made.header.sequence == 3
    audit(data)


def test_many_slices_keep_the_last_ones_and_each_leads_to_the_same_state(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with HandWorker(data) as worker:
        for number in range(6):
            deposit(worker, number)
            made = offline.make_slice(Disk(), data, data / "journal")
            assert made is not None
            assert verify_slice(Disk(), made.path).state_hash == worker.state_hash
        worker.crash()
    assert len(list((data / recovery.SLICES_DIRECTORY).iterdir())) == SLICES_KEPT
    audit(data)
