"""A command that waited while the process stood still is refused, not executed late; a fresh one is not."""

from __future__ import annotations

from pathlib import Path

from tests.support.hand_worker import BEGIN_US, HandWorker, audit, hand_settings
from vxnet.clock import ManualClock
from vxutils.disk import Disk

LIMIT_MS = 500


class SlowDisk(Disk):
    """A disk whose next syncs take as long as told, on the clock of the test."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.next_sync_us = 0

    def fdatasync(self, fd: int) -> None:
        super().fdatasync(fd)
        self._clock.advance(self.next_sync_us)
        self.next_sync_us = 0


def update(number: int) -> list[object]:
    return [1, "BTC", "deposit", number, "1", {}]


def run(directory: Path, sync_us: int, limit_ms: int = LIMIT_MS) -> tuple[list[int | None], str]:
    """Error codes of a deposit, a query and a cancel that arrive during a sync of `sync_us`, then of a fresh
    deposit; and the balance in the end."""
    clock = ManualClock(BEGIN_US, 1_000_000)
    disk = SlowDisk(clock)
    with HandWorker(directory, hand_settings(queue_age_max_ms=limit_ms), clock, disk) as worker:
        arriving = [(102, update(2)), (101, [1, "BTC"]), (204, [1, "BTCUSD", 7])]

        def read_ready() -> int:
            for number, params in arriving:
                worker.hold(number, params)
            count = len(arriving)
            arriving.clear()
            return count

        worker.pipeline._read_ready = read_ready
        disk.next_sync_us = sync_us
        assert worker.ask(102, update(1))["error"] is None, "the one that was executed is answered"
        read_ready()  # what arrived is read at the latest now
        replies = [*worker.turn(), worker.ask(102, update(3))]
        balance = worker.done(101, [1, "BTC"])["BTC"]["available"]
    audit(directory)
    return [reply["error"] and reply["error"]["code"] for reply in replies], balance


def test_what_arrived_during_a_long_sync_is_refused_but_for_queries(tmp_path: Path) -> None:
    assert run(tmp_path / "data", (LIMIT_MS + 1) * 1000) == ([3, None, 3, None], "2")


def test_a_short_sync_refuses_nobody(tmp_path: Path) -> None:
    assert run(tmp_path / "data", (LIMIT_MS - 1) * 1000) == ([None, None, 10, None], "3")


def test_without_a_limit_commands_are_executed_however_late(tmp_path: Path) -> None:
    assert run(tmp_path / "data", 3_600_000_000, limit_ms=0) == ([None, None, 10, None], "3")


def test_the_refusal_says_why(tmp_path: Path) -> None:
    with HandWorker(tmp_path / "data") as worker:
        worker.hold(102, update(1))
        worker.pipeline.outdate_waiting()
        (reply,) = worker.turn()
        assert reply["error"]["data"]["reason"] == "waited_too_long"
        assert worker.ask(102, update(1))["error"] is None, "it was not executed, so it may be sent again"
