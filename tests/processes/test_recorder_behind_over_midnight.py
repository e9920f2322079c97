"""The whole recorder on a real MariaDB, late over midnight and over both changes of the clocks.

The journal is written by the real worker with a clock of the test; the recorder reads it by today's clock,
long after the last record: two hours or more than that are the same to it. Operations are in the tables of
their records' days, in order, without a gap; and from each slice a C loader, whenever it comes, finds all.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.processes.histories_in_mysql import mysql_config
from tests.processes.recorders import RecorderProcess
from tests.servers.mariadb import MariaDbAddress
from tests.support.c_loader import days_read
from tests.support.hand_worker import HandWorker, hand_settings
from tests.support.processes import wait_until
from tests.vxutils.store.mysql.databases import Pair, fresh
from vxnet.clock import ManualClock

SECOND_US = 1_000_000
INTERVAL_S = 3_600
PATIENCE_S = 60.0

# Local time of each operation (`!`: the second one of a repeated hour). At `---` the recorder comes and makes
# its first slice; the rest it reads when all of it has happened.
SHORT_DAY = """\
2026-03-28T22:10:00
2026-03-28T23:30:00
---
2026-03-28T23:59:59
2026-03-29T00:00:00
2026-03-29T01:59:59
2026-03-29T03:00:00
2026-03-29T23:59:59
2026-03-30T00:00:00
"""
LONG_DAY = """\
2026-10-24T23:59:59
2026-10-25T00:00:00
2026-10-25T02:30:00
2026-10-25T02:30:00!
2026-10-25T23:30:00
---
2026-10-25T23:59:59
2026-10-26T00:00:00
"""
SHORT_BY_HALF_AN_HOUR = """\
2026-10-03T23:45:00
---
2026-10-04T00:00:00
2026-10-04T01:59:59
2026-10-04T02:30:00
2026-10-05T00:00:00
"""
CASES = [
    ("Europe/Berlin", SHORT_DAY),
    ("Europe/Berlin", LONG_DAY),
    ("Australia/Lord_Howe", SHORT_BY_HALF_AN_HOUR),
]


@pytest.fixture(scope="module")
def made_pair(mariadb: MariaDbAddress) -> Pair:
    return Pair(mariadb)


@pytest.fixture
def pair(made_pair: Pair) -> Iterator[Pair]:
    yield from fresh(made_pair)


def times_of(text: str, zone: ZoneInfo) -> list[int]:
    return [
        int(datetime.fromisoformat(line.rstrip("!")).replace(tzinfo=zone, fold=line.count("!")).timestamp())
        for line in text.splitlines()
    ]


def operate(data: Path, times: list[int], first_id: int) -> None:
    """Deposits at these times, operations `first_id` and on."""
    clock = ManualClock(times[0] * SECOND_US)
    with HandWorker(data, hand_settings(), clock) as worker:
        for number, time_s in enumerate(times, first_id):
            clock.advance(time_s * SECOND_US - clock.wall_us())
            worker.done(102, [number % 3, "BTC", "deposit", number, "1", {}])


def slices_in(pair: Pair) -> list[tuple[int, int]]:
    """Time and last operation of each, oldest first."""
    return [
        (int(time_s), int(last))
        for time_s, last in pair.rows("log", "SELECT time, end_oper_id FROM slice_history ORDER BY id")
    ]


def is_loaded(pair: Pair, time_s: int, last: int, times: list[int], now_s: int, zone: ZoneInfo) -> bool:
    """Whether a C loader that starts at `now_s`, from a slice of `time_s` which ends with operation `last`,
    gets all that there is until then, without a gap."""
    tables = pair.days()
    found: list[int] = []
    for name in days_read(time_s, now_s, zone):
        after = found[-1] if found else last
        found += [row[0] for row in tables.get(name, []) if row[0] > after]
    wanted = [number for number, at_s in enumerate(times, 1) if number > last and at_s <= now_s]
    return found[: len(wanted)] == wanted


@pytest.mark.parametrize(("zone_name", "text"), CASES, ids=["short", "long", "half"])
def test_days_ids_and_slices(tmp_path: Path, pair: Pair, zone_name: str, text: str) -> None:
    zone = ZoneInfo(zone_name)
    before, after = text.split("---\n")
    early, late = times_of(before, zone), times_of(after, zone)
    times = early + late
    data, config = tmp_path / "data", tmp_path / "config.toml"
    settings = mysql_config(pair, slice_interval_s=INTERVAL_S)
    config.write_text(settings.replace("[history]\n", f'[history]\ntime_zone = "{zone_name}"\n'))
    operate(data, early, 1)
    with RecorderProcess(tmp_path, config, data) as recorder:
        recorder.wait_until_committed()
        wait_until(lambda: len(slices_in(pair)) == 1, "the first slice", PATIENCE_S)
        operate(data, late, len(early) + 1)
        recorder.wait_until_committed()
        wait_until(lambda: slices_in(pair)[-1][1] == len(times), "a slice of the last hour", PATIENCE_S)
        assert recorder.terminate() == 0, recorder.output

    expected: dict[str, list[int]] = {}
    for number, line in enumerate((before + after).splitlines(), 1):
        expected.setdefault(f"operlog_{line[:10].replace('-', '')}", []).append(number)
    assert {name: [row[0] for row in rows] for name, rows in pair.days().items()} == expected
    assert [row[1] for rows in pair.days().values() for row in rows] == times

    made = slices_in(pair)
    assert made[0][1] == len(early)
    assert made[0][0] < early[-1], "under the time of its last record a day would be missed"
    starts = [*times, times[-1] + 3 * 86_400]
    for time_s, last in made:
        assert all(is_loaded(pair, time_s, last, times, now_s, zone) for now_s in starts[last - 1 :])
    assert not all(is_loaded(pair, early[-1], len(early), times, now_s, zone) for now_s in starts)
