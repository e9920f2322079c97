"""Rows and messages of small cases worked out by hand, digit by digit.

Source: protocol.md 3.3-3.6, 4.1, 4.5, 4.6, 5.1, 13.3.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from matchengine.core.commands import ChangeRules, PutLimit
from matchengine.core.events import Event
from matchengine.journal.record import Record
from matchengine.recorder.derive import Derived, derive
from tests.matchengine.recorder.deriving import Derivation, Tables
from tests.support.inprocess import rules_of

TIME_US = 1_700_000_000_250_000
TIME = "1700000000.25"
SELL, BUY = 1, 2
LIMIT, MARKET = 201, 202
CANCEL = (204,)


def trading(bch_prec_save: int = 20, min_amount: str = "0.01") -> Derivation:
    """Users 1 to 3 with 100 BTC and 100000 BCH each. What the deposits left behind is dropped."""
    assets: list[dict[str, Any]] = [
        {"name": "BTC", "prec_save": 12, "prec_show": 8},
        {"name": "BCH", "prec_save": bch_prec_save, "prec_show": 2},
    ]
    market: dict[str, Any] = {"name": "BTCBCH", "min_amount": min_amount}
    market |= {"stock": {"name": "BTC", "prec": 8}, "money": {"name": "BCH", "prec": 8}}
    made = Derivation(rules_of(assets, [market]))
    for user in (1, 2, 3):
        for asset, amount in (("BTC", "100"), ("BCH", "100000")):
            assert made.request(102, [user, asset, "deposit", user, amount, {}], TIME_US) is None
    made.tables = Tables()
    return made


def put(made: Derivation, user: int, side: int, amount: str, price: str, taker: str, maker: str) -> None:
    params = [user, "BTCBCH", side, amount, price, taker, maker, "api"]
    assert made.request(LIMIT, params, TIME_US) is None


def steps(made: Derivation) -> list[tuple[int, str, str, str]]:
    return [
        (user, asset, change, balance) for _, _, user, asset, _, change, balance, _ in made.tables.balances
    ]


def test_the_deal_of_the_protocol() -> None:
    made = trading()
    put(made, 1, SELL, "1", "8000", "0.002", "0.001")
    put(made, 2, BUY, "0.4", "8010", "0.002", "0.001")
    tables = made.tables
    assert steps(made) == [
        (2, "BCH", "-3200.0000000000000000", "96800.00000000000000000000"),
        (2, "BTC", "0.40000000", "100.400000000000"),
        (2, "BTC", "-0.000800000000", "100.399200000000"),
        (1, "BTC", "-0.40000000", "99.600000000000"),
        (1, "BCH", "3200.0000000000000000", "103200.00000000000000000000"),
        (1, "BCH", "-3.20000000000000000000", "103196.80000000000000000000"),
    ]
    assert {row[4] for row in tables.balances} == {"trade"}
    assert [row[7] for row in tables.balances] == [
        '{"a": "0.4", "i": 2, "m": "BTCBCH", "p": "8000"}',
        '{"a": "0.4", "i": 2, "m": "BTCBCH", "p": "8000"}',
        '{"a": "0.4", "f": "0.002", "i": 2, "m": "BTCBCH", "p": "8000"}',
        '{"a": "0.4", "i": 1, "m": "BTCBCH", "p": "8000"}',
        '{"a": "0.4", "i": 1, "m": "BTCBCH", "p": "8000"}',
        '{"a": "0.4", "f": "0.001", "i": 1, "m": "BTCBCH", "p": "8000"}',
    ]
    deal = ("BTCBCH", "8000.00000000", "0.40000000", "3200.0000000000000000")
    ask_fee, bid_fee = "3.20000000000000000000", "0.000800000000"
    sequence = made.records[-1].sequence
    assert tables.deals == [
        (sequence, TIME_US, 1, 1, 1, 2, SELL, 1, *deal, ask_fee, bid_fee),
        (sequence, TIME_US, 2, 1, 2, 1, BUY, 2, *deal, bid_fee, ask_fee),
    ]
    times = (TIME_US, TIME_US)
    rates, sums = ("0.0020", "0.0010"), ("0.40000000", "3200.0000000000000000", "0.000800000000")
    numbers = ("8010.00000000", "0.40000000", *rates, *sums)
    assert tables.orders == [(2, sequence, *times, 2, "BTCBCH", "api", 1, BUY, *numbers)]
    assert [topic for topic, _ in made.derived[-1].messages] == ["deals", "orders", "orders"]
    assert tables.topics["deals"] == [
        f'[{TIME}, "BTCBCH", 1, 2, 1, 2, "8000.00000000", "0.40000000", "3.20000000000000000000", '
        '"0.000800000000", 2, 1, "BTC", "BCH"]'
    ]
    clock = f'"ctime": {TIME}, "mtime": {TIME}'
    rates_text = '"taker_fee": "0.002", "maker_fee": "0.001"'
    seller = '"id": 1, "market": "BTCBCH", "source": "api", "type": 1, "side": 1, "user": 1'
    buyer = '"id": 2, "market": "BTCBCH", "source": "api", "type": 1, "side": 2, "user": 2'
    sale = f'{seller}, {clock}, "price": "8000", "amount": "1", {rates_text}'
    purchase = f'{buyer}, {clock}, "price": "8010", "amount": "0.4", {rates_text}'
    told = [
        (1, f'{sale}, "left": "1", "deal_stock": "0", "deal_money": "0", "deal_fee": "0"'),
        (2, f'{sale}, "left": "0.6", "deal_stock": "0.4", "deal_money": "3200", "deal_fee": "3.2"'),
        (3, f'{purchase}, "left": "0e-8", "deal_stock": "0.4", "deal_money": "3200", "deal_fee": "0.0008"'),
    ]
    assert tables.topics["orders"] == [
        f'{{"event": {event}, "order": {{{order}}}, "stock": "BTC", "money": "BCH"}}' for event, order in told
    ]


def test_a_buyer_who_meets_his_own_order_sees_every_step() -> None:
    made = trading()
    put(made, 1, SELL, "1", "10", "0.002", "0.001")
    put(made, 1, BUY, "0.5", "10", "0.002", "0.001")
    assert steps(made) == [
        (1, "BCH", "-5.0000000000000000", "99995.00000000000000000000"),
        (1, "BTC", "0.50000000", "100.500000000000"),
        (1, "BTC", "-0.001000000000", "100.499000000000"),
        (1, "BTC", "-0.50000000", "99.999000000000"),
        (1, "BCH", "5.0000000000000000", "100000.00000000000000000000"),
        (1, "BCH", "-0.00500000000000000000", "99999.99500000000000000000"),
    ]
    assert [row[2:8] for row in made.tables.deals] == [(1, 1, 1, 2, SELL, 1), (1, 1, 2, 1, BUY, 2)]


def test_a_seller_who_meets_his_own_order_sees_every_step() -> None:
    made = trading()
    put(made, 1, BUY, "1", "10", "0.002", "0.001")
    put(made, 1, SELL, "0.5", "10", "0.002", "0.001")
    assert steps(made) == [
        (1, "BTC", "-0.50000000", "99.500000000000"),
        (1, "BCH", "5.0000000000000000", "100005.00000000000000000000"),
        (1, "BCH", "-0.01000000000000000000", "100004.99000000000000000000"),
        (1, "BCH", "-5.0000000000000000", "99999.99000000000000000000"),
        (1, "BTC", "0.50000000", "100.000000000000"),
        (1, "BTC", "-0.000500000000", "99.999500000000"),
    ]
    assert [row[2:8] for row in made.tables.deals] == [(1, 1, 2, 1, SELL, 2), (1, 1, 1, 2, BUY, 1)]


def test_zero_fees_leave_no_rows_and_are_zero_with_all_their_decimals() -> None:
    made = trading()
    put(made, 1, SELL, "1", "10", "0", "0")
    put(made, 2, BUY, "1", "10", "0", "0")
    assert [(user, asset) for user, asset, _, _ in steps(made)] == [
        (2, "BCH"),
        (2, "BTC"),
        (1, "BTC"),
        (1, "BCH"),
    ]
    assert [row[-2:] for row in made.tables.deals] == [("0e-20", "0e-12"), ("0e-12", "0e-20")]
    assert [row[-1] for row in made.tables.orders] == ["0e-20", "0e-12"]


def test_a_fee_finer_than_the_balance_is_told_in_full_and_the_balance_is_cut() -> None:
    made = trading(bch_prec_save=16)
    put(made, 1, SELL, "0.01000001", "0.00000001", "0", "0.0001")
    put(made, 2, BUY, "0.01000001", "0.00000001", "0", "0")
    assert steps(made)[-2:] == [
        (1, "BCH", "1.000001e-10", "100000.0000000001000001"),
        (1, "BCH", "-1.000001e-14", "100000.0000000000999900"),
    ]


ORDERS = [
    ("a maker cancelled without a fill", [(1, SELL, "1", "10"), CANCEL], []),
    ("a maker cancelled after a fill", [(1, SELL, "1", "10"), (2, BUY, "0.4", "10"), CANCEL], [2, 1]),
    ("a maker that is filled", [(1, SELL, "1", "10"), (2, BUY, "1", "11")], [1, 2]),
    ("a taker that comes to rest", [(1, SELL, "1", "10"), (2, BUY, "3", "10")], [1]),
    ("a market sale", [(1, BUY, "1", "10"), (2, SELL, "0.5")], [2]),
    ("a market sale larger than the book", [(1, BUY, "1", "10"), (2, SELL, "5")], [1, 2]),
    ("money for less than one unit of stock", [(1, SELL, "1", "10"), (2, BUY, "0.00000001")], [2]),
]


@pytest.mark.parametrize(
    ("commands", "rows"), [case[1:] for case in ORDERS], ids=[case[0] for case in ORDERS]
)
def test_which_orders_leave_rows(commands: list[Any], rows: list[int]) -> None:
    made = trading(min_amount="0")
    for command in commands:
        if command == CANCEL:
            assert made.request(204, [1, "BTCBCH", 1], TIME_US) is None
        elif len(command) == 4:
            user, side, amount, price = command
            put(made, user, side, amount, price, "0.002", "0.001")
        else:
            user, side, amount = command
            assert made.request(MARKET, [user, "BTCBCH", side, amount, "0.002", "api"], TIME_US) is None
    assert [row[0] for row in made.tables.orders] == rows


def test_the_row_of_a_market_order_without_a_fill() -> None:
    made = trading(min_amount="0")
    put(made, 1, SELL, "1", "10", "0.002", "0.001")
    assert made.request(MARKET, [2, "BTCBCH", BUY, "0.00000001", "0.002", "web"], TIME_US) is None
    ((_, _, _, _, user, market, source, kind, side, *numbers),) = made.tables.orders
    assert (user, market, source, kind, side) == (2, "BTCBCH", "web", 2, BUY)
    assert numbers == ["0", "1e-8", "0.0020", "0", "0", "0", "0"]
    assert steps(made) == [] and made.tables.deals == []


def test_a_cancelled_order_finishes_at_its_last_deal() -> None:
    made = trading()
    put(made, 1, SELL, "1", "10", "0.002", "0.001")
    assert made.request(LIMIT, [2, "BTCBCH", BUY, "0.4", "10", "0", "0", "b"], TIME_US + 7) is None
    assert made.request(204, [1, "BTCBCH", 1], TIME_US + 9) is None
    assert made.tables.orders[-1][:4] == (1, made.records[-1].sequence, TIME_US, TIME_US + 7)
    finish = json.loads(made.tables.topics["orders"][-1])
    assert (finish["event"], finish["order"]["id"], finish["order"]["left"]) == (3, 1, "0.6")
    assert made.tables.operations[-1][3] == '{"method": "cancel_order", "params": [1, "BTCBCH", 1]}'


UPDATES = [
    # asset, change, change told, balance told
    ("BTC", "-100", "-100.00000000", "0"),
    ("BTC", "0", "0e-8", "100.000000000000"),
    ("BTC", "0.123456789", "0.12345678", "100.123456780000"),
    ("BCH", "1.239", "1.23", "100001.23000000000000000000"),
    ("BCH", "-0.009", "0.00", "100000.00000000000000000000"),
]


@pytest.mark.parametrize(("asset", "change", "told", "balance"), UPDATES)
def test_an_update_is_told_with_the_decimals_that_are_shown(
    asset: str, change: str, told: str, balance: str
) -> None:
    made = trading()
    assert made.request(102, [1, asset, 'a"ffé', 77, change, {}], TIME_US) is None
    sequence = made.records[-1].sequence
    assert made.tables.balances == [(sequence, TIME_US, 1, asset, 'a"ffé', told, balance, '{"id": 77}')]
    assert made.tables.topics["balances"] == [f'[{TIME}, 1, "{asset}", "a\\"ffé", "{told}"]']
    assert made.tables.topics["orders"] == made.tables.topics["deals"] == []


def test_what_is_frozen_counts_as_balance() -> None:
    made = trading()
    put(made, 1, SELL, "60", "10", "0", "0")
    assert made.request(102, [1, "BTC", "w", 9, "-40", {}], TIME_US) is None
    assert steps(made) == [(1, "BTC", "-40.00000000", "60.000000000000")]


def test_the_detail_of_an_update_gets_its_id() -> None:
    made = trading()
    detail = {"z": 1.5, "id": "mine", "a": {"y": 1, "x": [None]}}
    assert made.request(102, [1, "BTC", "pay", -5, "1", detail], TIME_US) is None
    assert made.tables.balances[0][7] == '{"z": 1.5, "id": -5, "a": {"y": 1, "x": [null]}}'
    number, sequence, time_us, text = made.tables.operations[0]
    assert (number, sequence, time_us) == (7, 8, TIME_US)
    assert text == (
        '{"method": "update_balance", "params": [1, "BTC", "pay", -5, "1", '
        '{"a": {"x": [null], "y": 1}, "id": -5, "z": 1.5}]}'
    )


def test_the_deepest_detail_leaves_a_row() -> None:
    made = trading()
    detail: dict[str, Any] = {}
    for _ in range(600):
        detail = {"k": detail}
    assert made.request(102, [1, "BTC", "deep", 1, "1", detail], TIME_US) is None
    assert made.tables.balances[0][7] == '{"k": ' * 600 + "{}" + "}" * 599 + ', "id": 1}'


def test_changed_rules_and_refusals_leave_nothing() -> None:
    made = trading()
    assert made.derived[0] == Derived(None, [], [], [], [])
    assert made.request(LIMIT, [1, "BTCBCH", SELL, "101", "1", "0", "0", "x"], TIME_US) is not None
    assert made.request(102, [1, "BTC", "deposit", 1, "100", {}], TIME_US) is not None
    assert made.request(204, [1, "BTCBCH", 99], TIME_US) is not None
    assert made.tables.operations == []


def test_widened_rules_are_told_with_their_decimals() -> None:
    made = trading()
    put(made, 1, SELL, "1", "10", "0.002", "0.001")
    put(made, 2, BUY, "0.1", "10", "0.002", "0.001")
    rules = made.engine.rules
    assets = tuple(msgspec.structs.replace(asset, prec_save=22) for asset in rules.assets)
    markets = tuple(msgspec.structs.replace(market, fee_prec=6) for market in rules.markets)
    wider = msgspec.structs.replace(rules, assets=assets, markets=markets)
    made.apply(ChangeRules(TIME_US, msgspec.to_builtins(wider)), b"[]")
    put(made, 2, BUY, "0.1", "10", "0.002001", "0")
    assert made.tables.balances[-1][5:] == (
        "-0.0010000000000000000000",
        "100001.9980000000000000000000",
        '{"a": "0.1", "f": "0.001", "i": 1, "m": "BTCBCH", "p": "10"}',
    )
    assert made.tables.deals[-1][-2:] == ("0.00020010000000", "0.0010000000000000000000")
    assert made.tables.orders[-1][11:13] == ("0.002001", "0.000000")


def test_the_repeat_of_a_key_leaves_nothing() -> None:
    made = trading()
    params = [1, "BTCBCH", SELL, "1", "10", "0", "0", "x"]
    assert made.request(LIMIT, params, TIME_US, "key") is None
    assert made.request(LIMIT, params, TIME_US, "key") is None
    assert len(made.tables.operations) == len(made.tables.topics["orders"]) == 1


def test_an_order_whose_source_was_lost() -> None:
    made = trading()
    put(made, 1, SELL, "1", "10", "0", "0")
    made.engine.markets["BTCBCH"].orders[1].source = None
    put(made, 2, BUY, "1", "10", "0", "0")
    assert [row[6] for row in made.tables.orders] == ["(null)", "api"]
    assert '"market": "BTCBCH", "type": 1' in made.tables.topics["orders"][1]


def test_one_record_alone_is_derived_the_same() -> None:
    made = trading()
    put(made, 1, SELL, "1", "10", "0.002", "0.001")
    events: list[Event] = []
    made.engine.events = events
    command = PutLimit(TIME_US, 2, "BTCBCH", BUY, 10**8, 10 * 10**8, 20, 10, "api", "")
    made.engine.apply(command)
    alone = derive(Record(99, 8, 0, b'[2, "BTCBCH", 2, "1", "10"]', command), events, made.engine)
    assert alone.operlog == (
        *(8, 99, TIME_US),
        '{"method": "limit_order", "params": [2, "BTCBCH", 2, "1", "10"]}',
    )
    assert [row[0] for row in alone.order_rows] == [1, 2] and len(alone.deal_rows) == 2
