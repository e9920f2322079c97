"""Messages of a real recorder as a consumer gets them: at once by the ring, each once, whoever is killed.

The moments are random; a failure prints the seed, and VX_SEED chooses it.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

from tests.matchengine.recorder_process.recording import content, same, undisturbed
from tests.processes.crashing import crash_config
from tests.processes.recorders import RecorderProcess
from tests.processes.test_recorder_kills import PARTS, kill
from tests.processes.test_recorder_life import deposit, recorder_of
from tests.support.crash_client import CrashClient
from tests.support.processes import EngineProcess, wait_until
from vxutils.exits import ExitCode
from vxutils.store.embedded.feed import MessageFeed
from vxutils.store.embedded.schema import HISTORY_FILE, TOPICS, Message

CONFIG = crash_config(segment_size_bytes=1 << 20)
DEADLINE_S = 60.0


class Consumer:
    """Reads all topics in a thread of its own, from the beginning, until it is closed."""

    def __init__(self, data: Path) -> None:
        self.found: dict[str, list[Message]] = {topic: [] for topic in TOPICS}
        self.taken = {"ring": 0, "table": 0}
        self._data = data
        self._is_ending = False
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def count(self) -> int:
        return sum(map(len, self.found.values()))

    def close(self) -> None:
        self._is_ending = True
        self._thread.join(DEADLINE_S)

    def _read(self) -> None:
        feeds = [MessageFeed(topic, self._data, 0) for topic in TOPICS]
        while not self._is_ending:
            for feed in feeds:
                self.found[feed.topic] += feed.poll(1000)
            time.sleep(0.002)
        for feed in feeds:
            self.taken["ring"] += feed.taken["ring"]
            self.taken["table"] += feed.taken["table"]
            feed.close()


def in_table(data: Path) -> dict[str, list[Message]]:
    with closing(sqlite3.connect(data / HISTORY_FILE)) as connection:
        rows = connection.execute(
            "SELECT topic, offset, sequence, idx, payload FROM messages ORDER BY topic, offset"
        ).fetchall()
    return {topic: [Message(*row[1:]) for row in rows if row[0] == topic] for topic in TOPICS}


def kill_some(recorder: RecorderProcess, chance: random.Random) -> None:
    for part in chance.sample(PARTS, chance.randrange(3)):
        kill(recorder, part)
        time.sleep(chance.uniform(0, 0.3))


def test_each_message_once_whoever_is_killed(tmp_path: Path) -> None:
    seed = int(os.environ.get("VX_SEED", random.SystemRandom().randrange(10**6)))
    print(f"VX_SEED={seed}")
    chance = random.Random(seed)
    client = CrashClient(seed)
    with (
        EngineProcess(tmp_path, CONFIG) as engine,
        recorder_of(engine) as recorder,
        closing(Consumer(engine.data_dir)) as consumer,
    ):
        for _ in range(4):

            def strike() -> None:
                kill_some(recorder, chance)
                engine.terminate()

            client.run(engine.address(), 0.4, strike)
            engine.start()
        engine.terminate()
        end = undisturbed(engine.data_dir, tmp_path)["position"][0][1]
        assert isinstance(end, int)
        recorder.wait_for(end)
        expected = in_table(engine.data_dir)
        total = sum(map(len, expected.values()))
        wait_until(lambda: consumer.count() >= total, "all messages", DEADLINE_S)
        assert recorder.terminate() == ExitCode.OK, recorder.output
    assert consumer.found == expected
    print(consumer.taken)
    assert min(map(len, expected.values())) > 4
    assert consumer.taken["ring"] > 0


def test_a_trade_is_on_the_ring_at_once(tmp_path: Path) -> None:
    with (
        EngineProcess(tmp_path, CONFIG) as engine,
        recorder_of(engine),
        closing(MessageFeed("balances", engine.data_dir, 0)) as feed,
    ):
        deposit(engine, 0, 1)
        wait_until(lambda: bool(feed.poll(10)), "the first message")
        wait_until(lambda: not feed.poll(10) and feed.source == "ring", "the ring")
        for number in range(1, 6):
            deposit(engine, number, 1)
            wait_until(lambda: bool(feed.poll(10)), "the next message")
        assert feed.taken["ring"] >= 5


def test_a_stop_records_everything_that_is_durable(tmp_path: Path) -> None:
    """The recorder has much to catch up when it is told to stop, and the engine has gone before."""
    with EngineProcess(tmp_path, CONFIG) as engine:
        deposit(engine, 0, 10)
        with recorder_of(engine) as recorder:
            recorder.wait_for(11)
            with closing(MessageFeed("balances", engine.data_dir, "end")) as feed:
                feed.poll(1)
                os.kill(recorder.worker_pid, signal.SIGSTOP)
                for first in range(10, 6_010, 2_000):
                    deposit(engine, first, 2_000)
                engine.terminate()
                os.kill(recorder.worker_pid, signal.SIGCONT)
                assert recorder.terminate() == ExitCode.OK, recorder.output
                assert "before all was recorded" not in recorder.stderr
                state = recorder.state
                assert state is not None and state.lag_records == 0
                same(content(engine.data_dir / HISTORY_FILE), undisturbed(engine.data_dir, tmp_path))
                wait_until(lambda: (feed.poll(1_000), feed.next_offset)[1] == 6_010, "all messages")
