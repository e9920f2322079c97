"""The engine and the naive exchange give the same reply to each of 100,000 random commands.

Every thousand commands everything that can be asked is compared too, and the engine checks its own laws.
A failure prints the command which replays its seed; `VX_SEED` chooses one.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

import pytest

from tests.support.inprocess import InProcessEngine
from tests.support.naive import NaiveExchange
from tests.support.random_commands import ASSETS, INTERVALS, MARKETS, USERS, RandomCommands

COMMANDS_PER_SEED = 25_000
AUDIT_EVERY = 1_000
REPEAT_AGE_S = 3_600
BOOK_ORDERS_MAX = 101  # one page shows the whole book
SEEDS = [int(os.environ["VX_SEED"])] if "VX_SEED" in os.environ else [1, 2, 3, 4]
OUTCOMES = {
    *((command, 0) for command in (101, 102, 104, 105, 201, 202, 203, 204, 205, 206, 207, 307, 308)),
    *((command, 1) for command in (101, 102, 105, 201, 202, 203, 204, 205, 206, 207, 308)),
    *((command, 10) for command in (102, 201, 202, 204)),
    *((command, 11) for command in (102, 201, 202, 204)),
}


class Pair:
    """Both exchanges, asked the same; a difference raises with what was asked and how to see it again."""

    def __init__(self, seed: int) -> None:
        self.naive = NaiveExchange(ASSETS, MARKETS, REPEAT_AGE_S)
        self.engine = InProcessEngine(ASSETS, MARKETS, REPEAT_AGE_S)
        self.asked = 0
        self._again = f"VX_SEED={seed} python -m pytest tests/matchengine/test_agrees_with_naive_exchange.py"

    def call(self, command: int, params: list[Any], now_us: int) -> dict[str, Any]:
        self.asked += 1
        expected = self.naive.call(command, params, now_us)
        got = self.engine.call(command, params, now_us)
        if in_microseconds(expected) != in_microseconds(got):
            pytest.fail(
                f"command {self.asked}: {command} {params!r} at {now_us}\n"
                f"naive  {json.dumps(expected)}\nengine {json.dumps(got)}\nagain: {self._again}"
            )
        return expected

    def audit(self, now_us: int) -> None:
        """Asks both for all they hold, and the engine for its laws."""
        try:
            self.engine.check_laws()
        except AssertionError as broken:
            pytest.fail(f"after command {self.asked}: {broken}\nagain: {self._again}")
        for user in USERS:
            for market in MARKETS:
                self.call(203, [user, market["name"], 0, 101], now_us)
            if user:
                self.call(101, [user], now_us)
        for market in MARKETS:
            for side in (1, 2):
                book = self.call(205, [market["name"], side, 0, 101], now_us)
                assert book["result"]["total"] <= BOOK_ORDERS_MAX, f"the books grow: {self._again}"
            for interval in INTERVALS:
                self.call(206, [market["name"], 101, interval], now_us)
        for command in (104, 105, 307, 308):
            self.call(command, [], now_us)


def in_microseconds(reply: Any) -> Any:
    """The text of the reply, its times (the engine prints seconds) as whole microseconds."""

    def rewritten(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {
            key: round(value * 1_000_000) if key in ("ctime", "mtime") and isinstance(value, float) else value
            for key, value in pairs
        }

    return json.dumps(json.loads(json.dumps(reply), object_pairs_hook=rewritten))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_reply_is_the_same(seed: int) -> None:
    pair = Pair(seed)
    commands = RandomCommands(seed)
    outcomes: Counter[tuple[int, int]] = Counter()
    now_us = commands.now_us()
    for command, params in commands.funding():
        assert pair.call(command, params, now_us)["error"] is None
    for count in range(1, COMMANDS_PER_SEED + 1):
        command, params = commands.next()
        now_us = commands.now_us()
        reply = pair.call(command, params, now_us)
        commands.saw(command, params, reply)
        outcomes[command, reply["error"]["code"] if reply["error"] else 0] += 1
        if count % AUDIT_EVERY == 0 or count == COMMANDS_PER_SEED:
            pair.audit(now_us)
    assert outcomes.keys() >= OUTCOMES, f"never seen: {sorted(OUTCOMES - outcomes.keys())}"
