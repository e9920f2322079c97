"""The checker that stands for a start of the C system, on databases made by hand: what it takes, what not."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.matchengine.c_database.left_by_c import (
    DAYS,
    LAST_OPERATION,
    exchange_after_scenario,
    insert,
    put_operations,
    put_slice,
)
from tests.support.c_loader import CLoadError, CSystem, days_read, load
from tests.support.configs import recorded_rules
from tests.support.loaded_by_c import state_of
from tests.vxutils.store.mysql.databases import Pair

NOON_S = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp())
EARLIER_S = int(datetime(2026, 11, 21, 20, tzinfo=UTC).timestamp())
BERLIN = ZoneInfo("Europe/Berlin")


def loaded(pair: Pair, now_s: int = NOON_S) -> CSystem:
    return load(pair.log, recorded_rules(), now_s, UTC)


def begin_before_all(pair: Pair) -> None:
    """An empty slice of the evening before: everything is in the log after it."""
    for family in ("slice_order", "slice_balance"):
        insert(pair, f"{family}_{EARLIER_S}", [], f"{family}_example")
    insert(pair, "slice_history", [[None, EARLIER_S, 0, 0, 0]])


def test_days_across_midnight_lead_to_the_state_of_our_engine(pair: Pair) -> None:
    put_operations(pair)
    begin_before_all(pair)
    ours = exchange_after_scenario().engine
    assert loaded(pair).state == state_of(ours, LAST_OPERATION)


def test_a_slice_of_the_c_system_is_loaded(pair: Pair) -> None:
    put_operations(pair)
    put_slice(pair)
    assert loaded(pair).state["counters"] == (LAST_OPERATION, 27, 19)


def test_without_a_slice_only_today_is_read(pair: Pair) -> None:
    put_operations(pair)
    with pytest.raises(CLoadError, match=r"invalid id: 31 in operlog_20261122, last is 0"):
        loaded(pair)
    assert loaded(pair, NOON_S + 86_400).operation_id == 0, "a missing table counts as an empty one"


def becomes(detail: str) -> str:
    return f"UPDATE operlog_{DAYS[1]} SET detail = {detail} WHERE id = 40"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (f"DELETE FROM operlog_{DAYS[1]} WHERE id = 40", "invalid id: 41 in .*, last is 39"),
        (f"DROP TABLE operlog_{DAYS[0]}", "invalid id: 31 in .*, last is 0"),
        (becomes("NULL"), "operation 40 can not be parsed"),
        (becomes("'{}'"), "operation 40 can not be parsed"),
        (becomes("""'{"method": "stop_order", "params": []}'"""), "unknown method 'stop_order'"),
        (
            becomes("""'{"method": "update_balance", "params": [1, "BTC", "w", 9, "-1000", {}]}'"""),
            "operation 40, update_balance: balance not enough",
        ),
        (
            becomes("""'{"method": "cancel_order", "params": [1, "BTCBCH", 999]}'"""),
            "operation 40, cancel_order: order not found",
        ),
        (f"DROP TABLE slice_order_{EARLIER_S}", f"slice_order_{EARLIER_S}' doesn't exist"),
    ],
)
def test_it_does_not_start_from_what_is_broken(pair: Pair, damage: str, sentence: str) -> None:
    put_operations(pair)
    begin_before_all(pair)
    pair.run("log", damage)
    with pytest.raises(CLoadError, match=sentence):
        loaded(pair)


def test_unknown_assets_and_markets_are_passed_over(pair: Pair) -> None:
    put_operations(pair)
    begin_before_all(pair)
    unknown = (
        '{"method": "update_balance", "params": [1, "DOGE", "w", 9, "5", {}]}',
        '{"method": "limit_order", "params": [1, "DOGEBTC", 1, "1", "1", "0", "0", ""]}',
    )
    more = [[LAST_OPERATION + 1 + number, NOON_S, detail] for number, detail in enumerate(unknown)]
    insert(pair, f"operlog_{DAYS[1]}", more)
    ours = exchange_after_scenario().engine
    assert loaded(pair).state == state_of(ours, LAST_OPERATION + 2)


@pytest.mark.parametrize(
    ("slice_at", "now", "days"),
    [
        ("2026-11-20 10:00", "2026-11-22 09:00", ["20261120", "20261121", "20261122"]),
        ("2026-11-22 10:00", "2026-11-22 23:59", ["20261122"]),
        ("2026-03-28 23:30", "2026-03-30 12:00", ["20260328", "20260330"]),  # the short day is left out
        ("2026-10-25 23:30", "2026-10-25 23:50", []),  # the last hour of a long day is not begun
    ],
)
def test_which_days_are_read(slice_at: str, now: str, days: list[str]) -> None:
    first, last = (
        int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()) for text in (slice_at, now)
    )
    assert days_read(first, last, BERLIN) == [f"operlog_{day}" for day in days]
