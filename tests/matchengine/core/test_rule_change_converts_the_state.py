"""Other rules on a living state: scales widen exactly, narrow without loss, things go when empty."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from matchengine.core import rule_change, snapshot
from matchengine.core.commands import ChangeRules
from matchengine.core.invariants import broken_laws
from matchengine.core.rules import AssetRule, MarketRule, Rules
from matchengine.slices import state_hash
from tests.support.inprocess import InProcessEngine, rules_of

Config = list[dict[str, Any]]


def assets(btc: int = 8, usd: int = 12, show: int = 4) -> Config:
    return [
        {"name": "BTC", "prec_save": btc, "prec_show": min(btc, show)},
        {"name": "USD", "prec_save": usd, "prec_show": 4},
        {"name": "XYZ", "prec_save": 4},
    ]


def market(stock_prec: int = 4, money_prec: int = 2, fee_prec: int = 4, **more: Any) -> dict[str, Any]:
    return {
        "name": "BTCUSD",
        "stock": {"name": "BTC", "prec": stock_prec},
        "money": {"name": "USD", "prec": money_prec},
        "fee_prec": fee_prec,
        "min_amount": "0",
        **more,
    }


@pytest.fixture
def exchange() -> InProcessEngine:
    """Orders partly filled with fees, on both sides, and balances with digits up to 10^-4."""
    made = InProcessEngine(assets(), [market()], style="plain")
    for user, asset, amount in ((1, "BTC", "10.25"), (2, "USD", "2000"), (3, "XYZ", "0.0001")):
        assert made.call(102, [user, asset, "d", 1, amount, {}], 1_000)["error"] is None
    for user, side, amount, price in ((1, 1, "1.5", "100"), (1, 1, "2", "101.5"), (2, 2, "1.5", "101")):
        order = [user, "BTCUSD", side, amount, price, "0.002", "0.001", "s"]
        assert made.call(201, order, 2_000)["error"] is None
    order = [2, "BTCUSD", 2, "0.5", "99.25", "0.002", "0.001", "s"]
    assert made.call(201, order, 2_000)["error"] is None
    return made


def change(exchange: InProcessEngine, new: Rules) -> None:
    engine = exchange.engine
    assert rule_change.problems(engine.assets, engine.markets, new) == []
    engine.apply(ChangeRules(3_000, msgspec.to_builtins(new)))
    assert engine.outcome == [len(new.markets)]
    assert broken_laws(engine) == []


def answers(exchange: InProcessEngine) -> list[Any]:
    asked: list[tuple[int, list[Any]]] = [
        (101, [1]),
        (101, [2]),
        (105, []),
        (203, [1, "BTCUSD", 0, 9]),
        (203, [2, "BTCUSD", 0, 9]),
    ]
    asked += [(205, ["BTCUSD", 1, 0, 9]), (205, ["BTCUSD", 2, 0, 9]), (206, ["BTCUSD", 9, "0"]), (308, [])]
    return [exchange.call(command, params, 4_000) for command, params in asked]


WIDER = [
    ("more decimals of an asset", assets(btc=20), [market()]),
    ("more of both", assets(btc=20, usd=30), [market()]),
    ("more decimals of amounts", assets(btc=20, usd=30), [market(stock_prec=9)]),
    ("more decimals of prices", assets(btc=20, usd=30), [market(money_prec=9)]),
    ("more decimals of fees", assets(btc=20, usd=30), [market(fee_prec=8)]),
    ("more of everything", assets(btc=40, usd=40), [market(12, 12, 12)]),
]


@pytest.mark.parametrize(("name", "new_assets", "new_markets"), WIDER, ids=[row[0] for row in WIDER])
def test_wider_is_exact_and_back_again(
    exchange: InProcessEngine, name: str, new_assets: Config, new_markets: Config
) -> None:
    """Every answer stays as it is, and narrowing to what it was gives the old state, bit by bit."""
    before, mark = answers(exchange), state_hash(snapshot.dump(exchange.engine))
    change(exchange, rules_of(new_assets, new_markets))
    assert answers(exchange) == before
    assert state_hash(snapshot.dump(exchange.engine)) != mark
    change(exchange, rules_of(assets(), [market()]))
    assert answers(exchange) == before
    assert state_hash(snapshot.dump(exchange.engine)) == mark


REFUSED = [
    (assets(btc=2), [market(0, 2, 2)], "BTC: prec_save 8 can not narrow to 2: balances have digits there"),
    (assets(), [market(0)], "BTCUSD: stock_prec, money_prec or fee_prec can not narrow"),
    (assets(), [market(4, 0)], "BTCUSD: stock_prec, money_prec or fee_prec can not narrow"),
    (assets(), [market(4, 2, 2)], "BTCUSD: stock_prec, money_prec or fee_prec can not narrow"),
    (assets(), [], "market BTCUSD: can not go while it has 2 open orders"),
    (assets()[:2], [market()], "asset XYZ: can not go while there are balances in it"),
    (
        assets(usd=12),
        [market(stock={"name": "XYZ", "prec": 0})],
        "market BTCUSD: its assets can not change while it has open orders",
    ),
    (assets(), [market(9)], "market BTCUSD: stock_prec + fee_prec = 13 is more than prec_save of BTC (8)"),
]


@pytest.mark.parametrize(
    ("new_assets", "new_markets", "words"), REFUSED, ids=[row[2][:40] for row in REFUSED]
)
def test_what_would_lose_something(
    exchange: InProcessEngine, new_assets: Config, new_markets: Config, words: str
) -> None:
    mark = state_hash(snapshot.dump(exchange.engine))
    old = exchange.engine.rules
    new = msgspec.structs.replace(
        old,
        assets=tuple(AssetRule(a["name"], a["prec_save"], 0) for a in new_assets),
        markets=tuple(
            MarketRule(
                m["name"],
                m["stock"]["name"],
                m["stock"]["prec"],
                m["money"]["name"],
                m["money"]["prec"],
                m["fee_prec"],
                m["min_amount"],
            )
            for m in new_markets
        ),
    )
    found = rule_change.problems(exchange.engine.assets, exchange.engine.markets, new)
    assert any(words in text for text in found), found
    assert state_hash(snapshot.dump(exchange.engine)) == mark, "asking changes nothing"


def test_narrower_without_loss(exchange: InProcessEngine) -> None:
    """Once the orders with digits are gone, the market narrows; the balances keep what they need."""
    for order_id in list(exchange.engine.markets["BTCUSD"].orders):
        user = exchange.engine.markets["BTCUSD"].orders[order_id].user
        assert exchange.call(204, [user, "BTCUSD", order_id], 3_000)["error"] is None
    change(exchange, rules_of(assets(), [market(1, 0, 2)]))
    assert exchange.call(201, [1, "BTCUSD", 1, "0.5", "7", "0", "0", "s"], 4_000)["error"] is None
    assert exchange.call(201, [1, "BTCUSD", 1, "0.05", "7", "0", "0", "s"], 4_000)["error"]["code"] == 1


def test_new_assets_and_markets_and_empty_ones_go(exchange: InProcessEngine) -> None:
    new_asset = {"name": "NEW", "prec_save": 10}
    new_market = market(2, 2, 2) | {"name": "NEWUSD", "stock": {"name": "NEW", "prec": 2}}
    change(exchange, rules_of([new_asset, *assets()], [new_market, market()]))
    assert [m["name"] for m in exchange.call(307, [], 4_000)["result"]] == ["NEWUSD", "BTCUSD"]
    assert exchange.call(102, [1, "NEW", "d", 1, "5", {}], 4_000)["error"] is None
    assert exchange.call(201, [1, "NEWUSD", 1, "5", "1", "0", "0", "s"], 4_000)["error"] is None
    new = rules_of(assets(), [market()])
    found = rule_change.problems(exchange.engine.assets, exchange.engine.markets, new)
    assert len(found) == 2
    order_id = exchange.engine.last_order_id
    assert exchange.call(204, [1, "NEWUSD", order_id], 4_000)["error"] is None
    assert exchange.call(102, [1, "NEW", "w", 1, "-5", {}], 4_000)["error"] is None
    change(exchange, new)
    assert exchange.call(101, [1, "NEW"], 5_000)["error"]["code"] == 1


@pytest.mark.parametrize("wider", [False, True])
def test_keys_are_remembered(wider: bool) -> None:
    """A repeat after the change is one still, whatever the scales of its numbers are now."""
    exchange = InProcessEngine(assets(), [market()], style="plain")
    exchange.call(102, [1, "BTC", "d", 1, "10", {}], 1_000)
    order = [1, "BTCUSD", 1, "1.5", "100", "0.002", "0.001", "s"]
    placed = exchange.call(201, order, 2_000, "put")
    cancelled = exchange.call(204, [1, "BTCUSD", 1], 2_000, "cancel")
    assert placed["error"] is None
    assert cancelled["error"] is None
    new = rules_of(assets(btc=20, usd=30), [market(8, 8, 8)]) if wider else rules_of(assets(), [market()])
    change(exchange, msgspec.structs.replace(new, key_age_s=172_800))
    assert exchange.call(204, [1, "BTCUSD", 1], 3_000, "cancel") == cancelled
    again = exchange.call(201, order, 3_000, "put")
    assert exchange.engine.last_order_id == 1, "never done twice"
    assert again == placed
    assert exchange.call(102, [1, "BTC", "d", 1, "10", {}], 3_000)["error"]["code"] == 10


def test_a_key_of_a_market_that_went_and_came_back() -> None:
    """The market is another one now, with other scales: an old answer about it must not be shown wrongly."""
    exchange = InProcessEngine(assets(), [market()], style="plain")
    exchange.call(102, [1, "BTC", "d", 1, "10", {}], 1_000)
    exchange.call(201, [1, "BTCUSD", 1, "1.5", "100", "0.002", "0.001", "s"], 2_000)
    cancelled = exchange.call(204, [1, "BTCUSD", 1], 2_000, "cancel")
    change(exchange, rules_of(assets(), []))
    assert exchange.call(204, [1, "BTCUSD", 1], 3_000, "cancel")["error"]["code"] == 1
    change(exchange, rules_of(assets(), [market(2, 4)]))
    again = exchange.call(204, [1, "BTCUSD", 1], 4_000, "cancel")
    assert again == cancelled or again["error"] is not None, again


def test_the_words_of_a_difference() -> None:
    old = rules_of(assets(), [market()])
    new = msgspec.structs.replace(
        rules_of(assets(usd=14)[:2], [market(min_amount="1"), market() | {"name": "BTCUSD2"}]), repeat_age_s=5
    )
    assert rule_change.differences(old, new) == [
        "asset XYZ: in force, missing in the file",
        "asset USD: prec_save 12 in force, 14 in the file",
        "market BTCUSD: min_amount 0 in force, 1 in the file",
        "market BTCUSD2: new in the file",
        "repeat_age_s: 86400 in force, 5 in the file",
    ]
    assert rule_change.differences(old, old) == []
    turned = msgspec.structs.replace(old, assets=old.assets[::-1])
    assert rule_change.differences(old, turned) == [
        "assets: the order differs (it is the order of lists in replies)"
    ]
