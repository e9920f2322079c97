"""Random histories add up to the balances, tell every deal to both sides, and a replay tells the same.

Scales from 0 to 20 decimals, fees finer than the balance, self trades and zero fees are among the commands.
`VX_SEED` chooses one seed.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from decimal import Context, Decimal
from typing import Any

import msgspec
import pytest

from matchengine.core.engine import Engine
from matchengine.core.refusals import Refusal
from matchengine.recorder.derive import Derived
from tests.matchengine.recorder.deriving import Derivation, replayed
from tests.support.inprocess import rules_of
from tests.support.random_commands import ASSETS, MARKETS, RandomCommands

COMMANDS = 12_000
SEEDS = [int(os.environ["VX_SEED"])] if "VX_SEED" in os.environ else [11, 12]
OPERATIONS = (102, 201, 202, 204)
EXACT = Context(prec=200, rounding="ROUND_DOWN")
ASK, BID = 1, 2
PREC_SAVE = {asset["name"]: asset["prec_save"] for asset in ASSETS}


@pytest.fixture(scope="module", params=SEEDS)
def history(request: pytest.FixtureRequest) -> Derivation:
    commands = RandomCommands(request.param)
    made = Derivation(rules_of(ASSETS, MARKETS, 3_600))
    views = made.requests.views
    now_us = commands.now_us()
    for command, params in commands.funding():
        assert made.request(command, params, now_us) is None
    for _ in range(COMMANDS):
        command, params = commands.next()
        now_us = commands.now_us()
        if command not in OPERATIONS:
            text = made.requests.queries[command](params)
            if not isinstance(text, Refusal):
                commands.saw(command, params, {"error": None, "result": json.loads(text)})
            continue
        refusal = made.request(command, params, now_us)
        reply: dict[str, Any] = {"error": refusal and {"code": refusal.code}, "result": None}
        if refusal is None and command == 201:
            market = made.engine.markets[params[1]]
            resting = market.orders.get(made.engine.last_order_id)
            left = "0" if resting is None else json.loads(views.order(resting))["left"]
            reply["result"] = {"id": made.engine.last_order_id, "left": left}
        commands.saw(command, params, reply)
    assert made.engine.last_deal_id > 500, "too quiet to prove anything"
    return made


def test_every_step_follows_from_the_one_before_and_the_last_is_the_balance(history: Derivation) -> None:
    totals: defaultdict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for row in history.tables.balances:
        _, _, user, asset, _, change, balance, detail = row
        unit = Decimal(1).scaleb(-PREC_SAVE[asset])
        expected = EXACT.quantize(EXACT.add(totals[user, asset], Decimal(change)), unit)
        assert Decimal(balance) == expected, row
        assert balance == "0" or len(balance.partition(".")[2]) == PREC_SAVE[asset] or "e" in balance, row
        totals[user, asset] = expected
        assert json.loads(detail), row
    held = {
        (user, name): Decimal(ledger.available.get(user, 0) + ledger.frozen.get(user, 0)).scaleb(
            -ledger.prec_save, EXACT
        )
        for name, ledger in history.engine.assets.items()
        for user in {*ledger.available, *ledger.frozen}
    }
    assert {key: total for key, total in totals.items() if total} == held


def test_every_deal_is_told_once_to_each_side(history: Derivation) -> None:
    told = [json.loads(text) for text in history.tables.topics["deals"]]
    assert [deal[11] for deal in told] == list(range(1, history.engine.last_deal_id + 1))
    rows = iter(history.tables.deals)
    self_trades = no_fee = 0
    for deal, asked, bid in zip(told, rows, rows, strict=True):
        (
            _,
            market,
            ask_id,
            bid_id,
            ask_user,
            bid_user,
            price,
            amount,
            ask_fee,
            bid_fee,
            taker,
            number,
            _,
            _,
        ) = deal
        ask_role, bid_role = (2, 1) if taker == ASK else (1, 2)
        assert asked[2:11] == (ask_user, number, ask_id, bid_id, ASK, ask_role, market, price, amount)
        assert bid[2:11] == (bid_user, number, bid_id, ask_id, BID, bid_role, market, price, amount)
        assert asked[12:] == (ask_fee, bid_fee) and bid[12:] == (bid_fee, ask_fee)
        assert asked[:2] == bid[:2] and asked[11] == bid[11]
        assert Decimal(asked[11]) == EXACT.multiply(Decimal(price), Decimal(amount))
        self_trades += ask_user == bid_user
        no_fee += Decimal(ask_fee) == Decimal(bid_fee) == 0
    assert next(rows, None) is None
    assert self_trades and no_fee, "neither was among the commands"


def test_an_order_has_a_row_when_it_is_done_and_traded_or_was_a_market_order(history: Derivation) -> None:
    events = [json.loads(text) for text in history.tables.topics["orders"]]
    ended = [event["order"] for event in events if event["event"] == 3]
    assert max(Counter(order["id"] for order in ended).values()) == 1, "an order ends once"
    with_rows = [order["id"] for order in ended if order["type"] == 2 or Decimal(order["deal_stock"])]
    assert [row[0] for row in history.tables.orders] == with_rows
    assert len(with_rows) < len(ended), "none was cancelled without a fill"
    resting = {order_id for market in history.engine.markets.values() for order_id in market.orders}
    started = {event["order"]["id"] for event in events}
    assert started - {order["id"] for order in ended} == resting


def test_sums_of_an_order_are_those_of_its_deals(history: Derivation) -> None:
    stock: defaultdict[int, Decimal] = defaultdict(Decimal)
    money: defaultdict[int, Decimal] = defaultdict(Decimal)
    fees: defaultdict[int, Decimal] = defaultdict(Decimal)
    for row in history.tables.deals:
        order_id, amount, deal, fee = row[4], Decimal(row[10]), Decimal(row[11]), Decimal(row[12])
        stock[order_id] = EXACT.add(stock[order_id], amount)
        money[order_id] = EXACT.add(money[order_id], deal)
        fees[order_id] = EXACT.add(fees[order_id], fee)
    for order_row in history.tables.orders:
        order_id, sums = order_row[0], [Decimal(text) for text in order_row[13:]]
        assert sums == [stock[order_id], money[order_id], fees[order_id]], order_row


def test_operations_are_numbered_without_gaps_and_hold_what_was_sent(history: Derivation) -> None:
    numbers = [number for number, _, _, _ in history.tables.operations]
    assert numbers == list(range(1, len(numbers) + 1))
    records = {record.sequence: record for record in history.records}
    for _, sequence, time_us, detail in history.tables.operations:
        sent = json.loads(records[sequence].params)
        told = json.loads(detail)
        assert time_us == records[sequence].command.time_us
        if told["method"] == "update_balance":
            sent[5]["id"] = sent[3]
        assert told["params"] == sent


def test_a_replay_tells_the_same_and_its_state_does_not_depend_on_telling(history: Derivation) -> None:
    engine, derived, outcomes = replayed(history.records, with_events=True)
    assert derived == history.derived
    assert outcomes == history.outcomes
    silent, nothing, silent_outcomes = replayed(history.records, with_events=False)
    assert nothing == [] and silent.events is None
    assert silent_outcomes == history.outcomes
    for other in (engine, silent):
        assert state(other) == state(history.engine)


def test_rows_alone_and_messages_alone_are_what_they_are_together(history: Derivation) -> None:
    _, rows, _ = replayed(history.records, with_events=True, content="rows")
    _, messages, _ = replayed(history.records, with_events=True, content="messages")
    for together, row, message in zip(history.derived, rows, messages, strict=True):
        assert row == msgspec.structs.replace(together, messages=[])
        assert message == Derived(None, [], [], [], together.messages)


def state(engine: Engine) -> Any:
    ledgers = {
        name: (ledger.available, ledger.frozen, ledger.supply, ledger.fees)
        for name, ledger in engine.assets.items()
    }
    orders = {
        name: [
            (order.id, order.left, order.deal_fee, order.updated_us)
            for book in (market.asks, market.bids)
            for order in book.orders()
        ]
        for name, market in engine.markets.items()
    }
    return ledgers, orders, engine.last_order_id, engine.last_deal_id


def test_events_keep_what_they_saw(history: Derivation) -> None:
    """Orders in events are copies: what a replay has told is the same at its end as it was at once."""
    engine = Engine()
    kept = []
    for record in history.records:
        engine.events = []
        engine.apply(record.command)
        kept.append(engine.events)
    assert [repr(events) for events in kept] == history.events_seen
