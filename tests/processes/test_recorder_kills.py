"""kill -9 of engine, recorder and writer in random order under load: the rows are those of one quiet pass.

The moments are random; a failure prints the seed, and VX_SEED chooses it.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.matchengine.recorder_process.recording import content, same, undisturbed
from tests.processes.crashing import crash_config, kill_and_await_birth
from tests.processes.recorders import RecorderProcess
from tests.support.crash_client import CrashClient
from tests.support.processes import EngineProcess
from vxutils.store.embedded.schema import HISTORY_FILE

PARTS = ("recorder", "writer")
LIFE_S = 0.6  # of an engine under load


def kill(recorder: RecorderProcess, part: str) -> None:
    pid = recorder.worker_pid if part == "recorder" else recorder.writer_pid
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if part == "recorder":
        recorder.wait()
        recorder.launch()


def disturb(directory: Path, lives: int, seed: int) -> None:
    print(f"VX_SEED={seed}")
    chance = random.Random(seed)
    client = CrashClient(seed)
    kills = dict.fromkeys((*PARTS, "engine"), 0)
    config = crash_config(segment_size_bytes=1 << 17, slice_records=2_000)
    with (
        EngineProcess(directory, config, watchdog=True) as engine,
        RecorderProcess(directory, engine.config_path, engine.data_dir) as recorder,
    ):
        for life in range(lives):

            def strike(is_engine: bool = life % 2 == 1) -> None:
                for part in chance.sample(PARTS, chance.randrange(3)):
                    kill(recorder, part)
                    kills[part] += 1
                    time.sleep(chance.uniform(0, 0.6))
                if is_engine:
                    kills["engine"] += 1
                    kill_and_await_birth(engine)
                else:
                    engine.terminate()

            client.run(engine.address(), LIFE_S, strike)
            if life % 2:
                engine.wait_ready()
            else:
                engine.start()
        assert engine.terminate() == 0, engine.output
        expected = undisturbed(engine.data_dir, directory)
        end = expected["position"][0][1]
        assert isinstance(end, int)
        recorder.wait_for(end)
        assert recorder.terminate() == 0, recorder.output
    print(kills, {table: len(rows) for table, rows in expected.items()})
    same(content(engine.data_dir / HISTORY_FILE), expected)
    assert len(expected["deal_history"]) > 10 * lives
    for topic in ("orders", "deals", "balances"):
        offsets = [row[1] for row in expected["messages"] if row[0] == topic]
        assert offsets == list(range(len(offsets)))


def test_killed_and_nothing_lost_or_doubled(tmp_path: Path) -> None:
    disturb(tmp_path, 6, int(os.environ.get("VX_SEED", random.SystemRandom().randrange(10**6))))


@pytest.mark.soak
def test_killed_a_hundred_times(tmp_path: Path) -> None:
    disturb(tmp_path, 100, int(os.environ.get("VX_SEED", random.SystemRandom().randrange(10**6))))
