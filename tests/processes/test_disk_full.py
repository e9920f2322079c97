"""A disk that fills up: no success that is not kept, cancels to the end, and open again afterwards.

On a small tmpfs of our own, which needs the right to mount; tests/matchengine/test_space_runs_out.py
shows the same without it.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes.crashing import audit, births
from tests.support.configs import toml_config
from tests.support.journal_truth import JournalTruth
from tests.support.processes import EngineProcess, wait_until
from vxutils.exits import ExitCode
from vxutils.rpc.blocking import BlockingClient

DISK_BYTES = 24 << 20
RESERVE_BYTES = 8 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no `mount` here; test_space_runs_out.py shows the same in one process")
    if done.returncode != 0:
        pytest.skip(
            f"not allowed to mount a tmpfs ({done.stderr.strip()}); "
            "test_space_runs_out.py shows the same in one process"
        )
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(place: Path, leave_bytes: int) -> Path:
    """A file that takes all free space but this."""
    ballast = place / "ballast"
    with ballast.open("wb") as file:
        stat = subprocess.run(
            ["df", "--output=avail", "-B1", str(place)], capture_output=True, text=True, check=True
        )
        size = max(0, int(stat.stdout.split()[-1]) - leave_bytes)
        file.write(bytes(size))
    return ballast


def put(client: BlockingClient) -> dict[str, Any]:
    """An order like no other one."""
    return client.call(201, [7, "BTCBCH", 1, "0.001", "8", "0", "0", f"s{time.monotonic_ns()}"])


def is_unavailable(reply: dict[str, Any]) -> bool:
    error = reply["error"]
    return error is not None and (error["code"], error["message"]) == (3, "service unavailable")


def test_a_disk_that_fills_up(small_disk: Path, tmp_path: Path) -> None:
    config = toml_config(journal={"disk_reserve_bytes": RESERVE_BYTES, "segment_size_bytes": 256 << 10})
    acknowledged: list[int] = []
    with EngineProcess(tmp_path, config, data_dir=small_disk / "data", watchdog=True) as engine:
        client = engine.client()
        assert client.call(102, [7, "BTC", "deposit", 1, "1000", {}])["error"] is None
        wait_until(
            lambda: len(list((engine.data_dir / "journal").glob("*.prepared"))) == 2, "prepared segments"
        )
        while len(acknowledged) < 800:
            reply = put(client)
            if is_unavailable(reply):
                time.sleep(0.05)  # the engine looks for prepared segments once a second
            else:
                acknowledged.append(reply["result"]["id"])
        ballast = fill(small_disk, RESERVE_BYTES - (1 << 20))
        wait_until(lambda: is_unavailable(put(client)), "new orders to be refused")
        assert is_unavailable(client.call(102, [7, "BTC", "deposit", 2, "1", {}]))
        assert is_unavailable(client.call(202, [7, "BTCBCH", 1, "1", "0", "m"]))
        assert "new orders are refused: " in engine.stderr
        assert "the reserve is" in engine.ask_console("status")

        ballast.unlink()
        ballast = fill(small_disk, 0)
        for order_id in acknowledged[:400]:
            assert client.call(204, [7, "BTCBCH", order_id])["error"] is None, "cancels work in the reserve"
        assert client.call(203, [7, "BTCBCH", 0, 1])["result"]["total"] >= 400
        assert is_unavailable(put(client))

        engine.kill_worker()
        assert engine.wait() == ExitCode.JOURNAL_IO, "no room for an epoch: a person is needed"
        assert len(births(engine)) == 2
        assert "No space left" in engine.stderr
        assert "Traceback" not in engine.stderr
        ballast.unlink()

        engine.start()
        client = engine.client()
        assert client.call(207, ["BTCBCH", acknowledged[399]])["result"] is None
        assert client.call(207, ["BTCBCH", acknowledged[400]])["result"]["id"] == acknowledged[400]
        ballast = fill(small_disk, RESERVE_BYTES - (1 << 20))
        wait_until(lambda: is_unavailable(put(client)), "new orders to be refused again")
        ballast.unlink()
        wait_until(lambda: put(client)["error"] is None, "new orders to be taken again")
        assert "new orders are taken again" in engine.stderr
        ballast = fill(small_disk, 0)
        assert engine.terminate() == 0, "a clean stop needs no room; only the slice is not made"
        assert "no slice at this stop" in engine.stderr
        ballast.unlink()

        truth = JournalTruth(engine.data_dir)
        assert truth.engine.last_order_id >= len(acknowledged)
        assert audit(engine.data_dir)["newest_slice_agrees"] is None
        engine.start()
        assert engine.client().call(207, ["BTCBCH", acknowledged[400]])["result"] is not None
        assert engine.terminate() == 0
        assert audit(engine.data_dir)["newest_slice_agrees"] is True
