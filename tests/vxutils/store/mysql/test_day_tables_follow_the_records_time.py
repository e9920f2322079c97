"""Operations go to the table of the local date of their record, whenever they are written."""

from __future__ import annotations

from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest

from tests.vxutils.store.mysql.databases import Pair
from vxutils.store.embedded.schema import HistoryBatch, HistoryPosition
from vxutils.store.mysql.rows import DayTables

BERLIN = ZoneInfo("Europe/Berlin")
TOKYO = ZoneInfo("Asia/Tokyo")


def us(zone: tzinfo, *parts: int) -> int:
    return int(datetime(*parts, tzinfo=zone).timestamp()) * 1_000_000  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("zone", "parts", "after_us", "day"),
    [
        (BERLIN, (2026, 3, 29, 0, 0, 0), -1, "20260328"),
        (BERLIN, (2026, 3, 29, 0, 0, 0), 0, "20260329"),
        (BERLIN, (2026, 3, 29, 0, 0, 0), 23 * 3_600_000_000 - 1, "20260329"),
        (BERLIN, (2026, 3, 29, 0, 0, 0), 23 * 3_600_000_000, "20260330"),
        (BERLIN, (2026, 10, 25, 0, 0, 0), 25 * 3_600_000_000 - 1, "20261025"),
        (BERLIN, (2026, 10, 25, 0, 0, 0), 25 * 3_600_000_000, "20261026"),
        (TOKYO, (2026, 1, 1, 0, 0, 0), -1, "20251231"),
        (TOKYO, (2026, 1, 1, 0, 0, 0), 0, "20260101"),
    ],
)
def test_which_day(zone: tzinfo, parts: tuple[int, ...], after_us: int, day: str) -> None:
    assert DayTables(zone).name(us(zone, *parts) + after_us) == f"operlog_{day}"


def test_a_batch_over_midnight_goes_to_two_tables(pair: Pair) -> None:
    midnight_us = us(BERLIN, 2026, 10, 25, 0, 0, 0)
    times = [midnight_us - 1, midnight_us, midnight_us + 25 * 3_600_000_000]
    operlog = [(number, number, time_us, "{}") for number, time_us in enumerate(times, 1)]
    writer = pair.open(zone=BERLIN, zone_name="Europe/Berlin")
    writer.append(HistoryBatch(0, HistoryPosition(3, 1, times[-1]), list(operlog)))
    writer.close()
    assert {name: [row[0] for row in rows] for name, rows in pair.days().items()} == {
        "operlog_20261024": [1],
        "operlog_20261025": [2],
        "operlog_20261026": [3],
    }
