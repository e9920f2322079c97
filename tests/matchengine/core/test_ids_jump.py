"""A jump of the ids: what comes next is above, nothing goes down, and a replay counts in the same way."""

from __future__ import annotations

from pathlib import Path

import pytest

from matchengine import offline, recovery, system
from matchengine.core.commands import KIND_OF, KINDS, JumpIds
from matchengine.journal.format import SEGMENT_BYTES_MIN
from tests.support.hand_worker import BEGIN_US, HandWorker, audit
from vxnet.clock import ManualClock
from vxutils.disk import Disk

ORDER = [1, "BTCUSD", 1, "1", "100", "0", "0", "t"]


def jump(data: Path, order_id: int, deal_id: int, operation_id: int) -> None:
    """Journals the command, as a restore does."""
    identity = system.open_epoch(Disk(), data)
    found = recovery.recover(Disk(), data, data / "journal", identity)
    command = JumpIds(BEGIN_US, order_id, deal_id, operation_id)
    clock = ManualClock(BEGIN_US)
    offline.append_command(Disk(), clock, data, data / "journal", identity, found, command, SEGMENT_BYTES_MIN)


@pytest.mark.parametrize(
    ("ids", "after"),
    [
        ((100, 200, 300), (100, 200, 300)),
        ((0, 0, 0), (1, 0, 2)),
        ((100, 0, 0), (100, 0, 2)),
        ((0, 10**18, 10**18), (1, 10**18, 10**18)),
    ],
)
def test_ids_go_on_above(tmp_path: Path, ids: tuple[int, int, int], after: tuple[int, int, int]) -> None:
    data = tmp_path / "data"
    with HandWorker(data) as worker:
        worker.done(102, [1, "BTC", "deposit", 1, "9", {}])
        worker.done(201, ORDER)
    jump(data, *ids)
    found = audit(data)
    assert (found.last_order_id, found.last_deal_id, found.operation_id) == after
    with HandWorker(data) as worker:
        assert worker.done(201, ORDER)["id"] == after[0] + 1
        assert worker.worker.position.operation_id == after[2] + 1
        worker.crash()
    assert audit(data).operation_id == after[2] + 1


def test_its_number_is_for_ever() -> None:
    assert KINDS[13] is JumpIds and KIND_OF[JumpIds] == 13
    assert JumpIds.__struct_fields__ == ("time_us", "order_id", "deal_id", "operation_id", "key")
