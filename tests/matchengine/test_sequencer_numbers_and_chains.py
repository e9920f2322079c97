"""Sequences without gaps, operation ids for the four commands alone, and a digest that pins every outcome."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matchengine import recovery, system
from matchengine.core import engine as engine_module
from matchengine.core.commands import CancelOrder, ShiftAge, UpdateBalance
from matchengine.core.matching import execute
from matchengine.journal.reader import Frame, scan
from matchengine.journal.record import decode_records
from matchengine.position import Position, chain_crc, chain_digest
from matchengine.sequencer import Sequencer
from tests.support.hand_worker import HandWorker, audit
from vxutils.disk import Disk
from vxutils.packing import pack


class MemoryJournal:
    """Keeps the frames."""

    frame_bytes_max = 10_000
    room = 50_000

    def __init__(self) -> None:
        self.frames: list[tuple[list[bytes], int, int, bytes]] = []

    def append(self, records: list[bytes], first_sequence: int, time_us: int, digest: bytes) -> None:
        self.frames.append((records, first_sequence, time_us, digest))

    def sync(self) -> int:
        return 0


UPDATE = UpdateBalance(5_000, 1, "BTC", "d", 1, 5, "")
CANCEL = CancelOrder(6_000, 1, "BTCUSD", 7, "")
SHIFT = ShiftAge(7_000, 3)


def test_frames_records_and_ids() -> None:
    journal = MemoryJournal()
    position = Position(sequence=10, operation_id=4, outcome_crc=99, digest=b"before!!")
    sequencer = Sequencer(position, journal)
    assert not sequencer.write(), "nothing to write"
    sequencer.accept(UPDATE, [5], b"first")
    sequencer.accept(SHIFT, [3], b"")
    assert sequencer.write()
    sequencer.accept(CANCEL, [7, 1], b"second")
    assert sequencer.write()
    assert not sequencer.write()

    (one, first_one, time_one, digest_one), (two, first_two, time_two, digest_two) = journal.frames
    assert (first_one, time_one, first_two, time_two) == (11, 7_000, 13, 6_000)
    records = list(decode_records(b"".join(one + two)))
    assert [(r.sequence, r.operation_id) for r in records] == [(11, 5), (12, 0), (13, 6)]
    assert [r.params for r in records] == [b"first", b"", b"second"]
    assert [r.command for r in records] == [UPDATE, SHIFT, CANCEL]
    texts = [pack([5]), pack([3]), pack([7, 1])]
    crc = 99
    for record, text in zip(records, texts, strict=True):
        crc = chain_crc(crc, text)
        assert record.outcome_crc == crc
    assert digest_one == chain_digest(b"before!!", texts[0] + texts[1])
    assert digest_two == chain_digest(digest_one, texts[2])
    assert position == Position(13, 6, 6_000, crc, digest_two)


@pytest.mark.parametrize(
    "outcomes", [([5], [4]), ([5, 3],), ([53],), ([3], [5]), ([-5], [3]), ([5], [3], [0])]
)
def test_any_other_outcome_is_another_digest(outcomes: tuple[list[int], ...]) -> None:
    known = chain_digest(bytes(8), pack([5]) + pack([3]))
    assert chain_digest(bytes(8), b"".join(map(pack, outcomes))) != known


def frames_of(data: Path) -> list[Frame]:
    identity = system.read_system(Disk(), data)
    return list(scan(Disk(), data / "journal", identity.id_bytes))


def test_the_chain_is_unbroken_over_restarts_and_slices(tmp_path: Path) -> None:
    """From the first record on: each digest follows from the one before, whatever ended the run."""
    data = tmp_path / "data"
    for run in range(6):
        with HandWorker(data) as worker:
            for number in range(3):
                worker.hold(102, [1, "BTC", "deposit", 10 * run + number, "1", {}])
            worker.turn()
            worker.done(201, [1, "BTCUSD", 1, "0.5", "10", "0", "0", "s"])
            worker.stop() if run % 2 else worker.crash()
    position, epochs = Position(), []
    identity = system.read_system(Disk(), data)
    found = recovery.recover(Disk(), data, data / "journal", identity, use_slices=False)
    for frame in frames_of(data):
        epochs.append(frame.epoch)
        for record in decode_records(frame.payload):
            assert record.sequence == position.sequence + 1
            position.sequence = record.sequence
            if record.operation_id:
                assert record.operation_id == position.operation_id + 1
                position.operation_id = record.operation_id
    assert epochs == sorted(epochs)
    assert set(epochs) == {1, 2, 3, 4, 5, 6}
    assert (position.sequence, position.operation_id) == (1 + 24, 24)
    assert (found.position.sequence, found.position.operation_id) == (25, 24)
    audit(data)


def test_logic_that_decides_otherwise_is_found_at_its_record(tmp_path: Path, monkeypatch: Any) -> None:
    """A changed program must not rewrite history: the start stops where the first outcome differs."""
    data = tmp_path / "data"
    with HandWorker(data) as worker:
        worker.done(102, [1, "BTC", "deposit", 1, "10", {}])
        worker.done(201, [1, "BTCUSD", 1, "1", "100", "0", "0", "s"])
        worker.done(102, [2, "USD", "deposit", 1, "1000", {}])
        worker.done(201, [2, "BTCUSD", 2, "1", "100", "0.001", "0", "s"])
        worker.crash()
    original = execute

    def generous(market: Any, taker: Any, *others: Any) -> int:
        taker.taker_fee = 0
        return original(market, taker, *others)

    with monkeypatch.context() as patch:
        patch.setattr(engine_module, "execute", generous)
        with pytest.raises(recovery.ReplayDiffers, match=r"record 5 \(PutLimit\) has another outcome now"):
            HandWorker(data).__enter__()
    with HandWorker(data) as worker:
        assert worker.engine.last_deal_id == 1
    audit(data)
