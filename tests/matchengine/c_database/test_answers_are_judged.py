"""Answers of a C engine against our state: by value, and a slice's cut digits are no difference."""

from __future__ import annotations

import pytest

from matchengine.c_database.subjects import (
    AssetSums,
    Counters,
    MarketSums,
    OpenOrder,
    Rounding,
    State,
    UserBalances,
    UserOrders,
    Verdict,
    touched,
)
from tests.support.inprocess import InProcessEngine

ASSETS = [{"name": "BTC", "prec_save": 20, "prec_show": 8}, {"name": "USD", "prec_save": 20, "prec_show": 2}]
MARKETS = [
    {
        "name": "BTCUSD",
        "stock": {"name": "BTC", "prec": 8},
        "money": {"name": "USD", "prec": 2},
        "fee_prec": 4,
        "min_amount": "0.001",
    }
]
COLUMNS = Rounding(balance=16, deal_money=16, deal_fee=4)
UNIT = 10**20


@pytest.fixture
def exchange() -> InProcessEngine:
    """User 1 sells, user 2 has bought a part; user 2's bid rests."""
    made = InProcessEngine(ASSETS, MARKETS)
    made.call(102, [1, "BTC", "deposit", 1, "10", {}], 1)
    made.call(102, [2, "USD", "deposit", 2, "1000", {}], 2)
    made.call(201, [1, "BTCUSD", 1, "1", "100", "0.001", "0.0013", "a"], 3)
    made.call(201, [2, "BTCUSD", 2, "0.5", "100", "0.001", "0.001", "a"], 4)
    made.call(201, [2, "BTCUSD", 2, "0.25", "90.5", "0.001", "0.001", "a"], 5)
    return made


ORDER = {
    "type": "1",
    "side": "1",
    "user": "1",
    "price": "100.00",
    "amount": "1",
    "taker_fee": "0.001",
    "maker_fee": "0.0013",
    "left": "0.5",
    "deal_stock": "0.50000000",
    "deal_money": "5e+1",
    "deal_fee": "0.065",
}
BALANCES = {
    "BTC available": "0.4995",
    "BTC freeze": "0e-8",
    "USD available": "927.37",
    "USD freeze": "22.62",
}


def test_values_not_texts(exchange: InProcessEngine) -> None:
    state = State(exchange.engine, Rounding())
    assert state.judge(OpenOrder("BTCUSD", 1), ORDER) is Verdict.EQUAL
    assert state.judge(UserBalances(2), BALANCES) is Verdict.EQUAL
    assert state.judge(UserOrders(2, "BTCUSD"), {"total": "1", "newest": "3"}) is Verdict.EQUAL
    market = {"ask_count": "1", "ask_amount": "0.5", "bid_count": "1", "bid_amount": "0.25"}
    assert state.judge(MarketSums("BTCUSD"), market) is Verdict.EQUAL
    state.operation_id = 5
    assert state.judge(Counters(), {"operation": "5", "order": "3", "deal": "1"}) is Verdict.EQUAL


@pytest.mark.parametrize("wrong", ["0.50000001", "NaN", "Infinity", "", "0,5", "-0.5"])
def test_a_wrong_value_is_named(exchange: InProcessEngine, wrong: str) -> None:
    state = State(exchange.engine, COLUMNS)
    answer = ORDER | {"left": wrong}
    assert state.judge(OpenOrder("BTCUSD", 1), answer) is Verdict.DIFFERENT
    assert state.differences(OpenOrder("BTCUSD", 1), answer) == [f"left is {wrong}, by the log 0.5"]


def test_orders_that_only_one_side_has(exchange: InProcessEngine) -> None:
    state = State(exchange.engine, Rounding())
    assert state.judge(OpenOrder("BTCUSD", 1), {}) is Verdict.DIFFERENT
    assert state.differences(OpenOrder("BTCUSD", 1), {}) == ["is not open there, by the log it is"]
    assert state.judge(OpenOrder("BTCUSD", 9), {}) is Verdict.EQUAL
    assert state.differences(OpenOrder("BTCUSD", 9), ORDER) == ["is open there, and not by the log"]


def test_what_the_columns_cut_is_rounded_and_no_more(exchange: InProcessEngine) -> None:
    """Balances of 20 decimals in columns of 16, fees of 14 in columns of 4 here."""
    ledger = exchange.engine.assets["BTC"]
    loaded, without = State(exchange.engine, COLUMNS), State(exchange.engine, Rounding())
    sums = {
        "total_balance": "9.9995",
        "available_count": "2",
        "available_balance": "9.4995",
        "freeze_count": "1",
        "freeze_balance": "0.5",
    }
    assert loaded.judge(AssetSums("BTC"), sums) is Verdict.EQUAL
    ledger.deposit(2, 3_000)  # 0.3 units of the column
    assert loaded.judge(AssetSums("BTC"), sums) is Verdict.ROUNDED
    assert without.judge(AssetSums("BTC"), sums) is Verdict.DIFFERENT
    ledger.deposit(2, 30_000)
    assert loaded.judge(AssetSums("BTC"), sums) is Verdict.DIFFERENT
    fee = ORDER | {"deal_fee": "0.06504"}
    assert loaded.judge(OpenOrder("BTCUSD", 1), fee) is Verdict.ROUNDED
    assert without.judge(OpenOrder("BTCUSD", 1), fee) is Verdict.DIFFERENT


def test_a_cut_digit_may_show(exchange: InProcessEngine) -> None:
    """The engine's 0.49949999... was rounded up by the column; what is shown is a whole unit less."""
    state = State(exchange.engine, COLUMNS)
    assert state.judge(UserBalances(2), BALANCES | {"BTC available": "0.49949999"}) is Verdict.ROUNDED
    assert state.judge(UserBalances(2), BALANCES | {"BTC available": "0.49949998"}) is Verdict.DIFFERENT


def test_what_an_operation_touches(exchange: InProcessEngine) -> None:
    exchange.engine.events = []
    exchange.call(201, [3, "BTCUSD", 1, "1", "1", "0", "0", "a"], 6)
    assert touched(exchange.engine.events, exchange.engine) == {Counters()}, "refused: nothing happened"
    exchange.call(201, [1, "BTCUSD", 1, "0.1", "90", "0", "0", "a"], 7)
    assert touched(exchange.engine.events, exchange.engine) == {
        Counters(),
        AssetSums("BTC"),
        AssetSums("USD"),
        MarketSums("BTCUSD"),
        UserBalances(1),
        UserBalances(2),
        UserOrders(1, "BTCUSD"),
        UserOrders(2, "BTCUSD"),
        OpenOrder("BTCUSD", 3),
        OpenOrder("BTCUSD", 4),
    }
