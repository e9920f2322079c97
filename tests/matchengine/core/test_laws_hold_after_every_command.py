"""The laws of the state after every single one of some thousand random commands, legal and illegal.

`broken_laws` itself is tried too: each law is broken once by hand, and named. VX_SEED chooses a seed.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from matchengine.core.engine import Engine
from matchengine.core.invariants import broken_laws
from matchengine.core.order_book import BookSide
from tests.support.inprocess import InProcessEngine
from tests.support.random_commands import ASSETS, MARKETS, RandomCommands

COMMANDS = 1500
OPERATIONS = (102, 201, 202, 204)
SEEDS = [int(os.environ["VX_SEED"])] if "VX_SEED" in os.environ else [11, 12]


@pytest.mark.parametrize("seed", SEEDS)
def test_after_every_command(seed: int) -> None:
    exchange, commands = InProcessEngine(ASSETS, MARKETS), RandomCommands(seed)
    engine = exchange.engine
    ids = [0, 0]
    for command, params in commands.funding():
        exchange.call(command, params, commands.now_us())
    executed = 0
    while executed < COMMANDS:
        command, params = commands.next()
        reply = exchange.call(command, params, commands.now_us())
        commands.saw(command, params, reply)
        if command not in OPERATIONS:
            continue
        executed += 1
        broken = broken_laws(engine)
        assert not broken, f"VX_SEED={seed}: {command} {params}: {broken}"
        if reply["error"] is None or reply["error"]["code"] != 1:
            assert bool(engine.outcome) == (reply["error"] is None), "an outcome, or a refusal"
        assert engine.last_order_id - ids[0] == (reply["error"] is None and command in (201, 202))
        assert engine.last_deal_id >= ids[1]
        ids = [engine.last_order_id, engine.last_deal_id]
    assert engine.last_deal_id > 50, "the books were busy"


@pytest.fixture
def engine() -> Engine:
    """One ask and two bids that do not cross."""
    exchange = InProcessEngine(ASSETS, MARKETS)
    for user, asset in ((1, "BTC"), (2, "BCH")):
        assert exchange.call(102, [user, asset, "d", 1, "100", {}], 1)["error"] is None
    for user, side, price in ((1, 1, "9"), (2, 2, "8"), (2, 2, "8")):
        order = [user, "BTCBCH", side, "1", price, "0", "0", "s"]
        assert exchange.call(201, order, 1)["error"] is None
    assert broken_laws(exchange.engine) == []
    return exchange.engine


def _bids(engine: Engine) -> BookSide:
    return engine.markets["BTCBCH"].bids


def _lose_money(engine: Engine) -> None:
    engine.assets["BTC"].available[1] -= 1


def _make_money(engine: Engine) -> None:
    engine.assets["BTC"].supply += 1


def _forget_a_fee(engine: Engine) -> None:
    engine.assets["BCH"].fees += 1


def _go_negative(engine: Engine) -> None:
    engine.assets["BTC"].available.update({1: -5, 3: engine.assets["BTC"].available[1] + 5})


def _keep_a_zero(engine: Engine) -> None:
    engine.assets["BTC"].available[9] = 0


def _freeze_too_much(engine: Engine) -> None:
    engine.assets["BTC"].freeze(1, 7)


def _freeze_for_another(engine: Engine) -> None:
    frozen = engine.assets["BCH"].frozen
    frozen[4], frozen[2] = 1, frozen[2] - 1


def _miscount_frozen(engine: Engine) -> None:
    engine.assets["BCH"].frozen_total += 1


def _cross(engine: Engine) -> None:
    level = _bids(engine).levels.pop(_bids(engine).keys.pop())
    ask_price = engine.markets["BTCBCH"].orders[1].price
    level.price = ask_price
    _bids(engine).keys.append(_bids(engine).sign * ask_price)
    _bids(engine).levels[_bids(engine).sign * ask_price] = level


def _lose_from_index(engine: Engine) -> None:
    del engine.markets["BTCBCH"].orders[2]


def _lose_from_user(engine: Engine) -> None:
    del engine.markets["BTCBCH"].users[2][3]


def _level_total(engine: Engine) -> None:
    next(iter(_bids(engine).levels.values())).total += 1


def _side_total(engine: Engine) -> None:
    _bids(engine).total += 1


def _side_count(engine: Engine) -> None:
    _bids(engine).count += 1


def _lose_time_priority(engine: Engine) -> None:
    level = next(iter(_bids(engine).levels.values()))
    assert level.head is not None
    level.head.id = 99


BREAKS: list[tuple[Callable[[Engine], None], str]] = [
    (_lose_money, "asset BTC: balances sum to"),
    (_make_money, "asset BTC: balances sum to"),
    (_forget_a_fee, "asset BCH: balances sum to"),
    (_go_negative, "asset BTC: user 1 has available -5"),
    (_keep_a_zero, "asset BTC: user 9 has available 0"),
    (_freeze_too_much, "asset BTC: user 1 has"),
    (_freeze_for_another, "asset BCH: user 4 has 1 frozen, open orders need 0"),
    (_miscount_frozen, "asset BCH: frozen sums to"),
    (_cross, "market BTCBCH: crossed"),
    (_lose_from_index, "market BTCBCH: book and index hold different orders"),
    (_lose_from_user, "market BTCBCH: book and users' lists hold different orders"),
    (_level_total, "does not sum up its orders"),
    (_side_total, "market BTCBCH: a side does not sum up its levels"),
    (_side_count, "market BTCBCH: a side does not sum up its levels"),
    (_lose_time_priority, "stands where it can not"),
]


@pytest.mark.parametrize(("break_it", "words"), BREAKS, ids=[row[0].__name__ for row in BREAKS])
def test_each_broken_law_is_named(engine: Engine, break_it: Callable[[Engine], None], words: str) -> None:
    break_it(engine)
    found = broken_laws(engine)
    assert any(words in text for text in found), found
