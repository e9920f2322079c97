"""Every touched book is in shared memory before its replies leave, and trouble there stops nobody."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from matchengine.core.views import Views
from matchengine.journal.format import JournalIOError
from matchengine.settings import RingSettings
from tests.support.faulty_disk import FaultyDisk
from tests.support.hand_worker import CollectingReceiver, HandWorker, hand_settings
from tests.support.ring_leftovers import remove_rings
from vxutils.protocol.book import BookSnapshot, decode_book, depth_text
from vxutils.ring.segment import SHM_DIRECTORY, ring_name
from vxutils.ring.snapshot import SnapshotReader


@pytest.fixture(autouse=True)
def clean(tmp_path: Path) -> Iterator[None]:
    yield
    remove_rings(tmp_path)


class Rings:
    """What a gateway sees of one engine."""

    def __init__(self, worker: HandWorker) -> None:
        self.worker = worker

    def name(self, market: str) -> str:
        return ring_name(self.worker.worker.identity.id_bytes, self.worker.data, f"book.{market}")

    def file(self, market: str) -> Path:
        return SHM_DIRECTORY / self.name(market)[1:]

    def __call__(self, market: str) -> BookSnapshot | None:
        reader = SnapshotReader(self.name(market), now=self.worker.clock.monotonic_us)
        snapshot = reader.read()
        reader.close()
        return None if snapshot is None else decode_book(snapshot.payload)


def funded(worker: HandWorker) -> None:
    for number, asset in enumerate(("BTC", "USD", "WEI")):
        worker.done(102, [1, asset, "deposit", number, "1000000", {}])


def limit(market: str, side: int, amount: str, price: str) -> list[Any]:
    return [1, market, side, amount, price, "0", "0", "s"]


def test_all_books_are_there_from_the_start(tmp_path: Path) -> None:
    with HandWorker(tmp_path / "data") as worker:
        funded(worker)
        order = worker.done(201, limit("BTCUSD", 1, "0.5", "10"))
        read = Rings(worker)
        assert read("BTCUSD") is None
    with HandWorker(tmp_path / "data") as worker:
        read = Rings(worker)
        worker.worker.publisher.open()
        book = read("BTCUSD")
        assert book is not None
        assert (book.asks, book.bids, book.price_scale, book.amount_scale) == ([(1000, 5000)], [], 2, 4)
        position = worker.worker.position
        assert (book.sequence, book.time_us) == (position.sequence, position.time_us)
        assert read("BTCWEI") is not None
        worker.done(204, [1, "BTCUSD", order["id"]])
        book = read("BTCUSD")
        assert book is not None
        assert (book.asks, book.sequence) == ([], position.sequence)
        worker.worker.publisher.close()
        assert read("BTCUSD") is None
        assert list(SHM_DIRECTORY.glob(read.name("")[1:] + "*")) == []


def test_a_ring_is_never_older_than_a_reply(tmp_path: Path) -> None:
    """Looked at from inside the sending of the replies."""
    with HandWorker(tmp_path / "data") as worker:
        funded(worker)
        worker.worker.publisher.open()
        read = Rings(worker)
        views = Views(worker.engine, "plain")
        seen = []

        class LookingReceiver(CollectingReceiver):
            def send(self, replies: list[bytes]) -> None:
                for market in ("BTCUSD", "BTCWEI"):
                    book = read(market)
                    assert book is not None
                    expected = views.depth(worker.engine.markets[market], 100, 0)
                    assert depth_text(book, 100, "plain") == expected
                seen.append(len(replies))

        worker.receiver = LookingReceiver()
        for step in range(30):
            worker.hold(201, limit("BTCUSD", 1 + step % 2, "0.5", f"{10 + step * 7 % 5}"))
            worker.hold(201, limit("BTCWEI", 1 + step % 2, "0.000001", "0.00000000000000000001"))
            worker.hold(202, [1, "BTCUSD", 1, "0.1", "0", "s"])
            worker.hold(206, ["BTCUSD", 100, "0"])
            worker.pipeline.turn()
        assert seen == [4] * 30
        worker.worker.publisher.close()


def test_only_touched_books_are_published(tmp_path: Path) -> None:
    with HandWorker(tmp_path / "data") as worker:
        funded(worker)
        worker.worker.publisher.open()
        read = Rings(worker)
        marks = {}
        for name in ("BTCUSD", "BTCWEI"):
            marks[name] = SnapshotReader(read.name(name), now=worker.clock.monotonic_us)
        before = {name: reader.mark for name, reader in marks.items()}
        worker.refused(201, limit("BTCUSD", 1, "100000000", "10"))
        worker.done(102, [2, "BTC", "deposit", 9, "1", {}])
        worker.done(206, ["BTCUSD", 10, "0"])
        assert not any(reader.changed(before[name]) for name, reader in marks.items())
        worker.done(201, limit("BTCUSD", 1, "1", "10"))
        assert marks["BTCUSD"].changed(before["BTCUSD"])
        assert not marks["BTCWEI"].changed(before["BTCWEI"])
        for reader in marks.values():
            reader.close()
        worker.worker.publisher.close()


@pytest.mark.parametrize("durability", ["group", "interval", "off"])
def test_every_durability_publishes_before_it_replies(tmp_path: Path, durability: str) -> None:
    with HandWorker(tmp_path / "data", hand_settings(journal={"durability": durability})) as worker:
        funded(worker)
        worker.worker.publisher.open()
        worker.done(201, limit("BTCUSD", 2, "1", "10"))
        book = Rings(worker)("BTCUSD")
        assert book is not None
        assert book.bids == [(1000, 10_000)]
        worker.worker.publisher.close()


def test_what_is_not_durable_is_not_published(tmp_path: Path) -> None:
    disk = FaultyDisk()
    with HandWorker(tmp_path / "data", disk=disk) as worker:
        funded(worker)
        worker.worker.publisher.open()
        disk.fail("fdatasync", 1, errno.EIO)
        worker.hold(201, limit("BTCUSD", 1, "1", "10"))
        with pytest.raises(JournalIOError):
            worker.pipeline.turn()
        book = Rings(worker)("BTCUSD")
        assert book is not None
        assert book.asks == []
        worker.worker.publisher.close()
        worker.crash()


def test_the_beat_tells_that_the_engine_lives(tmp_path: Path) -> None:
    with HandWorker(tmp_path / "data") as worker:
        worker.worker.publisher.open()
        read = Rings(worker)
        for _ in range(5):
            worker.clock.advance(1_000_000)
            worker.worker.publisher.tick()
            assert read("BTCUSD") is not None
        worker.clock.advance(3_000_001)
        assert read("BTCUSD") is None
        worker.worker.publisher.close()


def test_a_removed_ring_is_back_at_the_next_tick(tmp_path: Path) -> None:
    with HandWorker(tmp_path / "data") as worker:
        funded(worker)
        worker.worker.publisher.open()
        worker.done(201, limit("BTCUSD", 1, "1", "10"))
        read = Rings(worker)
        read.file("BTCUSD").unlink()
        worker.done(201, limit("BTCUSD", 1, "1", "10"))
        assert read("BTCUSD") is None
        worker.worker.publisher.tick()
        book = read("BTCUSD")
        assert book is not None
        assert book.asks == [(1000, 20_000)]
        worker.worker.publisher.close()


def test_a_ring_that_can_not_be_made_costs_one_alarm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vx.matchengine.publisher")
    with HandWorker(tmp_path / "data") as worker:
        funded(worker)
        read = Rings(worker)
        for market in ("BTCUSD", "BTCWEI"):
            read.file(market).mkdir()
        publisher = worker.worker.publisher
        try:
            publisher.open()
            for _ in range(25):
                worker.done(201, limit("BTCUSD", 1, "1", "10"))
                worker.clock.advance(1_000_000)
                publisher.tick()
            assert (publisher.opened, publisher.failed) == (1, 2)
            facts = worker.worker.observer.health().facts
            assert facts["rings"] == {"open": 1, "failed": 2}
        finally:
            for market in ("BTCUSD", "BTCWEI"):
                read.file(market).rmdir()
        for _ in range(10):
            worker.clock.advance(1_000_000)
            publisher.tick()
        assert (publisher.opened, publisher.failed) == (3, 0)
        book = read("BTCUSD")
        assert book is not None
        assert book.asks == [(1000, 250_000)]
        alarms = [record for record in caplog.records if record.levelno == logging.CRITICAL]
        assert len(alarms) == 1
        assert "its depth is asked by RPC" in alarms[0].getMessage()
        publisher.close()


def test_a_book_too_large_is_asked_by_rpc(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rings = RingSettings(levels=20, slot_size_bytes=1024)
    with HandWorker(tmp_path / "data", hand_settings(rings=rings)) as worker:
        funded(worker)
        publisher = worker.worker.publisher
        publisher.open()
        read = Rings(worker)
        orders = [
            worker.done(201, limit("BTCWEI", 2, "0.01", f"0.{'9' * 18}{n:02}"))["id"] for n in range(20)
        ]
        book = read("BTCWEI")
        assert book is not None
        assert len(book.bids) == 20, "64 bits each"
        orders += [
            worker.done(201, limit("BTCWEI", 2, "0.01", f"9999.{'9' * 18}{n:02}"))["id"] for n in range(20)
        ]
        worker.done(201, limit("BTCWEI", 1, "100", "1000000.5"))
        for n in range(19):
            worker.done(201, limit("BTCWEI", 1, "100", f"1000001.{'9' * 18}{n:02}"))
        assert read("BTCWEI") is None
        assert publisher.failed == 1
        for order in orders:
            worker.done(204, [1, "BTCWEI", order])
        assert read("BTCWEI") is not None
        assert publisher.failed == 0
        assert [r.levelno for r in caplog.records if "slot_size_bytes is 1024" in r.getMessage()] == [50]
        publisher.close()


def test_rings_that_are_off_are_not_made(tmp_path: Path) -> None:
    with HandWorker(tmp_path / "data") as worker:
        funded(worker)
        worker.worker.publisher.tick()
        worker.done(201, limit("BTCUSD", 1, "1", "10"))
        assert not Rings(worker).file("BTCUSD").exists()
