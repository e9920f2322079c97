"""A data directory whose exchange went on elsewhere can be looked at and copied; nothing starts on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from matchengine import offline, recovery, system
from matchengine.handed_over import (
    HANDED_OVER_FILE,
    HandOverMark,
    SystemHandedOver,
    demand_not_handed_over,
    read_mark,
    write_mark,
)
from matchengine.system import SystemFileError
from tests.matchengine.backups.exchanges import exchange, put_back, take
from vxnet.clock import SystemClock
from vxutils.disk import Disk

SENTENCE = r"was handed over to the C system at sequence 7 \(slice 1700\): .*vx adopt"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    exchange(data, rounds=3)
    mark = HandOverMark(
        system_id=system.read_system(Disk(), data).system_id,
        sequence=7,
        operation_id=5,
        order_id=4,
        deal_id=3,
        slice_time_s=1700,
        time_us=1_701_000_000,
    )
    assert read_mark(Disk(), data) is None
    write_mark(Disk(), data, mark)
    assert read_mark(Disk(), data) == mark
    return data


def test_its_rules_are_not_changed(data: Path) -> None:
    found = recovery.recover(Disk(), data, data / "journal", system.read_system(Disk(), data))
    with pytest.raises(SystemHandedOver, match=SENTENCE):
        offline.apply_rules(Disk(), SystemClock(), data, data / "journal", found.engine.rules, 1 << 20)


def test_it_can_be_looked_at(data: Path) -> None:
    assert offline.audit(Disk(), data, data / "journal").is_sound


def test_its_backup_is_closed_as_well(data: Path, tmp_path: Path) -> None:
    take(data, tmp_path / "backup")
    put_back(tmp_path / "backup", tmp_path / "new")
    with pytest.raises(SystemHandedOver, match=SENTENCE):
        demand_not_handed_over(Disk(), tmp_path / "new")


def test_a_mark_that_can_not_be_read_is_one(data: Path) -> None:
    (data / HANDED_OVER_FILE).write_text("{}")
    with pytest.raises(SystemFileError, match="handed over to the C system, and can not be read"):
        demand_not_handed_over(Disk(), data)
