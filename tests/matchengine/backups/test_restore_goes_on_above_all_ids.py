"""A restored exchange serves the backup's state with ids that nobody has seen, and says what was given up."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from matchengine import system
from matchengine.given_up_topics import Topics
from matchengine.tools import restored_lines
from tests.matchengine.backups.exchanges import LATER_US, SMALL, balances, exchange, put_back, take
from tests.matchengine.journal.journals import flip, segments_of
from tests.matchengine.recorder_process.recording import (
    SETTINGS,
    content,
    history_of,
    record_all,
    same,
    trade,
    undisturbed,
)
from tests.support.hand_worker import BEGIN_US, HandWorker, audit
from vxnet.clock import ManualClock
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit
from vxutils.process import DirectoryLock
from vxutils.store.embedded.schema import HistoryBase, HistoryPosition
from vxutils.store.kafka.floor import FLOOR_FILE, Floor, GivenUpPast, TopicMark, read_floor, write_floor

ORDER = [1, "BTCUSD", 1, "0.5", "500", "0.002", "0.001", "t"]


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """Of the directory `data`, which goes on afterwards."""
    exchange(tmp_path / "data")
    take(tmp_path / "data", tmp_path / "backup")
    exchange(tmp_path / "data", seed=2)
    return tmp_path / "backup"


def test_ids_jump_and_everything_follows(backup: Path, tmp_path: Path) -> None:
    """Engine, replay, slice and history: no id twice, no row lost or doubled."""
    old, new = tmp_path / "data", tmp_path / "new"
    last = audit(old)
    done = put_back(backup, new, replaces=old)
    assert (done.order_id, done.deal_id, done.operation_id) == (
        last.last_order_id + SMALL,
        last.last_deal_id + SMALL,
        last.operation_id + SMALL,
    )
    assert done.sequence == done.backup_sequence + 1
    assert balances(new, done.backup_sequence) == balances(old, done.backup_sequence)
    assert audit(new).operation_id == done.operation_id
    with HandWorker(new, SETTINGS, ManualClock(LATER_US)) as worker:
        assert worker.done(201, ORDER)["id"] == done.order_id + 1
        trade(worker, 20, 3)
    found = audit(new)
    assert found.last_deal_id > done.deal_id
    assert system.read_system(Disk(), new).last_epoch == done.epoch + 1 > done.epoch

    before = content(history_of(new))
    record_all(new, history_of(new))
    after = content(history_of(new))
    same(after, undisturbed(new, tmp_path))
    for table in ("operlog", "balance_history", "deal_history"):
        assert after[table][: len(before[table])] == before[table]
    ids = [int(str(row[0])) for row in after["operlog"]]
    assert ids == sorted(set(ids))
    assert ids[len(before["operlog"])] == done.operation_id + 1


def test_what_was_given_up_is_told(backup: Path, tmp_path: Path) -> None:
    old = tmp_path / "data"
    done = put_back(backup, tmp_path / "new", replaces=old)
    lost = done.given_up
    assert lost is not None
    first, last = done.backup_sequence, audit(old)
    assert (lost.records, lost.last_sequence, lost.known_sequence) == (
        last.sequence - first,
        last.sequence,
        last.sequence,
    )
    assert sum(lost.commands.values()) == lost.records
    assert lost.commands["limit orders"] and lost.commands["balance updates"]
    assert 0 < lost.deals <= last.last_deal_id
    assert 0 < lost.first_us <= lost.last_us
    assert lost.problems == []
    lines = restored_lines(done)
    assert f"given up: {lost.records} records up to sequence {last.sequence}, from 20" in lines[2]
    assert f"{lost.deals} deals" in lines[3]

    take(old, tmp_path / "current")
    again = put_back(tmp_path / "current", tmp_path / "newer", replaces=old)
    assert "nothing was given up" in restored_lines(again)[-1]
    alone = put_back(backup, tmp_path / "alone")
    assert alone.given_up is None
    assert "is not known" in restored_lines(alone)[-1]


def test_an_original_that_can_not_be_read_on(backup: Path, tmp_path: Path) -> None:
    """Slices and history still tell how high its ids have come."""
    old = tmp_path / "data"
    last = audit(old)
    flip(segments_of(old / "journal")[-1].path, 4096 + 100)
    done = put_back(backup, tmp_path / "new", replaces=old)
    assert done.given_up is not None
    assert done.given_up.known_sequence == last.sequence > done.given_up.last_sequence
    assert "an invalid frame" in done.given_up.problems[0]
    assert done.order_id == last.last_order_id + SMALL
    assert any("not readable: sequences" in line for line in restored_lines(done))

    shutil.rmtree(old / "slices")
    (old / "SYSTEM").write_text("{}")
    done = put_back(backup, tmp_path / "second", replaces=old)
    assert done.deal_id == last.last_deal_id + SMALL
    assert done.operation_id == last.operation_id + SMALL
    assert len(restored_lines(done)) > 4


def test_epochs_go_far_above(backup: Path, tmp_path: Path) -> None:
    old = system.read_system(Disk(), tmp_path / "data").last_epoch
    done = put_back(backup, tmp_path / "new", replaces=tmp_path / "data")
    assert done.epoch == old + system.ADOPTED_EPOCHS
    with HandWorker(tmp_path / "data", SETTINGS) as worker:
        assert worker.worker.identity.last_epoch < done.epoch, "the original, were it started again"


# -- refusals ----------------------------------------------------------------------------------


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 10)


def edited(path: Path) -> None:
    path.write_text(path.read_text().replace('"sequence": ', '"sequence": 1'))


def outside(path: Path) -> None:
    path.write_text(path.read_text().replace('"SYSTEM"', '"../SYSTEM"'))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "interrupted": (lambda backup: (backup / "BACKUP").unlink(), "not a whole backup"),
    "manifest cut": (lambda backup: cut(backup / "BACKUP"), "BACKUP is damaged"),
    "manifest edited": (lambda backup: edited(backup / "BACKUP"), "its checksum is wrong"),
    "leads outside": (lambda backup: outside(backup / "BACKUP"), "its checksum is wrong"),
    "segment changed": (
        lambda backup: flip(segments_of(backup / "journal")[0].path, 5000),
        "has changed: its hash",
    ),
    "segment cut": (lambda backup: cut(segments_of(backup / "journal")[0].path), "bytes, it had"),
    "history missing": (lambda backup: (backup / "history.db").unlink(), "history.db is missing"),
    "slice missing": (lambda backup: next((backup / "slices").glob("*.slice")).unlink(), "slice is missing"),
    "system changed": (lambda backup: flip(backup / "SYSTEM", 30), "SYSTEM has changed"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_backup_is_refused(backup: Path, tmp_path: Path, case: str) -> None:
    damage, sentence = BROKEN[case]
    damage(backup)
    with pytest.raises(ProcessExit, match=sentence) as refusal:
        put_back(backup, tmp_path / "new")
    assert refusal.value.code == ExitCode.JOURNAL_DAMAGED
    assert not (tmp_path / "new").exists(), "nothing is made for it"


def test_directories_that_are_not_meant(backup: Path, tmp_path: Path) -> None:
    with pytest.raises(ProcessExit, match="is a data directory in use"):
        put_back(backup, tmp_path / "data")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(ProcessExit, match="is not empty"):
        put_back(backup, tmp_path / "full")
    with HandWorker(tmp_path / "other", SETTINGS):
        pass
    with pytest.raises(ProcessExit, match="it is not its original"):
        put_back(backup, tmp_path / "new", replaces=tmp_path / "other")
    with pytest.raises(ProcessExit, match="is not a data directory"):
        put_back(backup, tmp_path / "new", replaces=tmp_path / "full")
    with (
        DirectoryLock(tmp_path / "data"),
        pytest.raises(ProcessExit, match="the original still runs") as refusal,
    ):
        put_back(backup, tmp_path / "new", replaces=tmp_path / "data")
    assert refusal.value.code == ExitCode.ALREADY_RUNNING
    assert not (tmp_path / "new").exists()
    put_back(backup, tmp_path / "new", replaces=tmp_path / "data")


def test_an_interrupted_restore_is_no_exchange(backup: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    with pytest.raises(OSError, match="pulled out"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "restore_system", _pulled_out)
        put_back(backup, new)
    with pytest.raises(system.SystemMissing), HandWorker(new, SETTINGS):
        pass
    with pytest.raises(ProcessExit, match="not empty"):
        put_back(backup, new)


def _pulled_out(*_: object) -> None:
    raise OSError("the disk was pulled out")


def sent_to(data: Path, sequence: int) -> None:
    """As the recorder leaves it in a directory whose messages go to Kafka."""
    system_id = system.read_copied_system(Disk(), data).system_id
    position = HistoryPosition(sequence, 1, BEGIN_US, b"12345678")
    marks = {"deals": TopicMark(end=7, offset=6, epoch=1, sequence=sequence)}
    write_floor(Disk(), data, Floor(system=system_id, base=HistoryBase(), position=position, topics=marks))


def test_topics_are_gone_on_with_and_what_was_sent_is_told(tmp_path: Path) -> None:
    old = tmp_path / "data"
    exchange(old)
    sent_to(old, 40)
    manifest = take(old, tmp_path / "backup")
    assert FLOOR_FILE in [file.name for file in manifest.files]
    exchange(old, seed=2)
    sent_to(old, manifest.sequence + 30)
    done = put_back(tmp_path / "backup", tmp_path / "new", replaces=old)
    assert done.topics == Topics(40, manifest.sequence, manifest.sequence + 30)
    floor = read_floor(Disk(), tmp_path / "new", done.system_id)
    assert floor is not None
    assert floor.given_up == GivenUpPast(done.epoch - 1, manifest.sequence)
    assert (floor.position.sequence, floor.topics["deals"].end) == (40, 7)
    told = "\n".join(restored_lines(done))
    assert "messages to Kafka go on after sequence 40" in told
    assert f"messages after sequence {manifest.sequence} to {manifest.sequence + 30}; they stay" in told


def test_a_backup_that_does_not_know_the_topics_says_what_will_happen(backup: Path, tmp_path: Path) -> None:
    sent_to(tmp_path / "data", 50)
    done = put_back(backup, tmp_path / "new", replaces=tmp_path / "data")
    assert "refuse to start until the topics are deleted" in "\n".join(restored_lines(done))
    assert put_back(backup, tmp_path / "other").topics is None


def test_a_position_past_the_journal_is_no_backup(tmp_path: Path) -> None:
    exchange(tmp_path / "data")
    sent_to(tmp_path / "data", 10**9)
    take(tmp_path / "data", tmp_path / "backup")
    with pytest.raises(ProcessExit, match="past its journal") as raised:
        put_back(tmp_path / "backup", tmp_path / "new")
    assert raised.value.code == ExitCode.JOURNAL_DAMAGED
