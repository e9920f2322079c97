"""A state that went through `dump` and `load` has the same hash, and goes on in the same way."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from matchengine.core import snapshot
from matchengine.core.engine import Engine
from matchengine.core.invariants import broken_laws
from matchengine.core.views import Views
from matchengine.requests import Requests
from matchengine.slices import state_hash
from tests.support.inprocess import InProcessEngine
from tests.support.random_commands import ASSETS, MARKETS, RandomCommands
from vxutils.packing import pack, unpack_all


def copy_of(engine: Engine) -> Engine:
    """Through bytes, as a slice does it."""
    packed = b"".join(pack(item) for item in snapshot.dump(engine))
    items: Any = unpack_all(packed)
    return snapshot.load(items)


def exchange_on(engine: Engine) -> InProcessEngine:
    exchange = InProcessEngine(ASSETS, MARKETS)
    exchange.engine = engine
    exchange.views = Views(engine, "viabtc")
    exchange.requests = Requests(engine, exchange.views)
    return exchange


@pytest.mark.parametrize("seed", [21, 22])
def test_the_copy_goes_on_as_the_original(seed: int) -> None:
    """Every reply of the next thousand commands, and the hash again at their end."""
    original, commands = InProcessEngine(ASSETS, MARKETS), RandomCommands(seed)
    for command, params in commands.funding():
        original.call(command, params, commands.now_us())
    for number in range(1500):
        command, params = commands.next()
        key = f"key{number % 40}" if number % 3 == 0 and command in (102, 201, 202, 204) else ""
        reply = original.call(command, params, commands.now_us(), key)
        if not key:
            commands.saw(command, params, reply)
    assert original.engine.keys, "keyed commands were accepted"
    copy = exchange_on(copy_of(original.engine))
    assert state_hash(snapshot.dump(copy.engine)) == state_hash(snapshot.dump(original.engine))
    assert broken_laws(copy.engine) == []
    for number in range(1000):
        command, params = commands.next()
        now_us = commands.now_us()
        key = f"key{number % 40}" if number % 5 == 0 and command in (102, 201, 202, 204) else ""
        expected = original.call(command, params, now_us, key)
        assert copy.call(command, params, now_us, key) == expected, (seed, number, command, params, key)
        assert copy.engine.outcome == original.engine.outcome
        if not key:
            commands.saw(command, params, expected)
    assert state_hash(snapshot.dump(copy.engine)) == state_hash(snapshot.dump(original.engine))


def test_the_hash_does_not_depend_on_the_way_there() -> None:
    """Equal states give equal hashes, though their dictionaries were filled in another order."""
    one, other = InProcessEngine(ASSETS, MARKETS), InProcessEngine(ASSETS, MARKETS)
    for exchange, users in ((one, (1, 2, 3)), (other, (3, 1, 2))):
        for user in users:
            exchange.engine.assets["BTC"].deposit(user, 5)
    assert state_hash(snapshot.dump(one.engine)) == state_hash(snapshot.dump(other.engine))
    other.engine.assets["BTC"].available[3] += 1
    assert state_hash(snapshot.dump(one.engine)) != state_hash(snapshot.dump(other.engine))


def test_an_item_of_unknown_shape_is_refused() -> None:
    items = [*snapshot.dump(Engine()), ["something new", 1]]
    with pytest.raises(ValueError, match="unknown shape: 'something new'"):
        snapshot.load(items)


def test_an_order_without_source_keeps_none() -> None:
    exchange = InProcessEngine(ASSETS, MARKETS)
    exchange.call(102, [1, "BTC", "d", 1, "10", {}], 1)
    exchange.call(201, [1, "BTCBCH", 1, "1", "9", "0", "0", "s"], 1)
    order = exchange.engine.markets["BTCBCH"].orders[1]
    order.source = None
    loaded = exchange_on(copy_of(exchange.engine))
    detail = loaded.call(207, ["BTCBCH", 1], 2)["result"]
    assert "source" not in detail
    assert detail["left"] == "1"
    assert msgspec.to_builtins(loaded.engine.rules) == msgspec.to_builtins(exchange.engine.rules)
