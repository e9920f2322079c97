"""From any position, with or without slices: the same rows; a history of another past is refused."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from matchengine import recovery
from matchengine.journal import format as layout
from matchengine.journal.archive import archive_segment
from matchengine.journal.follower import PATIENCE_S
from matchengine.recorder import keep
from matchengine.recorder.replica import HistoryAhead, Replica
from matchengine.system import read_system
from tests.matchengine.journal.journals import segments_of
from tests.matchengine.recorder_process.recording import (
    SETTINGS,
    content,
    history_of,
    place_of,
    record_all,
    same,
    trade,
    undisturbed,
)
from tests.support.hand_worker import HandWorker
from vxutils.disk import Disk
from vxutils.store.embedded.schema import HistoryPosition
from vxutils.store.embedded.writer import open_history


def test_an_hour_of_starts_gives_the_rows_of_one_pass(tmp_path: Path) -> None:
    data = tmp_path / "data"
    chance = random.Random(3)
    for life in range(8):
        with HandWorker(data, SETTINGS) as worker:
            trade(worker, 12, seed=life + 1)
            if life % 3 == 2:
                keep.make_slice(Disk(), data, data / "journal", read_system(Disk(), data))
            if chance.random() < 0.6:
                end = worker.worker.position.sequence
                record_all(data, history_of(data), stop_at=chance.randrange(1, end))
            if life % 2:
                worker.crash()
    record_all(data, history_of(data))
    found = content(history_of(data))
    same(found, undisturbed(data, tmp_path))
    assert len(found["operlog"]) > 300
    assert len(found["deal_history"]) > 100
    assert [row[0] for row in found["operlog"]] == list(range(1, len(found["operlog"]) + 1))


def test_slices_save_the_way(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 10, 1)
    record_all(data, history_of(data))
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 10, 2)
        worker.crash()
    replica = Replica(
        Disk(), place_of(data), open_history(history_of(data), place_of(data).system_id).position
    )
    assert replica.slice_sequence == replica.position.sequence > 10
    assert replica.is_caught_up
    assert replica.advance(1 << 30) > 10
    replica.close()


def test_a_batch_is_of_one_epoch(tmp_path: Path) -> None:
    """However late it is taken; nothing is left out in between."""
    data = tmp_path / "data"
    ends = []
    for seed in (1, 2, 3):
        with HandWorker(data, SETTINGS) as worker:
            trade(worker, 4, seed)
            ends.append(worker.worker.position.sequence)
            worker.crash()
    replica = Replica(Disk(), place_of(data), HistoryPosition())
    found = []
    for epoch, end in enumerate(ends, start=1):
        while replica.advance(1 << 30):
            pass
        batch = replica.take()
        found.append((batch.after_sequence, batch.position.sequence, batch.position.epoch))
        assert (batch.position.epoch, replica.has_news) == (epoch, False)
        assert batch.position.sequence >= end
        assert {sequence for _, sequence, _, _ in batch.messages} <= set(
            range(batch.after_sequence + 1, batch.position.sequence + 1)
        )
    assert [after for after, _, _ in found] == [0, *(through for _, through, _ in found[:-1])]
    assert replica.has_executed_all
    replica.close()


def test_a_history_ahead_of_the_journal_is_refused(tmp_path: Path) -> None:
    """The journal was put back from an older copy."""
    data = tmp_path / "data"
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 3, 1)
        worker.crash()
    older = tmp_path / "older"
    shutil.copytree(data / "journal", older)
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 3, 2)
        worker.crash()
    record_all(data, history_of(data))
    shutil.rmtree(data / "journal")
    shutil.copytree(older, data / "journal")
    position = open_history(history_of(data), place_of(data).system_id).position
    replica = Replica(Disk(), place_of(data), position)
    replica.advance(1 << 30)
    replica.follower._missing_since = -PATIENCE_S
    with pytest.raises(HistoryAhead, match=f"the history is at sequence {position.sequence}, ahead"):
        replica.advance(1 << 30)
    replica.close()


def test_a_history_of_another_past_is_refused(tmp_path: Path) -> None:
    """Both have a record of that number; their outcomes differ."""
    data = tmp_path / "data"
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 5, 1)
        worker.crash()
    record_all(data, history_of(data))
    position = open_history(history_of(data), place_of(data).system_id).position
    other = HistoryPosition(position.sequence, position.epoch, position.time_us, b"otherway")
    replica = Replica(Disk(), place_of(data), other)
    with pytest.raises(HistoryAhead, match="not one of this journal"):
        replica.advance(1 << 30)
    replica.close()
    between = HistoryPosition(position.sequence - 1, position.epoch, position.time_us, position.digest)
    replica = Replica(Disk(), place_of(data), between)
    with pytest.raises(HistoryAhead, match="not one of this journal"):
        replica.advance(1 << 30)
    replica.close()


def test_after_a_loss_of_power_it_is_not_ahead(tmp_path: Path) -> None:
    """DURABLE says too little; the journal has it all."""
    data = tmp_path / "data"
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 5, 1)
        before = worker.worker.position.sequence
        worker.worker.journal._durable.sequence = before
        record_all(data, history_of(data))
        worker.worker.journal._durable.sequence = 3
        assert record_all(data, history_of(data)).sequence == before
        worker.crash()


def test_the_archive_is_as_good_as_the_journal(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 200, 1)
    expected = undisturbed(data, tmp_path)
    segments = segments_of(data / "journal")
    assert len(segments) >= 3
    for segment in segments[:-1]:
        archive_segment(Disk(), segment, data / "archive")
    same(undisturbed(data, tmp_path), expected)
    with pytest.raises(layout.JournalMissing):
        (data / "archive").rename(data / "away")
        shutil.rmtree(data / recovery.SLICES_DIRECTORY)
        undisturbed(data, tmp_path)
