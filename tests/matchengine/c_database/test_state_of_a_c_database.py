"""What the C system left is built again: slices that are whole, days across midnight; gaps are refused."""

from __future__ import annotations

from typing import Any

import pytest

from matchengine.c_database.building import Loaded, build
from matchengine.c_database.reading import CDatabaseError
from matchengine.core.engine import Engine
from tests.matchengine.c_database.left_by_c import (
    DAYS,
    LAST_OPERATION,
    RULES,
    SLICE_S,
    exchange_after_scenario,
    insert,
    operations,
    put_operations,
    put_slice,
)
from tests.vxutils.store.mysql.databases import Pair
from vxutils.fixed import rescale
from vxutils.store.mysql.connection import Database

NOW_US = (SLICE_S + 60) * 1_000_000
C_DECIMALS = 16  # of a balance in a slice
DAY_S = 86_400


def built(pair: Pair) -> tuple[Loaded, list[str]]:
    told: list[str] = []
    log = Database(pair.log)
    try:
        return build(log, RULES, NOW_US, told.append), told
    finally:
        log.close()


def orders(engine: Engine) -> dict[int, tuple[Any, ...]]:
    return {
        order.id: (order.user, order.side, order.price, order.amount, order.left, order.deal_stock)
        for market in engine.markets.values()
        for order in market.orders.values()
    }


def balances(engine: Engine, decimals: int = 40) -> dict[str, tuple[dict[int, int], dict[int, int]]]:
    def seen(amounts: dict[int, int], scale: int) -> dict[int, int]:
        return {user: rescale(amount, scale, min(scale, decimals)) for user, amount in amounts.items()}

    return {
        name: (seen(ledger.available, ledger.prec_save), ledger.frozen)
        for name, ledger in engine.assets.items()
    }


def check(loaded: Loaded, decimals: int = 40) -> None:
    """The state is that of our own engine after the same requests."""
    ours = exchange_after_scenario().engine
    assert loaded.operation_id == LAST_OPERATION
    assert (loaded.engine.last_order_id, loaded.engine.last_deal_id) == (27, 19)
    assert orders(loaded.engine) == orders(ours)
    assert balances(loaded.engine, decimals) == balances(ours, decimals)
    assert list(loaded.engine.repeats) == list(ours.repeats)


def test_without_a_slice_from_days_across_midnight(pair: Pair) -> None:
    put_operations(pair)
    loaded, told = built(pair)
    assert (loaded.slice_time_s, loaded.replayed) == (0, 50)
    assert told == ["there is no slice that can be used: everything is built from the operation log"]
    check(loaded)


def test_with_the_slice_and_what_was_remembered_before_it(pair: Pair) -> None:
    put_operations(pair)
    put_slice(pair)
    loaded, told = built(pair)
    assert (loaded.slice_time_s, loaded.replayed, told) == (SLICE_S, 0, [])
    check(loaded, C_DECIMALS - 1)
    assert all(order.source is None for m in loaded.engine.markets.values() for order in m.orders.values())


def test_operations_after_a_slice(pair: Pair) -> None:
    """A slice from the day before, and a day with nothing in between."""
    put_operations(pair)
    put_slice(pair)
    more = [[51, SLICE_S + 1.5, '{"method": "cancel_order", "params": [6, "BTCBCH", 18]}']]
    insert(pair, "operlog_20261124", more, "operlog_example")
    loaded, _ = built(pair)
    assert (loaded.operation_id, loaded.replayed, loaded.time_us) == (51, 1, SLICE_S * 1_000_000 + 1_500_000)
    assert 18 not in orders(loaded.engine)
    assert 6 not in loaded.engine.assets["BCH"].frozen


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (f"DROP TABLE slice_balance_{SLICE_S + 9}", "slice_balance_1795340610 is missing"),
        (f"DROP TABLE slice_order_{SLICE_S + 9}", "slice_order_1795340610 is missing"),
        (f"DELETE FROM slice_balance_{SLICE_S + 9}", "it is not whole"),
        (f"DELETE FROM slice_order_{SLICE_S + 9}", "it is not whole"),
        (f"DELETE FROM slice_order_{SLICE_S + 9} WHERE id = 22", "his orders need"),
        (f"DELETE FROM slice_balance_{SLICE_S + 9} WHERE t = 2", "it is not whole"),
        (f"UPDATE slice_order_{SLICE_S + 9} SET `left` = 0 WHERE id = 27", "has 0.00000000 left"),
    ],
)
def test_a_slice_that_is_not_whole_gives_way_to_the_one_before(pair: Pair, damage: str, reason: str) -> None:
    put_operations(pair)
    put_slice(pair)
    put_slice(pair, SLICE_S + 9)
    pair.run("log", damage)
    loaded, told = built(pair)
    assert loaded.slice_time_s == SLICE_S
    assert len(told) == 1
    assert f"the slice of {SLICE_S + 9} is left out" in told[0]
    assert reason in told[0]
    check(loaded, C_DECIMALS - 1)


def test_a_slice_of_some_days_ago_and_the_days_since(pair: Pair) -> None:
    """Days across midnight after it, one of them without an operation; the log before it is not needed."""
    put_slice(pair)
    cancels = [("20261122", 6, "BTCBCH", 18), ("20261123", 2, "BTCCNY", 22), ("20261125", 3, "LTCBTC", 24)]
    for number, (day, user, market, order) in enumerate(cancels, 1):
        detail = f'{{"method": "cancel_order", "params": [{user}, "{market}", {order}]}}'
        time_s = SLICE_S + DAY_S * (int(day) - 20261122)
        insert(pair, f"operlog_{day}", [[LAST_OPERATION + number, time_s, detail]], "operlog_example")
    loaded, told = built(pair)
    assert (loaded.slice_time_s, loaded.operation_id, loaded.replayed, told) == (SLICE_S, 53, 3, [])
    assert set(orders(loaded.engine)) == {19, 27}


def test_an_order_without_a_source(pair: Pair) -> None:
    """As the C system logs one that it had from a slice, and one that it was given none for."""
    put_operations(pair)
    put_slice(pair)
    detail = '{"method": "limit_order", "params": [1, "BTCCNY", 1, "0.1", "70000", "0.001", "0.001"]}'
    insert(pair, f"operlog_{DAYS[1]}", [[51, SLICE_S + 1.5, detail]])
    loaded, told = built(pair)
    assert (loaded.operation_id, told) == (51, [])
    assert loaded.engine.markets["BTCCNY"].orders[28].source == ""


def test_without_any_slice_that_is_whole_the_log_alone_counts(pair: Pair) -> None:
    put_operations(pair)
    put_slice(pair)
    put_slice(pair, SLICE_S + 9)
    pair.run("log", f"DROP TABLE slice_order_{SLICE_S}", f"DELETE FROM slice_balance_{SLICE_S + 9}")
    loaded, told = built(pair)
    assert (loaded.slice_time_s, loaded.replayed, len(told)) == (0, 50, 3)
    check(loaded)


def test_an_update_that_the_c_system_had_forgotten_is_done_as_it_did(pair: Pair) -> None:
    put_operations(pair)
    number, time_s, detail = operations()[0]
    insert(pair, f"operlog_{DAYS[1]}", [[51, time_s + 3, detail]])
    loaded, told = built(pair)
    assert number == 1
    assert loaded.operation_id == 51
    assert any("operation 51 repeats an update" in text for text in told)
    ours = exchange_after_scenario().engine.assets["BTC"].available[1]
    assert (
        loaded.engine.assets["BTC"].available[1] == ours + 100 * 10 ** loaded.engine.assets["BTC"].prec_save
    )


def becomes(detail: str) -> str:
    return f"UPDATE operlog_{DAYS[1]} SET detail = {detail} WHERE id = 40"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (f"DELETE FROM operlog_{DAYS[1]} WHERE id = 40", "goes on with 41, but 40 is nowhere"),
        (f"DROP TABLE operlog_{DAYS[0]}", "goes on with 31, but 1 is nowhere"),
        (becomes("NULL"), "operation 40 .* is no operation: it is NULL"),
        (becomes("'x'"), "operation 40 .* is no operation"),
        (
            becomes("""'{"method": "cancel_order", "params": [1, "BTCBCH", 999]}'"""),
            "operation 40 .* is refused now",
        ),
        (becomes("""'{"method": "cancel_order", "params": [1]}'"""), "operation 40 .* can not be read"),
    ],
)
def test_what_would_be_a_guess_is_refused(pair: Pair, damage: str, sentence: str) -> None:
    put_operations(pair)
    pair.run("log", damage)
    with pytest.raises(CDatabaseError, match=sentence):
        built(pair)
