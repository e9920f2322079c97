"""The recorder's monitor port: how far it is, and what is not well; a ring that fails stops nothing."""

from __future__ import annotations

import json
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

from matchengine.system import read_system
from tests.processes.crashing import matchengine
from tests.processes.recorders import RecorderProcess
from tests.processes.test_engine_monitor import series
from tests.processes.test_message_feed import CONFIG
from tests.processes.test_recorder_life import deposit, recorder_of
from tests.support.processes import EngineProcess, wait_until
from vxutils.disk import Disk
from vxutils.ring.segment import SHM_DIRECTORY
from vxutils.store.embedded.feed import MessageFeed
from vxutils.store.embedded.ring_messages import message_ring_name


def get(recorder: RecorderProcess, path: str) -> str:
    url = str(recorder.monitor).replace("tcp@", "http://")
    with urllib.request.urlopen(f"{url}/{path}", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


def health(recorder: RecorderProcess) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(get(recorder, "health"))
    return found


def test_says_how_far_it_is(tmp_path: Path) -> None:
    with EngineProcess(tmp_path, CONFIG) as engine, recorder_of(engine) as recorder:
        deposit(engine, 0, 50)
        recorder.wait_for(51)
        wait_until(lambda: health(recorder)["facts"]["sequence"] >= 51, "the sequence")
        found = health(recorder)
        facts = found["facts"]
        assert found["status"] == "ok"
        assert (facts["history"], facts["rings"], facts["follows"]) == ("well", "well", True)
        assert (facts["pid"], facts["writer_pid"]) == (recorder.worker_pid, recorder.writer_pid)
        shown = series(get(recorder, "metrics"))
        assert shown["vx_recorder_sequence"] >= 51
        assert shown["vx_recorder_batches_total"] >= 1
        assert shown['vx_recorder_trouble{what="rings"}'] == 0
        assert {f"vx_recorder_lag_{unit}" for unit in ("records", "seconds", "bytes")} <= set(shown)


def test_a_ring_that_can_not_be_made_is_an_alarm_and_nothing_else(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, CONFIG)
    matchengine("init", "--data-dir", engine.data_dir)
    system_id = read_system(Disk(), engine.data_dir).id_bytes
    obstacle = SHM_DIRECTORY / message_ring_name(system_id, engine.data_dir, "balances")[1:]
    obstacle.mkdir()
    try:
        with (
            engine,
            recorder_of(engine) as recorder,
            closing(MessageFeed("balances", engine.data_dir, 0)) as feed,
        ):
            deposit(engine, 0, 20)
            wait_until(lambda: (feed.poll(100), feed.next_offset)[1] == 20, "all messages")
            assert feed.source == "table"
            found = health(recorder)
            assert found["status"] == "degraded"
            assert "messages of balances are read from the table" in found["facts"]["rings"]
            assert "[fatal]" in recorder.stderr and found["facts"]["rings"] in recorder.stderr
    finally:
        obstacle.rmdir()
