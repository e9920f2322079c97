"""Answers from shared memory are those of the services; whatever can not be believed is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateways.common import ring_readers
from gateways.common.errors import NO_SNAPSHOT, WireStyle
from gateways.common.market_snapshots import LATE_S, MarketSnapshots, Shown, SnapshotSource
from gateways.common.snapshot_answers import SnapshotAnswers
from tests.support.ring_leftovers import remove_rings
from vxnet.clock import ManualClock
from vxutils.protocol.book import decode_book, depth_text, encode_book
from vxutils.protocol.commands import (
    MARKET_DEALS,
    MARKET_LAST,
    MARKET_STATUS,
    MARKET_STATUS_TODAY,
    ORDER_DEPTH,
)
from vxutils.protocol.ticker import TickerSnapshot, encode_ticker
from vxutils.ring.ends import DEAD_AFTER_US
from vxutils.ring.segment import SHM_DIRECTORY, ring_name
from vxutils.ring.snapshot import SnapshotWriter

NOW_S = 1_790_000_000
DAY_S = 86_400
LEVELS = 3
SYSTEM_ID = bytes(range(16))


class Host:
    """The writers of one exchange, and a gateway beside them."""

    def __init__(self, directory: Path, source: SnapshotSource = "auto", style: WireStyle = "plain") -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.be(SYSTEM_ID)
        self.clock = ManualClock(wall_us=NOW_S * 1_000_000, monotonic_us=10_000_000)
        self.snapshots = MarketSnapshots(directory, style, self.clock)
        self.answers = SnapshotAnswers(self.snapshots, source)
        self.writers: list[SnapshotWriter] = []

    def be(self, system_id: bytes) -> None:
        (self.directory / "SYSTEM").write_text(json.dumps({"system_id": system_id.hex()}))

    def writer(self, what: str, slot_bytes: int = 1_000, system_id: bytes = SYSTEM_ID) -> SnapshotWriter:
        name = ring_name(system_id, self.directory, what)
        made = SnapshotWriter(name, slot_bytes, now=self.clock.monotonic_us)
        self.writers.append(made)
        return made

    def book(self, writer: SnapshotWriter, sequence: int, asks: int = 2, bids: int = 1) -> bytes:
        sides = [(100 + n, 5 + n) for n in range(asks)], [(99 - n, 7) for n in range(bids)]
        data = encode_book("M", sequence, 0, 1, 2, *sides, LEVELS)
        writer.publish(data, sequence, 0)
        return data

    def ticker(self, writer: SnapshotWriter, **changed: Any) -> None:
        members = {
            "market": "M",
            "offset": 5,
            "style": "plain",
            "good_until_s": NOW_S,
            "last": '"10.5"',
            "status": '{"period":86400}',
            "today": '{"open":"1"}',
        } | changed
        writer.publish(encode_ticker(TickerSnapshot(**members)), 7, 0)  # type: ignore[arg-type]

    def look(self, command: int, *params: Any) -> Any:
        found = self.answers.look(command, list(params))
        return found.text if isinstance(found, Shown) else found

    def pass_time(self, microseconds: int) -> None:
        """Without a beat."""
        self.clock.advance(microseconds)

    def samples(self) -> dict[tuple[str, ...], float]:
        return {(name, *labels): value for name, labels, value in self.answers.samples()}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path / "data")
    yield made
    made.snapshots.close()
    for writer in made.writers:
        writer.close()
    remove_rings(tmp_path)


@pytest.mark.parametrize("style", ["plain", "viabtc"])
def test_a_depth_is_that_of_the_engine(tmp_path: Path, style: WireStyle) -> None:
    host = Host(tmp_path / "data", style=style)
    writer = host.writer("book.M")
    for sequence, asks in ((3, 2), (9, 1)):
        book = decode_book(host.book(writer, sequence, asks=asks))
        for limit in (0, 1, 2, 101):
            found = host.answers.look(ORDER_DEPTH, ["M", limit, "0"])
            assert found == Shown(depth_text(book, limit, style), sequence)
    writer.close()


def test_a_depth_beyond_the_ring_is_the_engines(host: Host) -> None:
    host.book(host.writer("book.M"), 1, asks=LEVELS)
    assert host.look(ORDER_DEPTH, "M", LEVELS, "0") is not None
    assert host.look(ORDER_DEPTH, "M", LEVELS + 1, "0") is None


REFUSED: list[tuple[int, list[Any]]] = [
    (ORDER_DEPTH, []),
    (ORDER_DEPTH, ["M", 1]),
    (ORDER_DEPTH, ["M", 1, "0", 1]),
    (ORDER_DEPTH, ["M", 102, "0"]),
    (ORDER_DEPTH, ["M", -1, "0"]),
    (ORDER_DEPTH, ["M", True, "0"]),
    (ORDER_DEPTH, ["M", 1.0, "0"]),
    (ORDER_DEPTH, ["M", "1", "0"]),
    (ORDER_DEPTH, ["M", 1, 0]),
    (ORDER_DEPTH, ["M", 1, "0.1"]),
    (ORDER_DEPTH, ["M", 1, ""]),
    (ORDER_DEPTH, [1, 1, "0"]),
    (ORDER_DEPTH, [["M"], 1, "0"]),
    (MARKET_LAST, []),
    (MARKET_LAST, [1]),
    (MARKET_LAST, ["M", 1]),
    (MARKET_STATUS, ["M"]),
    (MARKET_STATUS, ["M", 3_600]),
    (MARKET_STATUS, ["M", 86_400.0]),
    (MARKET_STATUS, ["M", "86400"]),
    (MARKET_STATUS_TODAY, [None]),
    (MARKET_DEALS, ["M", 1, 0]),
]


@pytest.mark.parametrize("source", ["auto", "shm"])
def test_what_a_service_must_judge_goes_to_it(tmp_path: Path, source: SnapshotSource) -> None:
    host = Host(tmp_path / "data", source)
    host.book(host.writer("book.M"), 1)
    host.ticker(host.writer("ticker.M"))
    for command, params in REFUSED:
        assert host.look(command, *params) is None, params
    for writer in host.writers:
        writer.close()


@pytest.mark.parametrize("source", ["auto", "shm", "rpc"])
def test_what_is_not_there(tmp_path: Path, source: SnapshotSource) -> None:
    host = Host(tmp_path / "data", source)
    other = {"auto": None, "rpc": None, "shm": NO_SNAPSHOT}[source]
    for command, *params in (
        (ORDER_DEPTH, "M", 1, "0"),
        (MARKET_LAST, "M"),
        (MARKET_STATUS, "M", DAY_S),
        (MARKET_STATUS_TODAY, "M"),
    ):
        assert host.look(command, *params) is other
    host.ticker(host.writer("ticker.M"))
    host.pass_time(200_000)
    assert host.look(MARKET_LAST, "M") == (None if source == "rpc" else '"10.5"')
    samples = host.samples()
    named = {"auto": "rpc", "rpc": "rpc", "shm": "none"}[source]
    assert samples["snapshot_answers", "order.depth", named] == 1
    assert samples["snapshot_source", "market.status", named] == 1
    if source != "rpc":
        assert samples["snapshot_answers", "market.last", named] == 1
        assert samples["snapshot_source", "market.last", "shm"] == 1
        assert samples["snapshot_rings",] == 1
    for writer in host.writers:
        writer.close()


def test_prices_are_those_of_marketprice(host: Host) -> None:
    writer = host.writer("ticker.M")
    host.ticker(writer)
    assert host.look(MARKET_LAST, "M") == '"10.5"'
    assert host.look(MARKET_STATUS, "M", DAY_S) == '{"period":86400}'
    assert host.look(MARKET_STATUS_TODAY, "M") == '{"open":"1"}'
    host.ticker(writer, status="")
    assert host.look(MARKET_STATUS, "M", DAY_S) is None
    host.ticker(writer, style="viabtc")
    assert host.look(MARKET_LAST, "M") is None


def test_a_window_that_has_slid_is_asked_for(host: Host) -> None:
    writer = host.writer("ticker.M")
    host.ticker(writer)
    for seconds in range(LATE_S + 3):
        is_good = seconds <= LATE_S
        assert (host.look(MARKET_STATUS, "M", DAY_S) is not None) == is_good
        assert (host.look(MARKET_STATUS_TODAY, "M") is not None) == is_good
        assert host.look(MARKET_LAST, "M") is not None, "a price is the last one for ever"
        host.pass_time(1_000_000)
        writer.beat(host.clock.monotonic_us())


def test_a_dead_writer_and_its_successor(host: Host) -> None:
    first = host.writer("book.M")
    host.book(first, 1)
    assert host.answers.look(ORDER_DEPTH, ["M", 1, "0"]).sequence == 1  # type: ignore[union-attr]
    host.pass_time(DEAD_AFTER_US)
    assert host.look(ORDER_DEPTH, "M", 1, "0") is not None
    host.pass_time(1)
    assert host.look(ORDER_DEPTH, "M", 1, "0") is None
    second = host.writer("book.M")
    host.book(second, 2)
    assert host.answers.look(ORDER_DEPTH, ["M", 1, "0"]).sequence == 2  # type: ignore[union-attr]
    assert host.samples()["snapshot_reattached",] == 1


def test_a_removed_name_and_a_book_too_large(host: Host) -> None:
    writer = host.writer("book.M", slot_bytes=64)
    host.book(writer, 1)
    assert host.look(ORDER_DEPTH, "M", 1, "0") is not None
    writer.publish(b"x" * 65, 2, 0)
    assert host.look(ORDER_DEPTH, "M", 1, "0") is None
    host.book(writer, 3)
    assert host.look(ORDER_DEPTH, "M", 1, "0") is not None
    (SHM_DIRECTORY / writer.name[1:]).unlink()
    host.pass_time(200_000)
    assert host.look(ORDER_DEPTH, "M", 1, "0") is None
    assert writer.check()
    host.book(writer, 4)
    host.pass_time(200_000)
    assert host.look(ORDER_DEPTH, "M", 1, "0") is not None


def test_what_is_no_book_and_no_ticker(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.writer("book.M").publish(b"no book", 1, 0)
    host.writer("ticker.M").publish(b"no ticker", 1, 0)
    for _ in range(3):
        assert host.look(ORDER_DEPTH, "M", 1, "0") is None
        assert host.look(MARKET_LAST, "M") is None
    assert len(caplog.records) == 1


def test_another_exchange_in_the_directory(host: Host) -> None:
    host.book(host.writer("book.M"), 1)
    assert host.look(ORDER_DEPTH, "M", 1, "0") is not None
    other = bytes(reversed(SYSTEM_ID))
    host.be(other)
    host.book(host.writer("book.M", system_id=other), 2)
    host.pass_time(ring_readers.LOOK_US)
    assert host.answers.look(ORDER_DEPTH, ["M", 1, "0"]).sequence == 1  # type: ignore[union-attr]
    host.writers.pop(0).close()
    assert host.answers.look(ORDER_DEPTH, ["M", 1, "0"]).sequence == 2  # type: ignore[union-attr]
    (host.directory / "SYSTEM").write_text("{")
    host.pass_time(ring_readers.LOOK_US)
    assert host.look(ORDER_DEPTH, "M", 1, "0") is not None


def test_an_exchange_that_comes_later(tmp_path: Path) -> None:
    host = Host(tmp_path / "data")
    (tmp_path / "data" / "SYSTEM").unlink()
    snapshots = MarketSnapshots(host.directory, "plain", host.clock)
    assert snapshots.last("M") is None
    host.be(SYSTEM_ID)
    host.ticker(host.writer("ticker.M"))
    host.pass_time(ring_readers.LOOK_US)
    assert snapshots.last("M") is not None
    snapshots.close()
    host.writers[0].close()


def test_names_that_are_no_markets_take_no_room(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring_readers, "READERS_MAX", 5)
    host.book(host.writer("book.M"), 1)
    assert host.look(ORDER_DEPTH, "M", 1, "0") is not None
    for number in range(50):
        assert host.look(ORDER_DEPTH, f"no such {number}", 1, "0") is None
        assert host.look(ORDER_DEPTH, "M", 1, "0") is not None
    assert host.look(ORDER_DEPTH, "\udcff/../\0" * 200, 1, "0") is None
    assert host.samples()["snapshot_rings",] == 1
    assert host.samples()["snapshot_reattached",] == 0
