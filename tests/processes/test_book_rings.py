"""A gateway on the same host finds the engine's book in shared memory, whatever happens to the engine."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from matchengine.system import read_system
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess, wait_until
from tests.support.ring_leftovers import remove_rings
from vxutils.disk import Disk
from vxutils.protocol.book import BookSnapshot, decode_book, depth_text
from vxutils.ring.segment import SHM_DIRECTORY, ring_name
from vxutils.ring.snapshot import SnapshotReader


@pytest.fixture(autouse=True)
def clean(tmp_path: Path) -> Iterator[None]:
    yield
    remove_rings(tmp_path)


def name_of(engine: EngineProcess, market: str) -> str:
    return ring_name(read_system(Disk(), engine.data_dir).id_bytes, engine.data_dir, f"book.{market}")


def book(reader: SnapshotReader) -> BookSnapshot:
    snapshot = reader.read()
    assert snapshot is not None, reader
    return decode_book(snapshot.payload)


def limit(side: int, amount: str, price: str) -> list[Any]:
    return [1, "BTCCNY", side, amount, price, "0", "0", "s"]


def test_a_book_in_shared_memory_is_that_of_the_reply(tmp_path: Path) -> None:
    with EngineProcess(tmp_path, toml_config()) as engine, engine.client() as client:
        reader = SnapshotReader(name_of(engine, "BTCCNY"))
        for number, asset in enumerate(("BTC", "CNY")):
            assert client.call(102, [1, asset, "deposit", number, "1000000", {}])["error"] is None
        sequence = book(reader).sequence
        for step in range(100):
            order = limit(1 + step % 2, "0.5", f"{100 + step * 7 % 11}")
            assert client.call(201, order)["error"] is None
            found = book(reader)
            assert found.sequence > sequence, "not older than its own reply"
            sequence = found.sequence
            asked = client.call(206, ["BTCCNY", 100, "0"])
            assert sequence <= asked["sequence"]
            assert json.loads(depth_text(found, 100, "plain")) == asked["result"]
        assert reader.torn == 0
        with urllib.request.urlopen(f"http://{monitor_of(engine)}/metrics", timeout=5) as answer:
            metrics = answer.read().decode()
        markets = len(client.call(307, [])["result"])
        assert f"vx_engine_rings {markets}.0" in metrics
        assert "vx_engine_rings_failed 0.0" in metrics
        assert engine.terminate() == 0
        assert reader.read() is None
        assert not reader.is_attached
        reader.close()
        assert rings_of(engine) == []


def test_a_killed_engine_is_noticed_and_its_successor_found(tmp_path: Path) -> None:
    with EngineProcess(tmp_path, toml_config()) as engine:
        reader = SnapshotReader(name_of(engine, "BTCCNY"), dead_after_us=1_500_000)
        with engine.client() as client:
            assert client.call(102, [1, "BTC", "deposit", 1, "10", {}])["error"] is None
            assert client.call(201, limit(1, "2", "100"))["error"] is None
        assert book(reader).asks != []
        generation = reader.generation
        engine.kill()
        assert len(rings_of(engine)) > 1, "it could not remove them"
        wait_until(lambda: reader.read() is None, "the death of the engine")
        engine.start()
        with engine.client() as client:
            found = book(reader)
            assert (reader.generation != generation, reader.reattached) == (True, 1)
            asked = client.call(206, ["BTCCNY", 100, "0"])["result"]
            assert json.loads(depth_text(found, 100, "plain")) == asked
            assert len(asked["asks"]) == 1
            # While the engine stands still its rings are not believed; then they are again.
            os.kill(engine.pid, signal.SIGSTOP)
            wait_until(lambda: reader.read() is None, "the standstill")
            os.kill(engine.pid, signal.SIGCONT)
            wait_until(lambda: reader.read() is not None, "the next beat")
            assert reader.reattached == 1
        # An engine that is back before anybody missed it: its first answer must find no older book.
        engine.kill()
        engine.start()
        with engine.client() as client:
            assert client.call(201, limit(1, "2", "101"))["error"] is None
            assert len(book(reader).asks) == 2
        reader.close()


def test_two_engines_and_rings_taken_away(tmp_path: Path) -> None:
    places = [tmp_path / "one", tmp_path / "two"]
    for place in places:
        place.mkdir()
    with EngineProcess(places[0], toml_config()) as one, EngineProcess(places[1], toml_config()) as two:
        readers = [SnapshotReader(name_of(engine, "BTCCNY")) for engine in (one, two)]
        with one.client() as client, two.client() as other:
            for number, owner in enumerate((client, other), 1):
                assert owner.call(102, [1, "BTC", "deposit", 1, "10", {}])["error"] is None
                assert owner.call(201, limit(1, str(number), "100"))["error"] is None
            amounts = [book(reader).asks[0][1] for reader in readers]
            assert amounts[1] == 2 * amounts[0]
            for ring in rings_of(one):
                ring.unlink()
            assert client.call(201, limit(1, "1", "100"))["error"] is None
            wait_until(
                lambda: readers[0].read() is not None and readers[0].reattached == 1, "the ring made anew"
            )
            assert book(readers[0]).asks[0][1] == 2 * amounts[0]
            assert readers[1].reattached == 0
        for reader in readers:
            reader.close()


def test_an_engine_without_rings_serves(tmp_path: Path) -> None:
    """Something else has the name; one alarm, and depth is asked by RPC."""
    engine = EngineProcess(tmp_path, toml_config())
    with engine:
        name = name_of(engine, "BTCCNY")
        assert engine.terminate() == 0
    blocker = SHM_DIRECTORY / name[1:]
    blocker.mkdir()
    try:
        with engine.start(), engine.client() as client:
            assert client.call(206, ["BTCCNY", 10, "0"])["error"] is None
            alarm = re.findall(r"\[fatal\].*no ring for the book of BTCCNY", engine.stderr)
            assert len(alarm) == 1, engine.stderr
            assert SnapshotReader(name).read() is None
            assert SnapshotReader(name_of(engine, "LTCBTC")).read() is not None
    finally:
        blocker.rmdir()


def rings_of(engine: EngineProcess) -> list[Path]:
    return sorted(SHM_DIRECTORY.glob(name_of(engine, "")[1:] + "*"))


def monitor_of(engine: EngineProcess) -> str:
    match = re.search(r"monitor tcp@([\d.]+:\d+)", engine.stdout)
    assert match is not None, engine.stdout
    return match[1]
