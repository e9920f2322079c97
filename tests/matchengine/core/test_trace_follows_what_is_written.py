"""Marks: equal between two engines as long as every value written is, wherever one of them was started."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import msgspec
import pytest

from matchengine.core import snapshot
from matchengine.core.commands import CancelOrder, ChangeRules, Command, Mark, PutLimit, UpdateBalance
from matchengine.core.engine import Engine
from matchengine.core.refusals import Refusal
from matchengine.core.trace import FOLD_VALUES, NO_TRACE, PRIME, Trace
from matchengine.core.views import Views
from matchengine.requests import Requests
from tests.support.inprocess import rules_of
from tests.support.random_commands import ASSETS, MARKETS, RandomCommands

RULES = ChangeRules(0, msgspec.to_builtins(rules_of(ASSETS, MARKETS)))
SEED = 20240501
COMMANDS = 900
MARK_EVERY = 41


def random_journal() -> Iterator[tuple[Command, list[int]]]:
    """What a live engine accepts, marks in between, each with its outcome."""
    engine = Engine()
    views = Views(engine, "plain")
    requests = Requests(engine, views)
    source = RandomCommands(SEED)
    proposed = iter(source.funding())

    def execute(command: Command) -> Iterator[tuple[Command, list[int]]]:
        engine.apply(command)
        if engine.outcome:
            yield command, list(engine.outcome)

    yield from execute(RULES)
    for number in range(COMMANDS):
        now_us = source.now_us()
        if number % MARK_EVERY == 0:
            yield from execute(Mark(now_us))
        operation, params = next(proposed, None) or source.next()
        make = requests.operations.get(operation)
        made = make(params, now_us, "") if make is not None else None
        if made is not None and not isinstance(made, Refusal):
            yield from execute(made)


def test_a_replay_has_the_same_marks_from_any_slice_on() -> None:
    journal = list(random_journal())
    marks = [outcome for command, outcome in journal if type(command) is Mark]
    assert marks[0] == [NO_TRACE]
    assert len(set(map(tuple, marks))) == len(marks) > 15
    engine = Engine()
    chance = random.Random(SEED)
    for command, outcome in journal:
        engine.apply(command)
        assert engine.outcome == outcome
        if chance.random() < 0.05:
            items = list(snapshot.dump(engine))
            engine = snapshot.load(items)
            assert list(snapshot.dump(engine)) == items


def test_when_values_are_folded_makes_no_difference() -> None:
    chance = random.Random(SEED)
    values = [chance.getrandbits(chance.choice((7, 40, 64, 90, 300))) for _ in range(70_000)]
    at_once, in_parts = Trace(), Trace()
    for trace in (at_once, in_parts):
        trace.restart()
    for value in values:
        in_parts.written.append(value)
        if len(in_parts.written) > chance.choice((1, 20, 5000)):
            in_parts.fold()
    at_once.written += values
    assert at_once.value == in_parts.value


@pytest.mark.parametrize("bit", [0, 31, 32, 60, 61, 64, 200])
def test_no_flipped_bit_goes_unseen(bit: int) -> None:
    value = 10**70 + PRIME
    traces = []
    for written in (value, value ^ (1 << bit)):
        trace = Trace()
        trace.restart()
        trace.written.append(written)
        traces.append(trace.value)
    assert traces[0] != traces[1]


def small_engine() -> Engine:
    """User 1 sells 3 BTC for CNY, of which user 2 has bought 1."""
    engine = Engine()
    engine.apply(RULES)
    engine.apply(Mark(1))
    engine.apply(UpdateBalance(2, 1, "BTC", "deposit", 1, 10 * 10**12, ""))
    engine.apply(UpdateBalance(3, 2, "CNY", "deposit", 2, 10**6 * 10**8, ""))
    engine.apply(PutLimit(4, 1, "BTCCNY", 1, 30_000, 1_000_00, 10, 20, "", ""))
    engine.apply(PutLimit(5, 2, "BTCCNY", 2, 10_000, 1_000_00, 10, 20, "", ""))
    return engine


def test_the_number_is_the_same_everywhere() -> None:
    engine = small_engine()
    engine.apply(Mark(6))
    assert engine.outcome == [661011969]


def test_marks_are_bounded_without_being_marked() -> None:
    engine = small_engine()
    for number in range(2 * FOLD_VALUES):
        engine.apply(UpdateBalance(10 + number, 1, "BTC", "deposit", 100 + number, 1, ""))
        assert len(engine.trace.written) <= FOLD_VALUES + 10


BUY = PutLimit(9, 2, "BTCCNY", 2, 5_000, 1_000_00, 10, 20, "", "")
CREDIT = UpdateBalance(9, 1, "BTC", "deposit", 3, 7, "")
Tamper = Callable[[Engine], None]


def available(engine: Engine) -> None:
    engine.assets["BTC"].available[1] += 1


def frozen(engine: Engine) -> None:
    engine.assets["BTC"].frozen[1] += 1


def left(engine: Engine) -> None:
    engine.markets["BTCCNY"].orders[1].left -= 1


def supply(engine: Engine) -> None:
    engine.assets["CNY"].supply += 1


def fees(engine: Engine) -> None:
    engine.assets["CNY"].fees += 1


def lost_account(engine: Engine) -> None:
    del engine.assets["CNY"].available[1]


def lost_repeat(engine: Engine) -> None:
    engine.repeats.popitem()


def moved(engine: Engine) -> None:
    """As much too little here as too much there."""
    engine.assets["CNY"].available[1] -= 5
    engine.assets["CNY"].available[2] += 5


@pytest.mark.parametrize(
    ("tamper", "touch"),
    [
        (available, CREDIT),
        (frozen, BUY),
        (left, BUY),
        (supply, CREDIT),
        (fees, CREDIT),
        (lost_account, CREDIT),
        (lost_repeat, BUY),
        (moved, BUY),
        (left, CancelOrder(9, 1, "BTCCNY", 1, "")),
    ],
)
def test_what_was_tampered_with_shows_once_it_is_touched(tamper: Tamper, touch: Command) -> None:
    outcomes = []
    for change in (lambda engine: None, tamper):
        engine = small_engine()
        change(engine)
        found = []
        for command in (touch, Mark(10)):
            engine.apply(command)
            assert engine.outcome
            found.append(list(engine.outcome))
        outcomes.append(found)
    assert outcomes[0] != outcomes[1]


def test_an_old_slice_has_no_trace_until_the_first_mark() -> None:
    engine = small_engine()
    items = [item for item in snapshot.dump(engine) if item[0] != "trace"]
    old = snapshot.load(items)
    assert list(snapshot.dump(old)) == items
    old.apply(Mark(7))
    assert old.outcome == [NO_TRACE]
    assert ["trace", 0] in list(snapshot.dump(old))
