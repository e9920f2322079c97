"""A start on a journal that is not as it was written: a torn tail is cut and told, damage stops it.

The last frame of an unclean journal may be unfinished - unless DURABLE says that it was acknowledged.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from matchengine import system
from matchengine.journal.reader import Frame, JournalEnd, scan
from tests.processes.crashing import audit, births, crash_config
from tests.support.processes import EngineProcess
from vxutils.disk import Disk
from vxutils.exits import ExitCode

DURABLE_CELL = 32  # docs of matchengine.journal.durable
ACKNOWLEDGED = 5


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    """Killed after five acknowledged deposits, each in a frame of its own."""
    process = EngineProcess(tmp_path, crash_config(256 << 10), watchdog=True)
    process.start()
    with process.client() as client:
        for number in range(ACKNOWLEDGED):
            assert client.call(102, [7, "BTC", "deposit", number, "1", {}])["error"] is None
    process.kill()
    yield process
    process.end()


def frames(engine: EngineProcess) -> tuple[list[Frame], JournalEnd]:
    identity = system.read_system(Disk(), engine.data_dir)
    reading = scan(Disk(), engine.data_dir / "journal", identity.id_bytes)
    found = list(reading)
    assert reading.end is not None
    return found, reading.end


def set_durable(engine: EngineProcess, sequence: int) -> None:
    """As if the machine had died before the sync after `sequence` returned."""
    with (engine.data_dir / "journal" / "DURABLE").open("r+b") as file:
        file.seek(DURABLE_CELL)
        file.write(struct.pack("=Q", sequence))


def write_at(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def truncate(path: Path, frame: Frame, end: int) -> None:
    with path.open("r+b") as file:
        file.truncate(frame.offset + (end - frame.offset) // 2)


def zero(path: Path, frame: Frame, end: int) -> None:
    middle = frame.offset + (end - frame.offset) // 2
    write_at(path, middle, bytes(end - middle))


def garbage(path: Path, frame: Frame, end: int) -> None:
    middle = frame.offset + (end - frame.offset) // 2
    write_at(path, middle, b"\xa5" * (end - middle))


DAMAGES = [truncate, zero, garbage]
Damage = Callable[[Path, Frame, int], None]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_torn_tail_is_cut_and_reported(engine: EngineProcess, damage: Damage) -> None:
    found, end = frames(engine)
    last = found[-1]
    damage(end.segment_path, last, end.valid_bytes)
    set_durable(engine, end.last_sequence - 1)
    engine.start()
    assert f"a torn frame was cut: {end.segment_path}, offset {last.offset}, " in engine.stderr
    assert "it had not been acknowledged" in engine.stderr
    assert end.segment_path.stat().st_size == last.offset, "nothing of it is left"
    with engine.client() as client:
        assert client.call(101, [7, "BTC"])["result"]["BTC"]["available"] == f"{ACKNOWLEDGED - 1}"
        again = [7, "BTC", "deposit", ACKNOWLEDGED - 1, "1", {}]
        assert client.call(102, again)["error"] is None, "it was not done, so it is no repeat"
        assert client.call(102, again)["error"]["code"] == 10
    assert engine.terminate() == 0
    assert audit(engine.data_dir)["sequence"] == ACKNOWLEDGED + 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_acknowledged_can_not_be_torn(engine: EngineProcess, damage: Damage) -> None:
    found, end = frames(engine)
    last = found[-1]
    damage(end.segment_path, last, end.valid_bytes)
    before = end.segment_path.read_bytes()
    sequence = end.last_sequence
    stopped(
        engine,
        f"{end.segment_path}, offset {last.offset}: ",
        f"acknowledged operations {sequence}..{sequence}",
    )
    assert end.segment_path.read_bytes() == before, "a refused start changes nothing"


def test_an_unfinished_frame_after_the_acknowledged_ones(engine: EngineProcess) -> None:
    """What a kill in the middle of a write leaves."""
    found, end = frames(engine)
    size = end.valid_bytes - found[-1].offset
    with end.segment_path.open("rb") as file:
        file.seek(found[-1].offset)
        half = file.read(size)[: size // 2]
    write_at(end.segment_path, end.valid_bytes, half)
    engine.start()
    assert (
        f"a torn frame was cut: {end.segment_path}, offset {end.valid_bytes}, {len(half)} bytes"
        in engine.stderr
    )
    with engine.client() as client:
        assert client.call(101, [7, "BTC"])["result"]["BTC"]["available"] == f"{ACKNOWLEDGED}"
    assert engine.terminate() == 0
    assert audit(engine.data_dir)["torn_bytes"] == 0


@pytest.mark.parametrize("number", range(ACKNOWLEDGED))
def test_a_flipped_bit_before_the_tail_stops_the_start(engine: EngineProcess, number: int) -> None:
    found, end = frames(engine)
    frame = found[number]
    offset = frame.offset + 8 + 11 * number
    byte = end.segment_path.read_bytes()[offset]
    write_at(end.segment_path, offset, bytes([byte ^ 0x04]))
    stopped(engine, f"{end.segment_path}, offset {frame.offset}: an invalid frame, with a valid one after it")
    write_at(end.segment_path, offset, bytes([byte]))
    engine.start()
    assert engine.terminate() == 0


def test_a_flipped_bit_in_an_older_segment(engine: EngineProcess) -> None:
    found, end = frames(engine)
    engine.start()
    engine.kill()
    byte = end.segment_path.read_bytes()[found[2].offset]
    write_at(end.segment_path, found[2].offset, bytes([byte ^ 0x80]))
    stopped(engine, f"{end.segment_path}, offset {found[2].offset}")


def stopped(engine: EngineProcess, *words: str) -> None:
    """Refused with exit code 65, file and offset named, and the watchdog does not try again."""
    engine.launch()
    assert engine.wait() == int(ExitCode.JOURNAL_DAMAGED) == 65, engine.output
    for word in ("the journal is damaged: ", *words, "not restarted, a person is needed"):
        assert word in engine.stderr, f"{word!r} is not in\n{engine.stderr}"
    assert "Traceback" not in engine.stderr
    assert len(births(engine)) == 1
