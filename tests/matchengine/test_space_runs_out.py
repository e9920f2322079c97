"""Without room for segments: new orders wait, cancels go on to the last bytes, nothing is half done.

One process, segments made by hand; tests/processes/test_disk_full.py fills a real disk.
"""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import Any

import pytest

from matchengine import offline
from matchengine.journal.format import NoSpace
from matchengine.space import SEGMENTS_AHEAD, Helper, SpaceGate
from tests.support.faulty_disk import FaultyDisk
from tests.support.hand_worker import HandWorker, audit, hand_settings
from vxutils.disk import Disk

SMALL = {"segment_size_bytes": 64 << 10}
ORDER = [1, "BTCUSD", 1, "0.001", "100", "0", "0", "s"]


def test_cancels_go_on_where_orders_wait(tmp_path: Path) -> None:
    disk = FaultyDisk()
    with HandWorker(tmp_path / "data", hand_settings(journal=SMALL), disk=disk) as worker:
        worker.done(102, [1, "BTC", "deposit", 1, "100", {}])
        orders: list[int] = []
        while (reply := worker.ask(201, ORDER))["error"] is None:
            orders.append(reply["result"]["id"])
        assert (reply["error"]["code"], reply["error"]["message"]) == (3, "service unavailable")
        assert len(orders) > 20
        for command, params in (
            (102, [1, "BTC", "deposit", 2, "1", {}]),
            (202, [1, "BTCUSD", 1, "1", "0", "s"]),
            (201, ORDER),
        ):
            assert worker.refused(command, params) == 3
        assert worker.done(203, [1, "BTCUSD", 0, 1])["total"] == len(orders), "queries go on"

        cancelled = 0
        for order_id in orders:
            reply = worker.ask(204, [1, "BTCUSD", order_id])
            if reply["error"] is not None:
                assert reply["error"]["code"] == 3
                break
            cancelled += 1
        assert cancelled > 20, "the reserve takes cancels"
        worker.check_laws()
        assert worker.engine.last_order_id == len(orders)

        worker.prepare_segments()
        again = worker.done(201, ORDER)
        assert again["id"] == len(orders) + 1, "open again; what was refused has used no id"
        worker.done(204, [1, "BTCUSD", again["id"]])
        before = worker.state_hash
        worker.crash()
    with HandWorker(tmp_path / "data", hand_settings(journal=SMALL)) as worker:
        assert worker.state_hash == before
    audit(tmp_path / "data")


def test_many_requests_in_one_turn_at_the_end_of_the_room(tmp_path: Path) -> None:
    """Whatever the size of the turn, what was answered with success is in the journal and the rest is not."""
    with HandWorker(tmp_path / "data", hand_settings(journal=SMALL)) as worker:
        for number in range(2000):
            worker.hold(102, [1, "BTC", "deposit", number, "1", {"pad": "x" * 100}])
        replies = worker.turn()
        done = [reply for reply in replies if reply["error"] is None]
        assert 0 < len(done) < len(replies) == 2000
        assert {reply["error"]["code"] for reply in replies[len(done) :]} == {3}
        worker.crash()
    with HandWorker(tmp_path / "data", hand_settings(journal=SMALL)) as worker:
        worker.prepare_segments()
        for number in range(len(done)):
            assert worker.refused(102, [1, "BTC", "deposit", number, "1", {}]) == 10
        assert worker.ask(102, [1, "BTC", "deposit", len(done), "1", {}])["error"] is None
    assert audit(tmp_path / "data").operation_id == len(done) + 1


@pytest.mark.parametrize("operation", ["allocate", "pwrite", "create"])
def test_a_start_without_room_for_a_segment(tmp_path: Path, operation: str) -> None:
    """It is refused, and changes nothing that a start with room would miss."""
    data = tmp_path / "data"
    with HandWorker(data, hand_settings(journal=SMALL)) as worker:
        worker.done(102, [1, "BTC", "deposit", 1, "1", {}])
        before = worker.state_hash
        worker.crash()
    disk = FaultyDisk()
    # The first write and file of a start are those of SYSTEM, the next ones rewrite the tail.
    disk.fail(operation, {"allocate": 1, "pwrite": 3, "create": 3}[operation], errno.ENOSPC)
    with pytest.raises(NoSpace), HandWorker(data, hand_settings(journal=SMALL), disk=disk):
        pass
    with HandWorker(data, hand_settings(journal=SMALL)) as worker:
        assert worker.state_hash == before
    audit(data)


class FakeHelper(Helper):
    """Counts its starts; runs nothing."""

    def __init__(self) -> None:
        super().__init__("prepare", [])
        self.starts = 0
        self.is_running = False

    def start(self) -> bool:
        self.starts += 1
        self.is_running = True
        return True

    def poll(self) -> bool:
        return self.is_running

    def fail(self) -> None:
        self.is_running = False
        self.failures += 1


class FakeJournal:
    frame_bytes_max = 100

    def __init__(self) -> None:
        self.prepared = SEGMENTS_AHEAD
        self.room = 1000

    def take_prepared(self) -> int:
        return self.prepared


class FakeDisk(Disk):
    free = 1000

    def free_bytes(self, path: Path) -> int:
        return self.free


def gate_of_fakes() -> tuple[SpaceGate, FakeDisk, FakeJournal, FakeHelper]:
    disk, journal, helper = FakeDisk(), FakeJournal(), FakeHelper()
    return SpaceGate(disk, Path("journal"), journal, helper, 500), disk, journal, helper


def test_the_gate_tells_each_change_once(caplog: Any) -> None:
    gate, disk, _, helper = gate_of_fakes()
    with caplog.at_level(logging.CRITICAL):
        for free, is_open, lines in ((1000, True, 0), (499, False, 1), (10, False, 1), (500, True, 2)):
            disk.free = free
            gate.check()
            assert gate.is_open() is is_open, free
            assert bool(gate.reason) is not is_open
            assert len(caplog.records) == lines
    assert "new orders are refused: 499 bytes free, the reserve is 500 in journal" in caplog.text
    assert "new orders are taken again: 500 bytes free" in caplog.text
    assert helper.starts == 0, "there were segments enough"


def test_the_gate_has_segments_prepared(caplog: Any) -> None:
    gate, _, journal, helper = gate_of_fakes()
    journal.prepared = 1
    gate.check()
    assert (helper.starts, gate.is_open()) == (1, True)
    journal.prepared = 0
    helper.fail()
    gate.check()
    assert (helper.starts, gate.is_open()) == (2, False), "it goes on trying"
    assert gate.reason == "no journal segment could be prepared"
    journal.prepared, journal.room, helper.is_running = 2, 200, False
    gate.check()
    assert gate.reason == ""
    assert not gate.is_open(), "what is left is for cancels"
    journal.room = 201
    assert gate.is_open()


def test_segments_are_replenished_between_the_checks() -> None:
    """A fast client fills small segments within a second."""
    gate, _, journal, helper = gate_of_fakes()
    gate.check()
    journal.prepared = 1
    assert gate.is_open()
    assert gate.is_open()
    assert helper.starts == 1, "one at a time"
    helper.is_running = False
    gate.is_open()
    assert helper.starts == 2
    helper.fail()
    gate.is_open()
    assert helper.starts == 2, "one that fails is tried again by the check, once a second"


def test_a_helper_that_fails_is_counted_and_started_again(tmp_path: Path) -> None:
    """Against a directory that is not there: exit status 65."""
    helper = Helper("prepare", ["prepare", "--data-dir", str(tmp_path / "none")])
    assert helper.start()
    assert not helper.start(), "one at a time"
    process = helper._process
    assert process is not None
    process.wait(20)
    assert not helper.poll()
    assert helper.failures == 1
    assert helper.start()
    helper.stop()
    helper.stop()
    assert not helper.poll()


def test_segments_are_prepared_up_to_the_number_ahead(tmp_path: Path) -> None:
    offline.prepare(Disk(), tmp_path, 64 << 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["next-1.prepared", "next-2.prepared"]
    (tmp_path / "next-1.prepared").unlink()
    offline.prepare(Disk(), tmp_path, 64 << 10)
    assert len(list(tmp_path.iterdir())) == SEGMENTS_AHEAD


def test_the_gate_closes_while_the_recorder_is_too_far_behind(caplog: Any) -> None:
    disk, journal, helper = FakeDisk(), FakeJournal(), FakeHelper()
    reasons = ["", "the recorder is 5 records (100 bytes) behind", ""]
    gate = SpaceGate(disk, Path("journal"), journal, helper, 500, lambda: reasons.pop(0))
    opened = []
    with caplog.at_level(logging.CRITICAL):
        for _ in range(3):
            gate.check()
            opened.append(gate.is_open())
    assert opened == [True, False, True]
    assert "new orders are refused: the recorder is 5 records (100 bytes) behind" in caplog.text
