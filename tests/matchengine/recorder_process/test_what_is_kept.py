"""Slices and segments: what somebody may still need stays, the rest goes to the archive, and from there on
request only.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from matchengine import offline, slices
from matchengine.journal.archive import list_archived
from matchengine.recorder import keep
from matchengine.recorder.keep import Keeper, old_segments, prune, read_base, tidy
from matchengine.slices import SliceError, declare_needed, list_slices, needed, remove_older
from matchengine.system import read_system
from tests.matchengine.journal.journals import segments_of
from tests.matchengine.recorder_process.following import ByHand
from tests.matchengine.recorder_process.recording import (
    SETTINGS,
    content,
    history_of,
    record_all,
    same,
    trade,
    undisturbed,
)
from tests.support.hand_worker import HandWorker, audit
from vxutils.disk import Disk
from vxutils.exits import ProcessExit
from vxutils.store.embedded.schema import HistoryBase


def sequences_of(data: Path) -> list[int]:
    return [file.sequence for file in list_slices(Disk(), data / "slices")]


def slice_now(data: Path) -> int:
    made = keep.make_slice(Disk(), data, data / "journal", read_system(Disk(), data))
    assert made is not None
    assert made.path.parent == data / "slices"
    return made.header.sequence


# -- which slices stay -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ([], [40, 50]),
        ([45], [40, 50]),
        ([39], [30, 40, 50]),
        ([20], [20, 40, 50]),
        ([10, 30], [10, 30, 40, 50]),
        ([5], [40, 50]),
        ([0, 99], [40, 50]),
    ],
)
def test_needed_slices_stay(tmp_path: Path, wanted: list[int], left: list[int]) -> None:
    for sequence in (10, 20, 30, 40, 50):
        (tmp_path / slices.slice_name(sequence)).touch()
    declare_needed(Disk(), tmp_path, wanted)
    assert needed(Disk(), tmp_path) == wanted
    remove_older(Disk(), tmp_path)
    assert [file.sequence for file in list_slices(Disk(), tmp_path)] == left


def test_when_it_is_not_known_what_is_needed_all_stay(tmp_path: Path) -> None:
    for sequence in (10, 20, 30):
        (tmp_path / slices.slice_name(sequence)).touch()
    (tmp_path / slices.NEEDED_FILE).write_text("something else")
    with pytest.raises(SliceError, match="no slice is removed"):
        remove_older(Disk(), tmp_path)
    assert len(list_slices(Disk(), tmp_path)) == 3


def test_an_unfinished_slice_of_the_engine_is_not_ours_to_remove(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 3, 1)
        slice_now(data)
        unfinished = data / "slices" / (slices.slice_name(99) + ".writing")
        unfinished.touch()
        tidy(Disk(), data, data / "journal", 5, want_slice=False, want_archive=True)
        assert unfinished.exists()


# -- when the helper works ---------------------------------------------------------------------


class Remembering:
    """A runner that only says what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.is_running = False

    def poll(self) -> bool:
        return self.is_running

    def start(self, words: list[str]) -> bool:
        self.asked.append(words)
        return True

    def take(self) -> list[list[str]]:
        asked, self.asked = self.asked, []
        return asked


def test_slices_come_by_records_and_by_time(tmp_path: Path) -> None:
    directory = tmp_path / "slices"
    directory.mkdir()
    clock, runner = ByHand(), Remembering()
    keeper = Keeper(Disk(), tmp_path, runner, slice_records=100, slice_s=60.0, monotonic=clock)
    keeper.tick(5)
    assert runner.take() == [["--sequence", "5"]]  # once at the start: something may be left to do
    keeper.tick(99)
    assert runner.take() == []
    keeper.tick(100)
    assert runner.take() == [["--sequence", "100", "--slice"]]
    runner.is_running = True
    keeper.tick(150)
    assert runner.take() == []
    runner.is_running = False
    (directory / slices.slice_name(102)).touch()
    keeper.tick(150)
    assert runner.take() == [["--sequence", "150"]]  # a new slice: older ones and segments may go
    clock.seconds = 59.0
    keeper.tick(160)
    assert runner.take() == []
    clock.seconds = 61.0
    keeper.tick(160)
    assert runner.take() == [["--sequence", "160", "--slice"]]
    keeper.tick(160)
    assert runner.take() == []


def test_nothing_new_no_slice_by_time(tmp_path: Path) -> None:
    (tmp_path / "slices").mkdir()
    (tmp_path / "slices" / slices.slice_name(50)).touch()
    clock, runner = ByHand(), Remembering()
    keeper = Keeper(Disk(), tmp_path, runner, slice_records=100, slice_s=60.0, monotonic=clock)
    keeper.tick(50)
    runner.take()
    clock.seconds = 1000.0
    keeper.tick(50)
    assert runner.take() == []
    assert needed(Disk(), tmp_path / "slices") == [0, 50]


# -- which segments go -------------------------------------------------------------------------


def busy_directory(tmp_path: Path) -> tuple[Path, int]:
    """Six segments or more, a slice in the middle and two at the end, a history; where it ends."""
    data = tmp_path / "data"
    with HandWorker(data, SETTINGS) as worker:
        for seed in range(1, 7):
            trade(worker, 80, seed)
            sequence = slice_now(data)
            if seed == 3:
                declare_needed(Disk(), data / "slices", [sequence])
        trade(worker, 80, 7)
    assert len(segments_of(data / "journal")) >= 6
    return data, record_all(data, history_of(data)).sequence


def test_segments_go_when_nobody_starts_before_them(tmp_path: Path) -> None:
    data, end = busy_directory(tmp_path)
    expected = undisturbed(data, tmp_path)
    journal = data / "journal"
    files = sequences_of(data)
    assert old_segments(Disk(), data, journal, 0) == []
    for sequence in (files[0], end):
        old = old_segments(Disk(), data, journal, sequence)
        after = segments_of(journal)[len(old)]
        second_newest = sequences_of(data)[-2]
        assert old
        assert after.first_sequence - 1 <= min(sequence, second_newest)
        tidy(Disk(), data, journal, sequence, want_slice=False, want_archive=True)
        assert segments_of(journal)[0] == after
        assert [file.number for file in list_archived(Disk(), data / "archive")] == list(
            range(1, after.number)
        )
        declare_needed(Disk(), data / "slices", [sequence])
        audit(data)  # replays from the first record, out of the archive
        same(undisturbed(data, tmp_path), expected)
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 3, 8)


def test_the_archive_can_be_switched_off(tmp_path: Path) -> None:
    data, end = busy_directory(tmp_path)
    before = segments_of(data / "journal")
    tidy(Disk(), data, data / "journal", end, want_slice=True, want_archive=False)
    assert segments_of(data / "journal") == before
    assert len(sequences_of(data)) == 3


def test_all_slices_damaged_the_archive_saves_the_start(tmp_path: Path) -> None:
    data, end = busy_directory(tmp_path)
    tidy(Disk(), data, data / "journal", end, want_slice=False, want_archive=True)
    for file in list_slices(Disk(), data / "slices"):
        file.path.write_bytes(b"nothing")
    with HandWorker(data, SETTINGS) as worker:
        assert worker.worker.recovered.slice_sequence == 0
        assert worker.worker.position.sequence == end
        assert len(worker.worker.recovered.warnings) == 3


# -- pruning -----------------------------------------------------------------------------------


def test_history_is_made_again_from_the_base(tmp_path: Path) -> None:
    """Ids, offsets, everything after the base as before."""
    data, end = busy_directory(tmp_path)
    journal = data / "journal"
    tidy(Disk(), data, journal, end, want_slice=False, want_archive=True)
    assert read_base(Disk(), data) == HistoryBase()
    whole = content(history_of(data))
    archived = len(list_archived(Disk(), data / "archive"))
    sentence = prune(Disk(), data, journal)
    assert f"removed {archived} archived segments, sequences 1 to " in sentence
    assert list_archived(Disk(), data / "archive") == []
    base = read_base(Disk(), data)
    assert 0 < base.sequence <= end
    assert f"up to sequence {base.sequence} can not be made again" in sentence
    assert base.sequence in sequences_of(data)

    with HandWorker(data, SETTINGS) as worker:
        for seed in range(8, 11):
            trade(worker, 10, seed)
            slice_now(data)
        tidy(Disk(), data, journal, end, want_slice=False, want_archive=True)
    assert base.sequence in sequences_of(data), "the slice at the base stays"
    record_all(data, history_of(data))
    after = content(history_of(data))
    assert len(after["operlog"]) > len(whole["operlog"])

    again = tmp_path / "again.db"
    record_all(data, again, base)
    found = content(again)
    column = {"operlog": 1, "balance_history": 1, "order_history": 1, "deal_history": 1, "messages": 2}
    for table, number in column.items():
        rows = [row for row in after[table] if row[number] > base.sequence]  # type: ignore[operator]
        assert rows
        assert found[table] == rows, table
    assert found["position"] == after["position"]
    assert found["topics"] == after["topics"]


def test_nothing_is_pruned_that_is_needed(tmp_path: Path) -> None:
    data, end = busy_directory(tmp_path)
    journal = data / "journal"
    assert "nothing to remove" in prune(Disk(), data, journal)
    tidy(Disk(), data, journal, end, want_slice=False, want_archive=True)
    archived = list_archived(Disk(), data / "archive")
    history_of(data).rename(tmp_path / "history")
    with pytest.raises(ProcessExit, match=r"not there yet.*Nothing was removed"):
        prune(Disk(), data, journal)
    (tmp_path / "history").rename(history_of(data))
    shutil.rmtree(data / "slices")
    with pytest.raises(ProcessExit, match=r"(?s)no good slice.*Nothing was removed"):
        prune(Disk(), data, journal)
    assert list_archived(Disk(), data / "archive") == archived


def test_an_engine_without_recorder_keeps_its_two(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with HandWorker(data, SETTINGS) as worker:
        for seed in range(1, 5):
            trade(worker, 3, seed)
            offline.make_slice(Disk(), data, data / "journal")
    assert len(sequences_of(data)) == 2
