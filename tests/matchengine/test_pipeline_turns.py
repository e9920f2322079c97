"""What a turn promises: order, one frame, one sync, and no reply before the sync, whatever it says."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from matchengine.journal.format import JournalIOError
from tests.support.faulty_disk import FaultyDisk
from tests.support.hand_worker import BEGIN_US, HandWorker, audit, hand_settings
from vxnet.clock import ManualClock

UPDATE = [1, "BTC", "deposit", 1, "1", {}]
DEPTH = ["BTCUSD", 10, "0"]
ORDER = [1, "BTCUSD", 1, "0.5", "10", "0", "0", "s"]


def test_a_turn_is_one_frame_and_one_sync(tmp_path: Path) -> None:
    disk = FaultyDisk()
    with HandWorker(tmp_path / "data", disk=disk) as worker:
        disk.operations.clear()
        for number in range(50):
            worker.hold(102, [1, "BTC", "deposit", number, "1", {}])
            worker.hold(101, [1])
        replies = worker.turn()
        assert disk.operations == ["pwrite", "fdatasync"]
        assert [reply["id"] for reply in replies] == list(range(1, 101)), "in the order of arrival"
        assert replies[-1]["result"]["BTC"]["available"] == "50"
        disk.operations.clear()
        worker.done(101, [1])
        worker.refused(102, [1, "BTC", "deposit", 1, "1", {}])
        assert disk.operations == [], "what changes nothing writes nothing"


@pytest.mark.parametrize("operation", ["pwrite", "fdatasync"])
def test_no_reply_of_a_failed_turn_leaves(tmp_path: Path, operation: str) -> None:
    """Success, refusal and query alike: a refusal decided from an unsynced credit would be a lie."""
    disk = FaultyDisk()
    with HandWorker(tmp_path / "data", disk=disk) as worker:
        disk.fail(operation, 1, errno.EIO)
        worker.hold(104, [])
        worker.hold(102, UPDATE)
        worker.hold(102, UPDATE)
        worker.hold(101, [1])
        with pytest.raises(JournalIOError):
            worker.pipeline.turn()
        assert worker.receiver.sent == []
        worker.hold(102, [1, "BTC", "deposit", 2, "1", {}])
        with pytest.raises(JournalIOError):
            worker.pipeline.turn()
        assert worker.receiver.sent == []
        worker.crash()
    with HandWorker(tmp_path / "data") as worker:
        reply = worker.ask(102, UPDATE)
        assert reply["error"] is None or reply["error"]["code"] == 10, "either is true"
    audit(tmp_path / "data")


@pytest.mark.parametrize(("durability", "syncs"), [("group", 3), ("interval", 0), ("off", 0)])
def test_who_syncs(tmp_path: Path, durability: str, syncs: int) -> None:
    disk = FaultyDisk()
    settings = hand_settings(journal={"durability": durability})
    with HandWorker(tmp_path / "data", settings, disk=disk) as worker:
        disk.operations.clear()
        for number in range(3):
            worker.done(102, [1, "BTC", "deposit", number, "1", {}])
        assert disk.operations.count("fdatasync") == syncs
        worker.worker.journal.sync()
        assert disk.operations.count("fdatasync") == syncs + (durability == "interval")
    audit(tmp_path / "data")


def test_a_malformed_body_costs_its_sender_what_comes_after(tmp_path: Path) -> None:
    with HandWorker(tmp_path / "data") as worker:
        worker.hold(102, UPDATE)
        worker.hold(102, b"{}")
        worker.hold(102, [1, "BTC", "deposit", 2, "1", {}])
        assert [reply["id"] for reply in worker.turn()] == [1]
        assert worker.receiver.is_faulty
        assert worker.engine.assets["BTC"].available == {1: 10**12}


def test_depth_is_cached_only_when_told(tmp_path: Path) -> None:
    """Within cache_timeout the same request gets the same answer; another request, or later, the new one."""
    for timeout_s, is_stale in ((0.0, False), (-1.0, False), (0.45, True)):
        clock = ManualClock(BEGIN_US, 0)
        data = tmp_path / f"data{timeout_s}"
        with HandWorker(data, hand_settings(cache_timeout_s=timeout_s), clock) as worker:
            worker.done(102, UPDATE)
            empty = worker.done(206, DEPTH)
            worker.done(201, ORDER)
            assert (worker.done(206, DEPTH) == empty) is is_stale
            assert worker.done(206, ["BTCUSD", 11, "0"]) != empty
            clock.advance(450_000)
            assert (worker.done(206, DEPTH) == empty) is is_stale
            clock.advance(1)
            assert worker.done(206, DEPTH) == {"asks": [["10", "0.5"]], "bids": []}
            assert worker.done(205, ["BTCUSD", 1, 0, 10])["total"] == 1, "the book is never cached"


def test_a_cached_depth_carries_the_id_of_its_request(tmp_path: Path) -> None:
    with HandWorker(tmp_path / "data", hand_settings(cache_timeout_s=1.0)) as worker:
        assert [worker.ask(206, DEPTH)["id"] for _ in range(3)] == [1, 2, 3]
        assert worker.ask(206, ["NONE", 10, "0"])["error"]["code"] == 1


def test_some_queries_tell_the_sequence_they_show(tmp_path: Path) -> None:
    """In plain style; within a turn each of them that of the command before it, and a cached one its own."""
    settings = hand_settings(cache_timeout_s=1.0)
    with HandWorker(tmp_path / "data", settings) as worker:
        begin = worker.ask(101, [1])["sequence"]
        for command, params in ((102, UPDATE), (206, DEPTH), (201, ORDER), (203, [1, "BTCUSD", 0, 10])):
            worker.hold(command, params)
        worker.hold(101, [1])
        worker.hold(206, DEPTH)
        told = [reply.get("sequence") for reply in worker.turn()]
        assert told == [None, begin + 1, None, begin + 2, begin + 2, begin + 1]
        for command, params in (
            (104, []),
            (105, []),
            (205, ["BTCUSD", 1, 0, 1]),
            (207, ["BTCUSD", 1]),
            (307, []),
        ):
            assert "sequence" not in worker.ask(command, params)
        assert "sequence" not in worker.ask(206, [])
    with HandWorker(tmp_path / "old", hand_settings(wire_style="viabtc")) as worker:
        assert list(worker.ask(101, [1])) == ["error", "result", "id"]


def test_debug_replies_of_an_engine(tmp_path: Path) -> None:
    settings = hand_settings(debug=True, wire_style="viabtc")
    with HandWorker(tmp_path / "data", settings) as worker:
        worker.done(102, UPDATE)
        for command, params in ((201, ORDER), (101, [1]), (206, DEPTH), (307, []), (204, [1, "BTCUSD", 9])):
            worker.hold(command, params)
            worker.pipeline.turn()
            (body,) = worker.receiver.take()
            assert body.decode() == json.dumps(json.loads(body), indent=4, ensure_ascii=False)
