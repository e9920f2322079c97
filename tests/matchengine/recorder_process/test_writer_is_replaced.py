"""The writer process: killed, held up, or given a bad file; no batch is lost and none comes twice."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from matchengine.recorder.link import BATCHES_MAX, WriterLink
from matchengine.recorder.wire import Report
from matchengine.recorder.writer import WriterOrder
from tests.vxutils.store.histories import SYSTEM_ID, batch_of, make_history
from tests.vxutils.store.test_batches_are_committed_once import content
from vxnet.loop import EventLoop, new_event_loop
from vxutils.disk import Disk
from vxutils.store.embedded.consumers import publish_consumer
from vxutils.store.embedded.schema import HistoryBase

TIMEOUT_S = 60.0


class Linked:
    """A link to a real writer process, and what it has reported."""

    def __init__(self, data: Path, is_tidy: bool = False) -> None:
        self.loop: EventLoop = new_event_loop()
        self.reports: list[Report] = []
        self.sent = 0
        order = WriterOrder(
            data=str(data),
            system_id=SYSTEM_ID.hex(),
            base=HistoryBase(),
            check_bytes_max=1 << 30,
            messages_keep_us=0,
            ring_bytes=1 << 16,
            tidy_s=0.1 if is_tidy else 3600.0,
        )
        self.link = WriterLink(self.loop, lambda: order, self._take)
        self.link.start()

    def _take(self, report: Report) -> None:
        self.reports.append(report)
        self.loop.stop()

    def kinds(self) -> list[str]:
        return [report.kind for report in self.reports]

    def send(self, records: int) -> None:
        self.link.send(batch_of(self.sent, self.sent + records))
        self.sent += records

    def run(self, for_s: float) -> None:
        """Turns the loop for so long, or until the next report."""
        handle = self.loop.call_later(for_s, self.loop.stop)
        self.loop.run_forever()
        handle.cancel()

    def wait(self, kind: str, sequence: int = -1) -> Report:
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            for report in self.reports:
                if report.kind == kind and sequence in (-1, report.position.sequence):
                    return report
            assert time.monotonic() < deadline, (kind, sequence, self.reports[-5:])
            self.run(0.5)


@pytest.fixture
def linked(tmp_path: Path) -> Iterator[Linked]:
    linked = Linked(tmp_path)
    yield linked
    linked.link.close()
    linked.loop.close()


def whole(tmp_path: Path, records: int) -> object:
    (tmp_path / "whole").mkdir(exist_ok=True)
    path = tmp_path / "whole" / "history.db"
    make_history(path, records).close()
    return content(path)


def test_batches_come_in(tmp_path: Path, linked: Linked) -> None:
    assert linked.wait("opened").position.sequence == 0
    for records in (1, 30, 7):
        linked.send(records)
        linked.wait("committed", linked.sent)
    assert linked.link.is_idle
    linked.link.close()
    assert content(tmp_path / "history.db") == whole(tmp_path, 38)


def test_the_queue_is_bounded(linked: Linked) -> None:
    """Nothing is committed while the writer stands still."""
    linked.wait("opened")
    os.kill(linked.link.process_id, signal.SIGSTOP)
    for number in range(BATCHES_MAX):
        assert not linked.link.is_full, number
        linked.send(5)
    assert linked.link.is_full
    os.kill(linked.link.process_id, signal.SIGCONT)
    linked.wait("committed", linked.sent)
    assert not linked.link.is_full


def test_killed_at_any_moment(tmp_path: Path, linked: Linked) -> None:
    chance = random.Random(11)
    kills = 0
    linked.wait("opened")
    deadline = time.monotonic() + TIMEOUT_S
    while linked.sent < 6_000 or not linked.link.is_idle:
        assert time.monotonic() < deadline
        if not linked.link.is_full and linked.sent < 6_000:
            linked.send(200)
        if kills < 2 and linked.link.process_id and chance.random() < 0.1:
            os.kill(linked.link.process_id, signal.SIGKILL)
            kills += 1
        linked.run(0.02 * chance.random() + 0.001)
    assert kills == 2
    linked.link.close()
    assert content(tmp_path / "history.db") == whole(tmp_path, 6_000)


def test_a_file_that_somebody_holds_is_waited_for(tmp_path: Path, linked: Linked) -> None:
    linked.wait("opened")
    linked.send(5)
    linked.wait("committed", 5)
    os.kill(linked.link.process_id, signal.SIGKILL)
    # A full disk and a held file look the same to the writer: an OperationalError, nothing changed.
    (tmp_path / "history.db").chmod(0o440)
    (tmp_path / "history.db").rename(tmp_path / "elsewhere")
    (tmp_path / "history.db").mkdir()
    assert "tried again" in linked.wait("troubled").text
    (tmp_path / "history.db").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "history.db")
    linked.send(3)
    linked.wait("committed", 8)
    linked.link.close()
    assert content(tmp_path / "history.db") == whole(tmp_path, 8)


def test_damage_is_told(tmp_path: Path) -> None:
    make_history(tmp_path / "history.db", 300).close()
    with (tmp_path / "history.db").open("r+b") as file:
        file.seek(8192 * 4)
        file.write(b"\xa5" * 4000)
    linked = Linked(tmp_path)
    assert "history.db is damaged" in linked.wait("damaged").text
    linked.link.close()
    linked.loop.close()


def test_another_systems_file_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "history.db") as connection:
        connection.execute("CREATE TABLE mine (a)")
    linked = Linked(tmp_path)
    assert "holds no history" in linked.wait("refused").text
    linked.link.close()
    linked.loop.close()


def test_consumers_are_copied_and_old_messages_go(tmp_path: Path) -> None:
    """The messages are of 2023, and none is kept longer than its consumers need."""
    linked = Linked(tmp_path, is_tidy=True)
    publish_consumer(Disk(), tmp_path, "marketprice", {"deals": 7})
    linked.wait("opened")
    linked.send(10)
    linked.wait("committed", 10)
    deadline = time.monotonic() + TIMEOUT_S
    with sqlite3.connect(tmp_path / "history.db") as reader:
        while len(reader.execute("SELECT * FROM messages").fetchall()) > 3:
            assert time.monotonic() < deadline
            linked.run(0.05)
        assert reader.execute("SELECT * FROM consumers").fetchall() == [("marketprice", "deals", 7)]
        left = reader.execute("SELECT topic, offset FROM messages").fetchall()
    assert left == [("deals", 7), ("deals", 8), ("deals", 9)]
    linked.link.close()
    linked.loop.close()
