"""The recorder as an operator sees it: ready, stop, refusals in words, a bad file, slices and archive."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from tests.matchengine.recorder_process.recording import content, same, undisturbed
from tests.processes.crashing import crash_config, matchengine
from tests.processes.recorders import CATCH_UP_TIMEOUT_S, RecorderProcess
from tests.support.crash_client import CrashClient, Request, ask_all
from tests.support.processes import EngineProcess, wait_until
from vxutils.exits import ExitCode
from vxutils.store.embedded.history import HistoryReader
from vxutils.store.embedded.schema import HISTORY_FILE

UNAVAILABLE = 3

CONFIG = crash_config(segment_size_bytes=1 << 17, slice_records=1_000)


def deposit(engine: EngineProcess, first: int, count: int) -> None:
    """So many records; what is refused while the next small segment is being prepared is sent again."""
    requests = [
        Request(102, json.dumps([7, "BTC", "deposit", number, "1", {}]).encode())
        for number in range(first, first + count)
    ]
    deadline = time.monotonic() + CATCH_UP_TIMEOUT_S
    while requests:
        assert time.monotonic() < deadline, "the engine takes nothing"
        replies = ask_all(engine.address(), requests)
        codes = {reply["error"]["code"] for reply in replies if reply["error"] is not None}
        assert codes <= {UNAVAILABLE}
        requests = [request for request, reply in zip(requests, replies, strict=True) if reply["error"]]
        time.sleep(0.05 if requests else 0.0)


def recorder_of(engine: EngineProcess, watchdog: bool = False) -> RecorderProcess:
    return RecorderProcess(engine.directory, engine.config_path, engine.data_dir, watchdog)


def prune(data: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "matchengine.recorder", "prune", "--data-dir", str(data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30.0, check=False)


def test_stop_and_go_on(tmp_path: Path) -> None:
    """Its stop is an orderly one, whenever it comes; the engine does not care."""
    with EngineProcess(tmp_path, CONFIG) as engine, recorder_of(engine) as recorder:
        for number in range(3):
            deposit(engine, number * 100, 100)
            if number == 1:
                recorder.wait_for_all()
            assert recorder.terminate() == ExitCode.OK, recorder.output
            deposit(engine, 1000 + number * 100, 100)
            recorder.start()
        recorder.wait_for_all()
        wait_until(
            lambda: (state := recorder.state) is not None and state.sequence > 600 and not state.lag_records,
            "the state",
        )
        state = recorder.state
        assert state is not None
        assert (state.lag_records, state.lag_us, state.lag_bytes) == (0, 0, 0)
        assert not state.is_lag_too_high
        assert not state.is_troubled
        assert state.published_us / 1e6 > time.time() - 20
        assert recorder.terminate() == ExitCode.OK
        engine.terminate()
        same(content(engine.data_dir / HISTORY_FILE), undisturbed(engine.data_dir, tmp_path))


def test_before_the_engine_has_ever_run(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, CONFIG)
    matchengine("init", "--data-dir", engine.data_dir)
    with recorder_of(engine) as recorder, engine:
        deposit(engine, 0, 5)
        recorder.wait_for(6)


def test_only_one_of_them(tmp_path: Path) -> None:
    with EngineProcess(tmp_path, CONFIG) as engine, recorder_of(engine) as first:
        (tmp_path / "second").mkdir()
        second = RecorderProcess(tmp_path / "second", engine.config_path, engine.data_dir)
        second.launch()
        assert second.wait() == ExitCode.ALREADY_RUNNING
        assert "is in use by process" in second.stderr
        assert first.is_running


def test_no_data_directory(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "config.toml").write_text(CONFIG)
    recorder = RecorderProcess(tmp_path, tmp_path / "config.toml", tmp_path / "data")
    recorder.launch()
    assert recorder.wait() == ExitCode.JOURNAL_DAMAGED
    assert "is not a data directory" in recorder.stderr


def test_ahead_of_the_journal(tmp_path: Path) -> None:
    """The journal was put back from an older copy; under the watchdog too it is not tried again."""
    with EngineProcess(tmp_path, CONFIG) as engine:
        deposit(engine, 0, 50)
        engine.kill()
        shutil.copytree(engine.data_dir / "journal", tmp_path / "older")
        engine.start()
        deposit(engine, 100, 50)
        with recorder_of(engine) as recorder:
            recorder.wait_for_all()
        engine.kill()
    shutil.rmtree(engine.data_dir / "journal")
    shutil.copytree(tmp_path / "older", engine.data_dir / "journal")
    recorder = recorder_of(engine, watchdog=True)
    recorder.launch()
    with recorder:
        assert recorder.wait() == ExitCode.JOURNAL_DAMAGED
        assert re.search(r"the history is at sequence 1\d\d, ahead of the journal", recorder.stderr)
        assert "put the journal back from a backup" in recorder.stderr


def test_a_bad_file_is_made_again_while_trading_goes_on(tmp_path: Path) -> None:
    client = CrashClient(5)
    with EngineProcess(tmp_path, CONFIG) as engine:
        with recorder_of(engine) as recorder:
            deposit(engine, 10**6, 2_000)
            recorder.wait_for_all()
            recorder.terminate()
        path = engine.data_dir / HISTORY_FILE
        with path.open("r+b") as file:
            file.seek(8192 * 12)
            file.write(b"\xa5" * 8192 * 5)
        with recorder_of(engine) as recorder:
            client.run(engine.address(), 1.0, engine.terminate)
            expected = undisturbed(engine.data_dir, tmp_path)
            recorder.wait_for(int(str(expected["position"][0][1])))
            assert "is made again from the journal" in recorder.stderr
            recorder.terminate()
    (bad,) = [
        file
        for file in engine.data_dir.glob(f"{HISTORY_FILE}.bad-*")
        if not file.name.endswith(("-wal", "-shm"))
    ]
    assert bad.stat().st_size > 8192 * 17
    same(content(path), expected)


def test_slices_archive_and_prune(tmp_path: Path) -> None:
    with EngineProcess(tmp_path, CONFIG) as engine, recorder_of(engine) as recorder:
        archive = engine.data_dir / "archive"
        number = 0
        deadline = time.monotonic() + CATCH_UP_TIMEOUT_S
        while len(list(archive.glob("*.gz"))) < 3:
            assert time.monotonic() < deadline, recorder.output
            deposit(engine, number, 500)
            number += 500
            time.sleep(0.05)
        recorder.wait_for_all()
        engine.terminate()  # first: it may write a mark at any moment
        recorder.terminate()
        expected = undisturbed(engine.data_dir, tmp_path)
        same(content(engine.data_dir / HISTORY_FILE), expected)
        done = matchengine("audit", "--data-dir", engine.data_dir)
        assert done.returncode == 0, done.stderr
        assert "newest slice: leads to the same state" in done.stdout

        engine.start()
        done = prune(engine.data_dir)
        assert done.returncode == 0, done.stderr
        assert "can not be made again if history.db is lost" in done.stdout
        assert list(archive.glob("*.gz")) == []
        for path in engine.data_dir.glob(f"{HISTORY_FILE}*"):
            path.unlink()
        recorder.start()
        deposit(engine, number, 10)
        recorder.wait_for_all()
        recorder.terminate()
        found = content(engine.data_dir / HISTORY_FILE)
        (balances,) = [row[1] for row in found["topics"] if row[0] == "balances"]
        assert balances == number + 10, "offsets go on as if nothing had been lost"
        assert found["operlog"][-1][0] == number + 10
        assert 10 <= len(found["operlog"]) < number


def test_a_full_disk_or_held_file_only_makes_it_late(tmp_path: Path) -> None:
    """Somebody holds the history: it is told, tried again, and nothing is lost."""
    with EngineProcess(tmp_path, CONFIG) as engine, recorder_of(engine) as recorder:
        deposit(engine, 0, 10)
        recorder.wait_for_all()
        with sqlite3.connect(engine.data_dir / HISTORY_FILE, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            with closing(HistoryReader(engine.data_dir / HISTORY_FILE)) as reader:
                before = reader.position().sequence
            deposit(engine, 10, 10)
            wait_until(lambda: (state := recorder.state) is not None and state.lag_records >= 10, "a lag")
            time.sleep(0.3)
            state = recorder.state
            assert state is not None
            assert state.sequence == before
            other.execute("ROLLBACK")
        recorder.wait_for_all()
