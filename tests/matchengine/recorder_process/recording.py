"""Data directories with something to record, and the undisturbed pass that everything is compared with."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

from matchengine import system
from matchengine.recorder.replica import Place, Replica
from tests.support.hand_worker import HandWorker, hand_settings
from vxutils.disk import Disk
from vxutils.store.embedded.schema import HISTORY_FILE, HistoryBase, HistoryPosition
from vxutils.store.embedded.writer import open_history

TABLES = (
    "about",
    "position",
    "operlog",
    "balance_history",
    "order_history",
    "deal_history",
    "messages",
    "topics",
)
SETTINGS = hand_settings(journal={"segment_size_bytes": 64 << 10}, slice_records=1000)

Content = dict[str, list[tuple[object, ...]]]


def content(path: Path) -> Content:
    """All rows of a history."""
    with sqlite3.connect(path) as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES
        }


def place_of(data: Path) -> Place:
    return Place(data, data / "journal", system.read_system(Disk(), data).id_bytes)


def record_all(
    data: Path, path: Path, base: HistoryBase | None = None, stop_at: int = 1 << 62
) -> HistoryPosition:
    """Brings the history at `path` up with the journal of `data`, in this process."""
    place = place_of(data)
    history = open_history(path, place.system_id, base)
    replica = Replica(Disk(), place, history.position, history.base.sequence)
    try:
        while replica.position.sequence < stop_at and (replica.advance(4096) or not replica.is_caught_up):
            if replica.is_caught_up and replica.has_news:
                history.append(replica.take())
        return history.position
    finally:
        replica.close()
        history.close()


def undisturbed(data: Path, scratch: Path) -> Content:
    """What the history of `data` must hold: one pass over its journal, from the first record."""
    path = scratch / "undisturbed.db"
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    record_all(data, path)
    return content(path)


def same(found: Content, expected: Content) -> None:
    """Raises AssertionError naming the first row that differs."""
    for table in TABLES:
        for number, (row, other) in enumerate(zip(found[table], expected[table], strict=False)):
            assert row == other, (table, number)
        assert len(found[table]) == len(expected[table]), table


class AtOnce:
    """Prepares segments here and now: a helper process would take longer than the test."""

    def __init__(self, worker: HandWorker) -> None:
        self._worker = worker
        self.failures = 0

    def poll(self) -> bool:
        return False

    def start(self) -> bool:
        self._worker.prepare_segments()
        return True


def trade(worker: HandWorker, rounds: int, seed: int) -> None:
    """Deposits, and orders that rest, cross, and are cancelled."""
    chance = random.Random(seed)
    worker.worker.gate._preparer = AtOnce(worker)  # type: ignore[assignment]
    for number in range(rounds):
        user = 1 + number % 4
        worker.ask(102, [user, "BTC", "deposit", seed * 10**6 + number, "3.5", {"n": number}])
        worker.ask(102, [user, "USD", "deposit", seed * 10**6 + number, "900", {}])
        for _ in range(3):
            side = chance.choice((1, 2))
            price = f"{100 + chance.randrange(-5, 6)}"
            reply = worker.ask(
                201, [1 + chance.randrange(4), "BTCUSD", side, "0.5", price, "0.002", "0.001", "t"]
            )
            if reply["error"] is None and chance.random() < 0.3:
                worker.ask(204, [reply["result"]["user"], "BTCUSD", reply["result"]["id"]])
        worker.clock.advance(1_000)


def history_of(data: Path) -> Path:
    return data / HISTORY_FILE


def wait_for(condition: Callable[[], bool], turn: Callable[[], object], turns: int = 1000) -> None:
    """Calls `turn` until the condition holds. Raises: AssertionError when it never does."""
    for _ in range(turns):
        if condition():
            return
        turn()
    raise AssertionError("it never came")
