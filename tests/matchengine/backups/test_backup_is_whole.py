"""A backup agrees with itself whenever it is taken, and a directory that is none is known as such."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from matchengine import backup as backups
from matchengine import extent, slices, system
from matchengine.journal.archive import archive_segment
from matchengine.journal.format import JournalError
from matchengine.manifest import MANIFEST_FILE, read_manifest
from matchengine.recorder.keep import prune
from tests.matchengine.backups.exchanges import LATER_US, exchange, put_back, take, with_archive
from tests.matchengine.journal.journals import flip, segments_of
from tests.matchengine.recorder_process.recording import SETTINGS, history_of, record_all, trade
from tests.support.hand_worker import HandWorker
from vxnet.clock import ManualClock
from vxutils.disk import Disk
from vxutils.exits import ProcessExit


def test_while_the_engine_runs(tmp_path: Path) -> None:
    """The segment in use is cut; what the engine does afterwards is not in the copy."""
    data, target = tmp_path / "data", tmp_path / "backup"
    config = tmp_path / "matchengine.toml"
    config.write_text("# mine\n")
    config.chmod(0o600)
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 20, 1)
        record_all(data, history_of(data))
        before = worker.worker.position.sequence
        manifest = take(data, target, config)
        trade(worker, 5, 2)
        again = take(data, tmp_path / "second")
    assert (manifest.sequence, manifest.history_sequence) == (before, before)
    assert again.sequence > before == again.history_sequence
    assert manifest.time_us < again.time_us < manifest.created_us == LATER_US
    assert read_manifest(Disk(), target) == manifest
    kept = target / "config" / config.name
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == ("# mine\n", 0o600)
    names = {file.name for file in manifest.files}
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert found == names | {MANIFEST_FILE}


def test_a_record_that_is_not_durable_yet_is_not_in_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    exchange(data)
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 3, 7)
        durable = worker.worker.position.sequence
        trade(worker, 3, 8)
        worker.worker.journal._durable.sequence = durable
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(extent, "DirectoryLock", _held)
            assert take(data, tmp_path / "backup").sequence == durable
        worker.crash()


def _held(directory: Path) -> None:
    raise OSError(f"{directory} is locked")


def test_offline_it_ends_where_the_journal_ends(tmp_path: Path) -> None:
    """After a loss of power DURABLE is too low; what the next start would find counts."""
    data = tmp_path / "data"
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, 20, 1)
        end = worker.worker.position.sequence
        worker.worker.journal._durable.sequence = end - 10
        worker.crash()
    assert take(data, tmp_path / "backup").sequence == end


def test_with_an_archive_and_after_a_prune(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with_archive(data)
    first = take(data, tmp_path / "first")
    assert any(file.name.startswith("archive/") for file in first.files)
    prune(Disk(), data, data / "journal")
    second = take(data, tmp_path / "second")
    assert (second.state_hash, second.sequence) == (first.state_hash, first.sequence)
    assert "archive/BASE" in {file.name for file in second.files}
    put_back(tmp_path / "second", tmp_path / "new")


def test_a_segment_that_moves_to_the_archive_meanwhile(tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "backup"
    exchange(data)
    exchange(data, seed=2)
    moved = segments_of(data / "journal")[0]
    backups.backup(
        Archiving(data),
        ManualClock(LATER_US),
        data,
        data / "journal",
        target,
        [],
        lambda text: None,
        lambda: None,
    )
    assert not moved.path.exists()
    assert (target / "archive" / f"{moved.path.name}.gz").exists()
    assert put_back(target, tmp_path / "new").backup_sequence > moved.first_sequence


class Archiving(Disk):
    """Archives the oldest segment when the archive is listed, which is after the journal was."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def names(self, path: Path) -> list[str]:
        try:
            return super().names(path)
        except FileNotFoundError:
            if path == self._data / "archive":
                archive_segment(Disk(), segments_of(self._data / "journal")[0], path)
            raise


def test_the_history_is_copied_while_it_is_written(tmp_path: Path) -> None:
    """One moment of it, with what stands in the log beside it; no second file is left."""
    data = tmp_path / "data"
    exchange(data)
    with sqlite3.connect(history_of(data), isolation_level=None) as other:
        other.execute("PRAGMA wal_autocheckpoint = 0")
        other.execute("CREATE TABLE scratch (x)")
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO scratch VALUES (1)")
        take(data, tmp_path / "backup")
        other.execute("ROLLBACK")
    assert not list((tmp_path / "backup").glob("*-wal"))
    with sqlite3.connect(tmp_path / "backup" / "history.db") as copy:
        assert copy.execute("SELECT count(*) FROM scratch").fetchone() == (0,)


def test_a_bad_slice_is_named_and_left_out(tmp_path: Path) -> None:
    data = tmp_path / "data"
    exchange(data)
    exchange(data, seed=2)
    newest = slices.list_slices(Disk(), data / "slices")[-1]
    flip(newest.path, 300)
    manifest, warnings = backups.backup(
        Disk(),
        ManualClock(LATER_US),
        data,
        data / "journal",
        tmp_path / "backup",
        [],
        lambda text: None,
        lambda: None,
    )
    assert len(warnings) == 1 and str(newest.path) in warnings[0]
    assert f"slices/{newest.path.name}" not in {file.name for file in manifest.files}
    assert put_back(tmp_path / "backup", tmp_path / "new").backup_sequence == newest.sequence


@pytest.mark.parametrize("where", ["archive", "history"])
def test_damage_in_the_original_is_not_copied_as_if_it_were_well(tmp_path: Path, where: str) -> None:
    data, target = tmp_path / "data", tmp_path / "backup"
    with_archive(data)
    if where == "archive":
        flip(sorted((data / "archive").glob("*.gz"))[0], 400)
    else:
        with history_of(data).open("r+b") as file:
            file.seek(8192 * 3)
            file.write(b"\xa5" * 8192 * 8)
    with pytest.raises((ProcessExit, JournalError), match=where):
        take(data, target)
    assert not (target / MANIFEST_FILE).exists()
    with pytest.raises(ProcessExit, match="not a whole backup"):
        put_back(target, tmp_path / "new")


def test_what_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "backup"
    with pytest.raises(system.SystemMissing):
        take(data, target)
    with HandWorker(data, SETTINGS):
        pass
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(ProcessExit, match="not empty"):
        take(data, tmp_path / "full")
    with pytest.raises(ProcessExit, match="is not a file"):
        take(data, target, tmp_path / "no.toml")
    with pytest.raises(ProcessExit, match="is not a directory"):
        take(data, tmp_path / "full" / "mine")
    with pytest.raises(ProcessExit, match="bytes left"):
        backups.backup(
            NoRoom(),
            ManualClock(LATER_US),
            data,
            data / "journal",
            target,
            [],
            lambda text: None,
            lambda: None,
        )


class NoRoom(Disk):
    """A file system that is full."""

    def free_bytes(self, path: Path) -> int:
        return 1000
