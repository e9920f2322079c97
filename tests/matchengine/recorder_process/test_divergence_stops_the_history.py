"""A record that can not be proven: the history ends before its frame, and the diff names the account."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from matchengine import recovery
from matchengine.__main__ import main
from matchengine.divergence import ENGINE, RECORDER, DivergenceWatch, dump_directory, write_dump
from matchengine.recorder.lag import RecorderState
from matchengine.recorder.replica import Replica
from matchengine.slices import list_slices
from tests.matchengine.recorder_process.recording import SETTINGS, place_of, trade
from tests.support.hand_worker import HandWorker, audit
from vxutils.disk import Disk
from vxutils.exits import ExitCode
from vxutils.store.embedded.schema import HistoryPosition

FLIPPED = 1 << 40


def mark(worker: HandWorker) -> None:
    worker.pipeline.keep_time()
    worker.pipeline.mark()
    worker.pipeline.commit()


def go_wrong(worker: HandWorker) -> tuple[int, int]:
    """User 3's BTC are flipped in memory, then touched by an order whose outcome does not show it.

    (sequence of that record, sequence of the mark after it)
    """
    worker.engine.assets["BTC"].available[3] ^= FLIPPED
    worker.done(201, [3, "BTCUSD", 1, "0.01", "999", "0", "0", "flipped"])
    touched = worker.worker.position.sequence
    worker.done(102, [1, "BTC", "deposit", 77, "0.1", {}])
    mark(worker)
    return touched, worker.worker.position.sequence


def follow(replica: Replica) -> None:
    while replica.advance(1 << 20):
        pass


def diff(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code = main(["diff", *map(str, words)])
    return code, capsys.readouterr().out


def test_marks_are_no_operations(tmp_path: Path) -> None:
    with HandWorker(tmp_path / "data", SETTINGS) as worker:
        before = worker.worker.position.sequence
        mark(worker)
        assert worker.worker.position.sequence == before, "nothing came, so there is nothing to prove"
        worker.done(102, [1, "BTC", "deposit", 1, "5", {}])
        for _ in range(3):
            mark(worker)
        assert worker.worker.position.sequence == before + 2
        assert worker.worker.position.operation_id == 1
        replica = Replica(Disk(), place_of(worker.data), HistoryPosition())
        follow(replica)
        batch = replica.take()
        assert (len(batch.operlog), batch.position.sequence) == (1, before + 2)
        replica.close()


def test_the_history_ends_before_the_frame_and_the_diff_names_the_account(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    disk = Disk()
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 5, seed=1)
        mark(worker)
        proven = worker.worker.position.sequence
        trade(worker, 5, seed=2)
        mark(worker)
        touched, marked = go_wrong(worker)
        worker.done(204, [2, "BTCUSD", next(iter(worker.engine.markets["BTCUSD"].users[2]))])
        mark(worker)
        trade(worker, 2, seed=4)
        end = worker.worker.position.sequence
        write_dump(
            disk, dump_directory(data, ENGINE), worker.worker.identity, worker.engine, worker.worker.position
        )
        trade(worker, 2, seed=5)

        replica = Replica(disk, place_of(data), HistoryPosition())
        follow(replica)
        assert replica.divergence is not None
        assert replica.divergence.sequence == marked
        assert f"mark at record {marked} (segment 1, offset" in str(replica.divergence)
        batch = replica.take()
        assert proven < batch.position.sequence == marked - 1
        assert {row[1] for row in batch.operlog} <= set(range(marked))
        assert not replica.has_news
        assert replica.advance(1 << 20) == 0
        assert replica.unproven is not None
        while not replica.unproven.advance(1, end):
            pass
        assert replica.unproven.position.sequence == end
        unproven = replica.unproven
        write_dump(
            disk, dump_directory(data, RECORDER), worker.worker.identity, unproven.engine, unproven.position
        )
        replica.close()

        code, text = diff(capsys, "--data-dir", data)
        assert code == ExitCode.FAILURE
        assert "1 accounts, 0 open orders" in text
        assert f"can not prove record {marked}" in text
        assert "the replay leads to the state of: recorder" in text
        code, text = diff(capsys, "--data-dir", data, "--json")
        found = json.loads(text)
        (account,) = found["compared"]["accounts"]
        assert (account["user"], account["asset"]) == (3, "BTC")
        here, there = (round(float(text) * 10**12) for text in account["available"])
        assert abs(here - there) == FLIPPED
        assert found["replayed"]["first"]["command"] == "Mark"
        assert found["replayed"]["touched"]["sequence"] == touched
        assert "flipped" in found["replayed"]["touched"]["params"]
        assert found["agrees_with"] == ["recorder"]
        worker.crash()
    with pytest.raises(recovery.ReplayDiffers, match="vx diff"), HandWorker(data, SETTINGS):
        pass


def test_what_is_proven_can_be_cut_out_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/operations.md says."""
    data, cut = tmp_path / "data", tmp_path / "cut"
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 5, seed=1)
        mark(worker)
        go_wrong(worker)
        trade(worker, 20, seed=2)
        worker.crash()
    _, text = diff(capsys, "--data-dir", data, "--json")
    first = json.loads(text)["replayed"]["first"]
    shutil.copytree(data, cut)
    assert main(["adopt", "--data-dir", str(cut)]) == ExitCode.OK
    for path in sorted((cut / "journal").glob("*.journal")):
        number = int(path.name.partition("-")[0])
        if number == first["segment"]:
            os.truncate(path, first["offset"])
        elif number > first["segment"]:
            path.unlink()
    (cut / "journal" / "DURABLE").unlink()
    assert audit(cut).sequence == first["sequence"] - 1
    with HandWorker(cut, SETTINGS) as worker:
        trade(worker, 2, seed=3)
        mark(worker)
    audit(cut)


def test_half_a_frame_is_not_recorded(tmp_path: Path) -> None:
    """The wrong record is the second of three in one frame."""
    with HandWorker(tmp_path / "data", SETTINGS) as worker:
        worker.done(102, [3, "BTC", "deposit", 1, "1", {}])
        proven = worker.worker.position.sequence
        worker.engine.assets["BTC"].available[3] += 1
        for number in (2, 3, 4):
            worker.hold(102, [3 if number == 3 else 1, "BTC", "deposit", number, "1", {}])
        worker.turn()
        replica = Replica(Disk(), place_of(worker.data), HistoryPosition())
        follow(replica)
        assert replica.divergence is not None
        assert replica.divergence.sequence == proven + 2
        batch = replica.take()
        assert batch.position.sequence == proven
        assert [row[0] for row in batch.operlog] == [1]
        assert len(batch.messages) == len(batch.balances) == 1
        assert replica.unproven is not None
        assert replica.unproven.advance(1 << 20, proven + 3)
        assert replica.unproven.engine.assets["BTC"].available == {1: 2 * 10**12, 3: 2 * 10**12}
        replica.close()
        worker.crash()


def test_a_journal_without_differences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 4, seed=1)
        mark(worker)
        code, text = diff(capsys, "--data-dir", data)
        assert (code, "proves every record" in text) == (ExitCode.OK, True)
    (only,) = list_slices(Disk(), data / "slices")
    code, text = diff(capsys, only.path, only.path, "--data-dir", tmp_path / "none")
    assert (code, "no account, no order and no counter differs" in text) == (ExitCode.OK, True)
    assert main(["diff", str(only.path), "--data-dir", str(data)]) == ExitCode.USAGE


def test_orders_and_counters_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 4, seed=1)
        worker.done(102, [9, "BTC", "deposit", 1, "5", {}])
        order = worker.done(201, [9, "BTCUSD", 1, "0.5", "999", "0", "0", ""])["id"]
        places = dump_directory(data, ENGINE), dump_directory(data, RECORDER)
        for place in places:
            write_dump(Disk(), place, worker.worker.identity, worker.engine, worker.worker.position)
            worker.engine.markets["BTCUSD"].orders[order].left -= 1000
            worker.engine.last_deal_id += 5
            worker.engine.assets["USD"].fees += 1
        paths = [list_slices(Disk(), place)[0].path for place in places]
        code, text = diff(capsys, *paths, "--data-dir", tmp_path / "none")
        assert code == ExitCode.FAILURE
        assert f"  order {order}, BTCUSD: left 0.5 / 0.4" in text
        assert "  last deal id: " in text
        assert "  fees of USD: " in text
        worker.crash()


@pytest.mark.parametrize("halts", [True, False])
def test_the_engine_halts_until_the_record_is_proven(halts: bool) -> None:
    def state(sequence: int, diverged_at: int) -> RecorderState:
        return RecorderState(
            sequence=sequence,
            time_us=1,
            durable_sequence=sequence,
            lag_bytes=0,
            is_lag_too_high=False,
            is_troubled=False,
            published_us=1,
            diverged_at=diverged_at,
        )

    dumps: list[int] = []
    watch = DivergenceWatch(halts, lambda: dumps.append(1))
    steps = [  # what the recorder says, whether they differ then, dumps so far
        (None, False, 0),
        (state(10, 0), False, 0),
        (state(10, 12), True, 1),
        (state(10, 12), True, 1),
        (None, True, 1),
        (state(10, 0), True, 1),  # started again, not there yet
        (state(12, 0), False, 1),
        (state(12, 15), True, 2),
    ]
    for said, differs, count in steps:
        watch.look(said)
        assert bool(watch.diverged_at) == differs
        assert bool(watch.reason) == (differs and halts)
        assert len(dumps) == count
