"""A bit flips in the engine's memory: it halts within seconds, both dump, `vx diff` names the account."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from matchengine.divergence import ENGINE, RECORDER, dump_directory
from matchengine.slices import list_slices
from tests.processes.crashing import crash_config
from tests.processes.recorders import RecorderProcess
from tests.support.flipped_engine import ASSET, USER, FlippedEngine
from tests.support.processes import wait_until
from vxutils.disk import Disk
from vxutils.exits import ExitCode
from vxutils.rpc.blocking import BlockingClient
from vxutils.store.embedded.history import HistoryReader
from vxutils.store.embedded.schema import HISTORY_FILE

UNAVAILABLE = 3
PATIENCE_S = 20.0
FIRST_MARK = 6  # after the rules and four operations; what is written from there on is followed

Order = list[object]


def vx_diff(data: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "gateways.cli", "diff", "--data-dir", str(data), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60.0, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def sell(price: str) -> Order:
    return [USER, "BTCBCH", 1, "0.01", price, "0", "0", ""]


def begin(client: BlockingClient) -> int:
    """Some balances and an order; its id."""
    for number, (user, asset) in enumerate(((USER, ASSET), (2, "BCH"), (2, ASSET)), 1):
        assert client.call(102, [user, asset, "deposit", number, "100", {}])["error"] is None
    placed: Any = client.call(201, sell("9"))
    assert placed["error"] is None
    order_id: int = placed["result"]["id"]
    return order_id


def dumps(data: Path) -> list[list[int]]:
    disk = Disk()
    return [
        [file.sequence for file in list_slices(disk, dump_directory(data, side))]
        for side in (ENGINE, RECORDER)
    ]


def test_the_engine_halts_and_the_account_is_named(tmp_path: Path) -> None:
    engine = FlippedEngine(tmp_path, crash_config())
    with engine, RecorderProcess(tmp_path, engine.config_path, engine.data_dir) as recorder:
        with engine.client() as client:
            order_id = begin(client)
            proven = recorder.wait_for(FIRST_MARK).sequence
            engine.flip()
            wait_until(
                lambda: client.call(201, sell("8"))["error"] is not None, "the engine halts", PATIENCE_S
            )
            assert client.call(201, sell("7"))["error"]["code"] == UNAVAILABLE
            assert client.call(204, [USER, "BTCBCH", order_id])["error"] is None
            assert client.call(101, [USER])["error"] is None
            wait_until(lambda: all(dumps(engine.data_dir)), "both dumps", PATIENCE_S)
        state = recorder.state
        assert state is not None
        assert state.diverged_at > proven
        assert "engine and recorder differ at record" in engine.stderr
        assert "engine and recorder differ" in recorder.stderr

        code, text = vx_diff(engine.data_dir)
        found = json.loads(text)
        assert code == ExitCode.FAILURE
        assert found["compared"]["account_count"] == 1
        assert found["compared"]["order_count"] == 0
        (account,) = found["compared"]["accounts"]
        assert (account["user"], account["asset"]) == (USER, ASSET)
        assert account["frozen"][0] == account["frozen"][1]
        assert account["available"][0] != account["available"][1]
        assert found["replayed"]["first"]["sequence"] == state.diverged_at
        assert found["replayed"]["touched"]["command"] == "PutLimit"
        assert found["agrees_with"] == [RECORDER]

        assert recorder.terminate() == ExitCode.OK, recorder.output
        assert engine.terminate() == ExitCode.OK
        assert list_slices(Disk(), engine.data_dir / "slices") == [], "no slice of a wrong state"
        reader = HistoryReader(engine.data_dir / HISTORY_FILE)
        assert reader.position().sequence < state.diverged_at
        reader.close()
        engine.launch()
        assert engine.wait() == ExitCode.JOURNAL_DAMAGED
        assert "vx diff" in engine.stderr


def test_with_alarm_trading_goes_on(tmp_path: Path) -> None:
    engine = FlippedEngine(tmp_path, crash_config(on_divergence="alarm"))
    with engine, RecorderProcess(tmp_path, engine.config_path, engine.data_dir) as recorder:
        with engine.client() as client:
            begin(client)
            recorder.wait_for(FIRST_MARK)
            engine.flip()

            def trade_on() -> bool:
                assert client.call(201, sell("8"))["error"] is None
                return all(dumps(engine.data_dir))

            wait_until(trade_on, "both dumps", PATIENCE_S)
            assert client.call(201, sell("7"))["error"] is None
        assert "trading goes on" in engine.stderr
        assert recorder.is_running
