"""Records leave the table by pop, delete or deadline; ids are unique and bounded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator

import pytest

from vxnet.loop import new_event_loop
from vxnet.pending import ID_MAX, PendingTable, PendingTableFull

LONG_S = 60.0


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = new_event_loop()
    yield loop
    loop.close()


def run_until(loop: asyncio.AbstractEventLoop, condition: Callable[[], bool]) -> None:
    deadline = loop.time() + 5.0

    def look() -> None:
        if condition() or loop.time() > deadline:
            loop.stop()
        else:
            loop.call_later(0.002, look)

    loop.call_soon(look)
    loop.run_forever()
    assert condition(), "it did not happen in time"


class Expiries:
    def __init__(self) -> None:
        self.noted: list[tuple[int, str]] = []

    def __call__(self, record_id: int, record: str) -> None:
        self.noted.append((record_id, record))


def table_of(loop: asyncio.AbstractEventLoop, size_max: int = 100) -> tuple[PendingTable[str], Expiries]:
    expiries = Expiries()
    return PendingTable(loop, expiries, size_max), expiries


def test_add_get_pop_delete(loop: asyncio.AbstractEventLoop) -> None:
    table, _ = table_of(loop)
    first, second = table.add("first", LONG_S), table.add("second", LONG_S)
    assert (first, second, len(table)) == (1, 2, 2)
    assert list(table) == [(1, "first"), (2, "second")]
    assert table.get(first) == "first"
    assert table.pop(first) == "first"
    assert (first in table, second in table) == (False, True)
    assert table.get(first) is table.pop(first) is None
    assert (table.delete(second), table.delete(second), len(table)) == (True, False, 0)
    assert not table.extend(second, LONG_S)


def test_ids_wrap_past_zero_and_skip_those_in_use(loop: asyncio.AbstractEventLoop) -> None:
    table, _ = table_of(loop)
    for record_id in (ID_MAX, 1, 2):
        assert table.add("chosen", LONG_S, record_id) == record_id
    table._last_id = ID_MAX - 1
    assert table.add("next", LONG_S) == 3


def test_a_taken_id_is_refused(loop: asyncio.AbstractEventLoop) -> None:
    table, _ = table_of(loop)
    table.add("first", LONG_S, 7)
    with pytest.raises(KeyError):
        table.add("second", LONG_S, 7)
    assert list(table) == [(7, "first")]


def test_full_table_refuses_the_new_and_keeps_the_old(loop: asyncio.AbstractEventLoop) -> None:
    table, _ = table_of(loop, size_max=2)
    table.add("first", LONG_S)
    table.add("second", LONG_S)
    with pytest.raises(PendingTableFull):
        table.add("third", LONG_S)
    assert list(table) == [(1, "first"), (2, "second")]
    table.pop(1)
    assert table.add("fourth", LONG_S) == 3


def test_expiry_in_order_of_deadlines(loop: asyncio.AbstractEventLoop) -> None:
    table, expiries = table_of(loop)
    for name, timeout_s in (("d", LONG_S), ("c", 0.09), ("a", 0.01), ("b", 0.05), ("gone", 0.02)):
        table.add(name, timeout_s)
    table.pop(5)
    run_until(loop, lambda: len(expiries.noted) == 3)
    assert expiries.noted == [(3, "a"), (4, "b"), (2, "c")]
    assert list(table) == [(1, "d")]


def test_extended_record_lives_until_its_new_deadline(loop: asyncio.AbstractEventLoop) -> None:
    table, expiries = table_of(loop)
    longer, shorter = table.add("longer", 0.01), table.add("shorter", LONG_S)
    assert table.extend(longer, LONG_S)
    assert table.extend(shorter, 0.03)
    run_until(loop, lambda: bool(expiries.noted))
    assert expiries.noted == [(shorter, "shorter")]
    assert list(table) == [(longer, "longer")]


def test_record_is_there_during_its_expiry_and_gone_after(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str | None] = []
    table: PendingTable[str] = PendingTable(loop, lambda record_id, _: seen.append(table.get(record_id)), 10)
    table.add("record", 0.01)
    run_until(loop, lambda: bool(seen))
    assert (seen, len(table)) == (["record"], 0)


def test_expiry_may_delete_extend_and_add(loop: asyncio.AbstractEventLoop) -> None:
    calls: list[str] = []

    def expired(record_id: int, record: str) -> None:
        calls.append(record)
        if record == "delete":
            table.delete(record_id)
            table.add("added", 0.01, record_id)
        elif record == "extend" and calls.count("extend") == 1:
            table.extend(record_id, 0.02)

    table: PendingTable[str] = PendingTable(loop, expired, 10)
    table.add("delete", 0.01)
    table.add("extend", 0.015)
    run_until(loop, lambda: len(calls) == 4)
    assert sorted(calls) == ["added", "delete", "extend", "extend"]
    assert len(table) == 0


def test_clear_takes_all_and_nothing_expires(loop: asyncio.AbstractEventLoop) -> None:
    table, expiries = table_of(loop)
    table.add("first", 0.01)
    table.add("second", 0.02)
    assert table.clear() == ["first", "second"]
    table.add("third", 0.05)
    run_until(loop, lambda: bool(expiries.noted))
    assert expiries.noted == [(3, "third")]


def test_answered_requests_leave_no_deadlines_behind(loop: asyncio.AbstractEventLoop) -> None:
    table, _ = table_of(loop)
    for _ in range(10_000):
        table.pop(table.add("answered", LONG_S))
    assert len(table._heap) < 200


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_use_expires_exactly_what_is_due(seed: int, loop: asyncio.AbstractEventLoop) -> None:
    choose = random.Random(seed)
    table, expiries = table_of(loop, size_max=1000)
    due: set[int] = set()
    for _ in range(1000):
        step = choose.random()
        known = [record_id for record_id, _ in table]
        if step < 0.5 or not known:
            short = choose.random() < 0.5
            record_id = table.add("record", choose.uniform(0.0, 0.1) if short else LONG_S)
            if short:
                due.add(record_id)
        elif step < 0.75:
            record_id = choose.choice(known)
            table.extend(record_id, LONG_S)
            due.discard(record_id)
        else:
            record_id = choose.choice(known)
            table.delete(record_id)
            due.discard(record_id)
    run_until(loop, lambda: len(expiries.noted) >= len(due))
    assert {record_id for record_id, _ in expiries.noted} == due
