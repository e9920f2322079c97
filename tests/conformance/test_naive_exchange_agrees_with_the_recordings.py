"""The oracle is right: the naive exchange gives the replies recorded from the C system, text for text.

Only the value of the clock is masked. The bad inputs (06*) are not replayed here: that is where the
project differs on purpose. The few lines of the other recordings where it does too stand in one table,
with the reason.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.naive import NaiveExchange

VECTORS = Path(__file__).parent / "vectors"
CLOCK = re.compile(r'("[cm]time": )[0-9.]+')
REFUSED = '{"error": {"code": 1, "message": "invalid argument"}, "result": null, '


class Difference(NamedTuple):
    """We refuse what the C system took. A legal twin makes the change which the recording goes on with."""

    reason: str
    legal_twin: list[Any] | None = None


DIFFERENCES = {
    "01_balances": {
        35: Difference("business over 30 bytes", [1, "ZEC", "of 31 bytes", 19, "1", {}]),
        36: Difference("business over 30 bytes", [1, "ZEC", "of 32 bytes", 19, "1", {}]),
        37: Difference("business over 30 bytes"),
        44: Difference("user id over 32 bits", [7, "ZEC", "deposit", 21, "2", {}]),
        46: Difference("user id below zero", [4294967295, "ZEC", "deposit", 22, "3", {}]),
        48: Difference("user id below zero"),
    },
    "04_cancel_and_query": {
        82: Difference("order id below one"),
        83: Difference("order id below one"),
        98: Difference("user id over 32 bits", [1, "BTCBCH", 4]),
    },
    "05_depth": {
        97: Difference("not a finite number"),
        98: Difference("not a finite number"),
        99: Difference("not a finite number"),
        100: Difference("not a finite number"),
        101: Difference("a value of 10^30"),
        102: Difference("a value of 10^30"),
    },
}
RECORDINGS = (
    ("01_balances", 60),
    ("02_limit_basic", 109),
    ("03_market_orders", 78),
    ("04_cancel_and_query", 131),
    ("05_depth", 136),
    ("07_summary", 38),
    ("08_random", 3075),
)


@pytest.mark.parametrize(("name", "replies"), RECORDINGS)
def test_every_reply_is_the_recorded_one(name: str, replies: int) -> None:
    rules = json.loads((VECTORS / "config.json").read_text())
    exchange = NaiveExchange(rules["assets"], rules["markets"])
    differences = DIFFERENCES.get(name, {})
    compared = 0
    for line, text in enumerate((VECTORS / f"{name}.jsonl").read_text().splitlines(), start=1):
        record = json.loads(text)
        if "raw" not in record:
            continue  # not a JSON array: the C system closed the connection, no command was asked
        reply = exchange.call(record["cmd"], record["params"], now_us=line)
        got = json.dumps({**reply, "id": json.loads(record["raw"])["id"]}, ensure_ascii=False)
        compared += 1
        if difference := differences.get(line):
            assert got.startswith(REFUSED), f"{name}:{line} {difference.reason}"
            if difference.legal_twin is not None:
                assert exchange.call(record["cmd"], difference.legal_twin, now_us=line)["error"] is None
        else:
            assert CLOCK.sub(r"\g<1>0", got) == CLOCK.sub(r"\g<1>0", record["raw"]), f"{name}:{line} {text}"
    assert compared == replies
