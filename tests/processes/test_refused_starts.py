"""Starts that are refused: each in a sentence, with its exit code, and without a traceback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from matchengine.slices import list_slices
from tests.processes.crashing import audit, births, matchengine
from tests.support.configs import c_config, toml_config
from tests.support.hand_worker import HandWorker, hand_settings
from tests.support.processes import EngineProcess
from vxnet.clock import ManualClock
from vxutils.disk import Disk
from vxutils.exits import ExitCode

CONFIG = toml_config(bind=("tcp@127.0.0.1:0",))
ORDER = [7, "BTCBCH", 1, "1.00000001", "8.00000001", "0", "0", "test"]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    """Not started yet; ended whatever happens."""
    process = EngineProcess(tmp_path, CONFIG, watchdog=True)
    yield process
    process.end()


def fill(engine: EngineProcess, runs: int = 1, first_id: int = 0) -> None:
    """So many runs of the engine, each with a deposit and an order, each stopped in order."""
    for run in range(first_id, first_id + runs):
        engine.start()
        with engine.client() as client:
            assert client.call(102, [7, "BTC", "deposit", run, "10", {}])["error"] is None
            assert client.call(201, ORDER)["error"] is None
        assert engine.terminate() == 0


def refused(engine: EngineProcess, code: ExitCode, *words: str) -> None:
    """It ends with this code, says all of the words, and the watchdog does not try again."""
    engine.launch()
    assert engine.wait() == code, engine.output
    for word in words:
        assert word in engine.stderr, f"{word!r} is not in\n{engine.stderr}"
    assert "Traceback" not in engine.stderr
    assert "ready" not in engine.stdout
    assert len(births(engine)) <= 1


def segments(engine: EngineProcess) -> list[Path]:
    return sorted((engine.data_dir / "journal").glob("*.journal"))


def test_a_directory_without_system_file(engine: EngineProcess) -> None:
    engine.data_dir.mkdir()
    refused(engine, ExitCode.JOURNAL_DAMAGED, "is not a data directory (no SYSTEM file)", "vx init")
    assert list(engine.data_dir.iterdir()) == []


def test_a_journal_that_is_not_mounted(engine: EngineProcess) -> None:
    fill(engine)
    (engine.data_dir / "journal").rename(engine.directory / "elsewhere")
    refused(engine, ExitCode.JOURNAL_DAMAGED, "journal does not exist: a disk that is not mounted?")
    (engine.data_dir / "journal").mkdir()
    refused(engine, ExitCode.JOURNAL_DAMAGED, "holds no journal", "a disk that is not mounted?")


def test_a_copy_until_it_is_adopted(engine: EngineProcess) -> None:
    fill(engine)
    copy = engine.directory / "copy"
    subprocess.run(["cp", "-a", engine.data_dir, copy], check=True)
    engine.data_dir = copy
    refused(engine, ExitCode.JOURNAL_DAMAGED, "is a copy of system", f"vx adopt --data-dir {copy}")
    done = matchengine("adopt", "--data-dir", copy)
    assert done.returncode == 0, done.stderr
    assert f"{copy} is now system" in done.stdout
    engine.start()
    with engine.client() as client:
        assert client.call(203, [7, "BTCBCH", 0, 10])["result"]["total"] == 1
    assert engine.terminate() == 0
    assert audit(copy)["sequence"] == 3


def test_changed_rules(engine: EngineProcess) -> None:
    """Refused at the start, shown by config-diff, applied by config-apply where the state allows it."""
    fill(engine)
    narrower = CONFIG.replace(
        'name = "BTCBCH"\nstock = "BTC"\nstock_prec = 8', 'name = "BTCBCH"\nstock = "BTC"\nstock_prec = 4'
    )
    assert narrower != CONFIG
    line = "market BTCBCH: stock_prec 8 in force, 4 in the file"
    engine.write_config(narrower)
    refused(engine, ExitCode.CONFIG, "differs from the rules in force", line, "vx config apply")
    assert run_tool(engine, "config-diff") == (1, line + "\n", "")
    code, out, err = run_tool(engine, "config-apply")
    assert (code, out) == (ExitCode.CONFIG, "")
    assert "not applied" in err
    assert "market BTCBCH: stock_prec, money_prec or fee_prec can not narrow: open orders have digits" in err

    wider = CONFIG.replace('name = "BTC"\nprec_save = 12', 'name = "BTC"\nprec_save = 20')
    assert wider != CONFIG
    engine.write_config(wider)
    refused(engine, ExitCode.CONFIG, "asset BTC: prec_save 12 in force, 20 in the file")
    code, out, err = run_tool(engine, "config-apply")
    assert (code, err) == (0, "")
    assert "in force now:\nasset BTC: prec_save 12 in force, 20 in the file" in out
    assert run_tool(engine, "config-apply") == (0, "no differences, nothing to apply\n", "")
    assert run_tool(engine, "config-diff") == (0, "no differences\n", "")
    engine.start()
    with engine.client() as client:
        balance = client.call(101, [7, "BTC"])["result"]["BTC"]
        assert balance == {"available": "8.99999999", "freeze": "1.00000001"}
    assert engine.terminate() == 0
    audit(engine.data_dir)
    engine.write_config(CONFIG)
    refused(engine, ExitCode.CONFIG, "asset BTC: prec_save 20 in force, 12 in the file")


def run_tool(engine: EngineProcess, name: str) -> tuple[int, str, str]:
    done = matchengine(name, engine.config_path, "--data-dir", engine.data_dir)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_newer_journal(engine: EngineProcess) -> None:
    fill(engine)
    path = segments(engine)[-1]
    data = bytearray(path.read_bytes())
    data[8] = 2
    data[4092:4096] = zlib.crc32(data[:4092]).to_bytes(4, "little")
    path.write_bytes(data)
    for slice_file in (engine.data_dir / "slices").iterdir():
        slice_file.unlink()
    refused(
        engine, ExitCode.JOURNAL_DAMAGED, f"{path} has journal format 2, this version reads up to 1", "newer"
    )


def _replace(old: str, new: str) -> Callable[[str], str]:
    def change(config: str) -> str:
        assert old in config
        return config.replace(old, new, 1)

    return change


WRONG: dict[str, tuple[Callable[[str], Any], list[str]]] = {
    "misspelt": (
        _replace("[journal]\n", "[journal]\ndurabilty = 'group'\n"),
        ["journal.durabilty", "did you mean", "durability"],
    ),
    "out of bounds": (_replace("segment_size_bytes = 1048576", "segment_size_bytes = 100"), ["segment_size"]),
    "not toml": (lambda config: config + "[[[", ["can not be used"]),
    "unknown asset": (_replace('stock = "LTC"', 'stock = "LTX"'), ["market LTCBCH", "LTX"]),
    "no room": (
        _replace('name = "CNY"\nprec_save = 8', 'name = "CNY"\nprec_save = 2'),
        ["market BTCCNY", "CNY"],
    ),
    "a database without its store": (
        lambda config: config + "[mysql.log]\nhost = 'db'\nuser = 'vx'\nname = 'trade_log'\n",
        ["mysql.log: names MySQL database trade_log at db:3306, but history.store says embedded"],
    ),
    "C config without stores": (
        lambda config: {key: value for key, value in c_config().items() if key != "db_log"},
        ["db_log: missing, but required; give --embedded"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_settings_file(name: str, tmp_path: Path) -> None:
    change, words = WRONG[name]
    engine = EngineProcess(tmp_path, change(CONFIG), watchdog=True, embedded=False)
    try:
        refused(engine, ExitCode.CONFIG, str(engine.config_path), *words)
        assert segments(engine) == []
    finally:
        engine.end()


def test_no_settings_file(engine: EngineProcess) -> None:
    engine.config_path.unlink()
    refused(engine, ExitCode.CONFIG, str(engine.config_path))


def test_a_taken_port(engine: EngineProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        engine.write_config(CONFIG.replace("tcp@127.0.0.1:0", f"tcp@127.0.0.1:{port}", 1))
        refused(engine, ExitCode.ADDRESS_TAKEN, f"127.0.0.1:{port}", "in use")
    engine.start()
    assert engine.terminate() == 0


def test_a_second_engine_on_one_directory(engine: EngineProcess, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    second = EngineProcess(tmp_path / "second", CONFIG, data_dir=engine.data_dir, watchdog=True)
    engine.start()
    try:
        refused(second, ExitCode.ALREADY_RUNNING, str(engine.data_dir), str(engine.pid))
        tool = matchengine("audit", "--data-dir", engine.data_dir)
        assert tool.returncode == ExitCode.ALREADY_RUNNING
        with engine.client() as client:
            assert client.call(104, [])["error"] is None
    finally:
        second.end()
    assert engine.terminate() == 0


def test_a_journal_in_the_future(engine: EngineProcess) -> None:
    soon = ManualClock(time.time_ns() // 1000 + 60_000_000)
    with HandWorker(engine.data_dir, hand_settings(), soon) as worker:
        worker.done(102, [7, "BTC", "deposit", 1, "1", {}])
    refused(engine, ExitCode.CONFIG, "s in the future: set the clock right, or wait")


def test_a_missing_middle_segment(engine: EngineProcess) -> None:
    fill(engine, runs=3)
    first, middle, last = segments(engine)
    middle.unlink()
    refused(engine, ExitCode.JOURNAL_DAMAGED, first.name, str(last), "missing", "backup")


def test_a_slice_ahead_of_the_journal(engine: EngineProcess) -> None:
    fill(engine)
    shutil.copytree(engine.data_dir / "journal", engine.directory / "old journal")
    fill(engine, first_id=1)
    shutil.rmtree(engine.data_dir / "journal")
    (engine.directory / "old journal").rename(engine.data_dir / "journal")
    refused(engine, ExitCode.JOURNAL_DAMAGED, "is ahead of the journal", "old copy")


def test_a_journal_of_another_system(engine: EngineProcess, tmp_path: Path) -> None:
    fill(engine)
    (tmp_path / "other").mkdir()
    with EngineProcess(tmp_path / "other", CONFIG) as other:
        assert other.terminate() == 0
        shutil.rmtree(other.data_dir / "journal")
        shutil.copytree(engine.data_dir / "journal", other.data_dir / "journal")
        refused(other, ExitCode.JOURNAL_DAMAGED, "belongs to system", "move the file to where it came from")


def test_a_damaged_slice_is_reported_and_the_one_before_used(engine: EngineProcess) -> None:
    fill(engine, runs=2)
    older, newest = list_slices(Disk(), engine.data_dir / "slices")
    data = bytearray(newest.path.read_bytes())
    data[len(data) // 2] ^= 0x10
    newest.path.write_bytes(data)
    engine.start()
    assert f"the slice {newest.path} is damaged at offset" in engine.stderr
    assert "the one before is used" in engine.stderr
    assert f"slice {older.sequence}," in engine.stderr
    with engine.client() as client:
        assert client.call(203, [7, "BTCBCH", 0, 10])["result"]["total"] == 2
    assert engine.terminate() == 0
    assert audit(engine.data_dir)["newest_slice_agrees"], "the stop has put a good one in its place"
