"""What `durability` promises: `interval` answers before it syncs and catches up, `group` never lags.

The record of it is the file DURABLE and the console's `durable sequence`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from matchengine import system
from matchengine.journal.durable import read_durable
from tests.processes.crashing import audit
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess, wait_until
from vxutils.disk import Disk


def started(directory: Path, durability: str, interval_ms: int) -> EngineProcess:
    journal = {"durability": durability, "sync_interval_ms": interval_ms}
    return EngineProcess(directory, toml_config(journal=journal)).start()


def durable(engine: EngineProcess) -> int | None:
    identity = system.read_system(Disk(), engine.data_dir)
    return read_durable(Disk(), engine.data_dir / "journal", identity.id_bytes)


def deposit(engine: EngineProcess, count: int) -> None:
    with engine.client() as client:
        for number in range(count):
            assert client.call(102, [7, "BTC", "deposit", number, "1", {}])["error"] is None


def test_interval_answers_first_and_syncs_at_the_stop(tmp_path: Path) -> None:
    with started(tmp_path, "interval", 60_000) as engine:
        deposit(engine, 20)
        status = engine.ask_console("status")
        assert "\nsequence: 21\ndurable sequence: 1\n" in status
        assert durable(engine) == 1
        assert engine.terminate() == 0
        assert durable(engine) == 21
        assert audit(engine.data_dir)["sequence"] == 21


def test_interval_catches_up(tmp_path: Path) -> None:
    with started(tmp_path, "interval", 20) as engine:
        deposit(engine, 20)
        wait_until(lambda: durable(engine) == 21, "the sync")
        assert engine.terminate() == 0


@pytest.mark.parametrize("durability", ["group", "off"])
def test_an_answer_is_as_durable_as_it_gets(tmp_path: Path, durability: str) -> None:
    with started(tmp_path, durability, 100) as engine, engine.client() as client:
        for number in range(20):
            assert client.call(102, [7, "BTC", "deposit", number, "1", {}])["error"] is None
            assert durable(engine) == number + 2
        assert engine.terminate() == 0
