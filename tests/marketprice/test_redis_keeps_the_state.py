"""Market data in a real Redis: what is saved comes back, each batch counts once, whatever happens to it."""

from __future__ import annotations

from datetime import UTC

import pytest

from marketprice.core.calendar import Calendar
from marketprice.core.market import Markets
from marketprice.core.trades import RECENT_MAX
from marketprice.persistence import Position, StoreRefused
from marketprice.redis_persistence import RedisStore
from tests.marketprice.history import Trade, markets_of, trades
from tests.marketprice.redis_states import RedisPlace, apply, texts_of
from tests.servers.redis import RedisAddress
from vxutils.store.redis.errors import RedisWrong

LINES = """
1000000000 A 10.00 1.5 buy
1000000001 B 0.00000050 2 sell
1000000060 A 11.25 0.001 sell
1000003600 A 9 1 buy
"""
MADE = trades(LINES)


@pytest.fixture
def place(redis_sentinel: RedisAddress) -> RedisPlace:
    return RedisPlace(redis_sentinel, 5)


def save(store: RedisStore, markets: Markets, position: Position) -> None:
    store.save(markets, position)
    store.finish()


def test_what_is_saved_comes_back(place: RedisPlace) -> None:
    store, markets = place.store(), markets_of(MADE)
    markets.know("NEW")
    save(store, markets, Position(3, 4, b"digest"))
    assert (store.saved, store.waiting, store.trouble) == (Position(3, 4, b"digest"), 0, None)
    found, position = place.load()
    assert position == Position(3, 4, b"digest")
    assert texts_of(found) == texts_of(markets)
    assert list(found.by_name) == ["A", "B", "NEW"]
    assert all(market.is_saved for market in found.by_name.values())
    before = place.keys()
    save(store, markets, Position(3, 4, b"digest"))
    assert place.keys() == before, "nothing has happened, nothing is written"


def test_an_empty_one_has_nothing_and_stays_without_a_position(place: RedisPlace) -> None:
    store = place.store()
    markets, position = store.load(Calendar(UTC), {})
    assert (markets.by_name, position) == ({}, Position(-1))
    markets.know("A")
    save(store, markets, position)
    assert place.ask("GET", "k:A:last") == "0"
    assert place.ask("GET", "k:offset") is None, "the C system would start behind message 0"
    assert place.load()[1] == Position(-1)


def test_an_offset_of_0_without_deals_is_none(place: RedisPlace) -> None:
    place.ask("MSET", "k:offset", 0, "k:A:last", 0)  # as the C system leaves it before the first message
    store = place.store()
    markets, position = store.load(Calendar(UTC), {})
    assert (list(markets.by_name), position) == (["A"], Position(-1))
    markets.know("B")
    save(store, markets, position)
    apply(markets, MADE[:1])
    save(store, markets, Position(0))
    assert (store.trouble, place.load()[1].offset) == (None, 0)


def test_going_on_after_a_restart_equals_going_on_without(place: RedisPlace) -> None:
    for count in range(len(MADE)):
        place.ask("FLUSHDB")
        save(place.store(), markets_of(MADE[:count]), Position(count - 1))
        store = place.store()
        found, position = store.load(Calendar(UTC), {})
        apply(found, MADE[position.offset + 1 :], position.offset + 1)
        save(store, found, Position(len(MADE) - 1))
        assert texts_of(place.load()[0]) == texts_of(markets_of(MADE))


def test_only_the_newest_deals_are_kept(place: RedisPlace) -> None:
    made = [Trade(10**15, "M", "1", "1", 1, number) for number in range(1, RECENT_MAX + 501)]
    store, markets = place.store(), Markets(Calendar(UTC))
    for first in (0, 4000):
        apply(markets, made[first : first + 4000], first)
        save(store, markets, Position(first + 3999))
    apply(markets, made[8000:], 8000)
    save(store, markets, Position(len(made) - 1))
    assert place.ask("LLEN", "k:M:deals") == RECENT_MAX
    assert texts_of(place.load()[0]) == texts_of(markets)


def test_old_candles_are_dropped_and_not_loaded(place: RedisPlace) -> None:
    limits = {"1s": 1000000001, "1m": 1000000020, "1h": 1000003600}
    save(place.store(), markets_of(MADE), Position(3))
    store = place.store()
    markets, position = store.load(Calendar(UTC), limits)
    expected = markets_of(MADE)
    expected.drop_before(limits)
    assert texts_of(markets) == texts_of(expected)
    save(store, markets, position)  # those that were too old at the start
    assert texts_of(place.load()[0]) == texts_of(expected)
    later = {"1s": 1000000061}
    store.drop_before(markets, later)
    markets.drop_before(later)
    save(store, markets, position)
    assert texts_of(place.load()[0]) == texts_of(markets) != texts_of(expected)


@pytest.mark.parametrize("behind", [0, 1, 2])
def test_what_a_replica_did_not_have_is_written_again(place: RedisPlace, behind: int) -> None:
    store, markets = place.store(), Markets(Calendar(UTC))
    for offset in range(3):
        if offset == 3 - behind:
            place.copy_to(6)
        apply(markets, MADE[offset : offset + 1], offset)
        save(store, markets, Position(offset))
    if behind:
        place.ask("FLUSHDB")
        RedisPlace.copy_to(_at(place, 6), place.number)
    apply(markets, MADE[3:], 3)
    save(store, markets, Position(3))
    assert texts_of(place.load()[0]) == texts_of(markets_of(MADE))
    assert place.load()[1] == Position(3)


def _at(place: RedisPlace, number: int) -> RedisPlace:
    other = object.__new__(RedisPlace)
    other.servers, other.number = place.servers, number
    return other


def test_somebody_elses_writing_is_left_alone(place: RedisPlace) -> None:
    store, markets = place.store(), markets_of(MADE[:2])
    save(store, markets, Position(1))
    place.ask("SET", "k:offset", 7)
    before = place.keys()
    apply(markets, MADE[2:], 2)
    save(store, markets, Position(3))
    assert store.trouble is not None and "k:offset is 7, ours never was above 3" in store.trouble
    assert (place.keys(), store.saved, store.waiting > 0) == (before, Position(1), True)


def test_of_two_processes_the_later_one_goes_on(place: RedisPlace) -> None:
    first, markets = place.store(), markets_of(MADE[:2])
    save(first, markets, Position(1))
    second = place.store()
    others, _ = second.load(Calendar(UTC), {})
    rival = place.store()  # started at the same time
    rivals, _ = rival.load(Calendar(UTC), {})
    for number in (2, 3):
        apply(others, MADE[number : number + 1], number)
        save(second, others, Position(number))
    assert (second.saved, second.trouble) == (Position(3), None)
    before = place.keys()
    for loser, its in ((first, markets), (rival, rivals)):
        apply(its, MADE[2:], 2)
        save(loser, its, Position(3))
        assert loser.trouble is not None and "another marketprice was started" in loser.trouble
        assert (place.keys(), loser.saved) == (before, Position(1))
    assert texts_of(place.load()[0]) == texts_of(markets_of(MADE))
    first.replace(markets, Position(3))  # told to make it again
    assert place.store().load(Calendar(UTC), {})[1] == Position(3)


def test_a_state_takes_the_place_of_another(place: RedisPlace) -> None:
    save(place.store(), markets_of(trades("1000000000 OLD 1 1 buy\n1000000009 A 1 1 buy")), Position(1))
    store = place.store()
    store.load(Calendar(UTC), {})
    store.replace(markets_of(MADE), Position(3))
    found, position = place.load()
    assert position == Position(3)
    assert {name: one for name, one in texts_of(found).items() if name != "OLD"} == texts_of(markets_of(MADE))
    assert not place.ask("KEYS", "vx:new:*")


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (("SET", "k:A:last", "x"), r"k:A:last: 'x' is no price"),
        (("LPUSH", "k:A:deals", "x"), r"k:A:deals: 'x' is no deal"),
        (("SET", "k:offset", "x"), r"k:offset: 'x' is no number"),
        (("SET", "k:vx", "x"), r"k:vx holds 'x'"),
    ],
)
def test_what_can_not_be_read_is_named(place: RedisPlace, command: tuple[str, ...], problem: str) -> None:
    save(place.store(), markets_of(MADE), Position(3))
    place.ask(*command)
    with pytest.raises(StoreRefused, match=problem):
        place.load()


def test_days_of_another_time_zone_are_refused(place: RedisPlace) -> None:
    save(place.store(), markets_of(MADE), Position(3))
    with pytest.raises(StoreRefused, match="days of the time zone UTC, the settings say Asia/Tokyo"):
        place.load(zone="Asia/Tokyo")


def test_a_candle_that_can_not_be_read_is_left_out_as_in_the_c_system(place: RedisPlace) -> None:
    save(place.store(), markets_of(MADE), Position(3))
    place.ask("HSET", "k:A:1d", "7", "x", "x", "y", "8", '["1", "2", "3", "1", "5"]')
    found, _ = place.load()
    assert 7 not in found.by_name["A"].series["1d"].by_start
    assert found.by_name["A"].series["1d"].by_start[8].deal == 0


def test_a_key_of_a_wrong_type_is_told_and_nothing_counts_as_saved(place: RedisPlace) -> None:
    store, markets = place.store(), markets_of(MADE)
    place.ask("SET", "k:A:deals", "x")
    save(store, markets, Position(3))
    assert store.trouble is not None and "WRONGTYPE" in store.trouble
    assert (store.saved, place.ask("GET", "k:vx")) == (Position(-1), None)
    store.finish()
    assert "all market data are written again" in store.trouble
    with pytest.raises(RedisWrong, match="WRONGTYPE"):
        place.load()
    store.replace(markets, Position(3))
    assert texts_of(place.load()[0]) == texts_of(markets)
