"""Scenario 02 on a real Redis: our keys are those of the C system, and its keys are good for us.

Of ours the first candles differ, which open at the first price and not at 0. From what the C system left, all
recorded queries are answered byte for byte.
"""

from __future__ import annotations

import json
from typing import Any

from marketprice.persistence import Position
from marketprice.requests import Requests
from marketprice.views import Views
from tests.conformance.replay import VECTORS
from tests.conformance.test_marketprice_recorded_answers import (
    DIFFERENT_ANSWERS,
    FIRST_PRICES,
    RECORDED_AT_US,
    RETENTION,
    expected,
    queries,
    recorded_state,
)
from tests.marketprice.redis_states import RedisPlace
from tests.servers.redis import RedisAddress
from vxnet.clock import ManualClock
from vxutils.rpc.bodies import decode_narrow
from vxutils.rpc.replies import ReplyFormat

KEYS: dict[str, Any] = json.loads((VECTORS / "02_redis.json").read_text())


def keys_of_ours() -> dict[str, Any]:
    """The recorded keys with the difference applied."""
    wanted: dict[str, Any] = {}
    for key, recorded in KEYS.items():
        wanted[key] = recorded["value"]
        if recorded["type"] == "hash":
            first, low = FIRST_PRICES[key.split(":")[1]]
            wanted[key] = {
                start: text.replace('["0"', f'["{first}"').replace('"0", ', f'"{low}", ')
                for start, text in recorded["value"].items()
            }
    return wanted


def answers(place: RedisPlace) -> list[str]:
    """Of all queries, from what is in Redis."""
    limits = RETENTION.limits(RECORDED_AT_US // 1_000_000)
    markets, position = place.load(limits)
    assert position.offset == 18
    requests = Requests(
        markets,
        Views("viabtc", 10**6),
        RETENTION,
        ManualClock(wall_us=RECORDED_AT_US),
        buckets_max=50_000,
        cache_timeout_us=0,
    )
    replies = ReplyFormat("viabtc", False)
    found = []
    for record, body in queries():
        answer = requests.answer(record.command, decode_narrow(body), body)
        is_error = not isinstance(answer, str)
        make: Any = replies.error if is_error else replies.success
        found.append(make(answer, record.request_id).decode())
    return found


def test_our_keys_are_those_of_the_c_system(redis_sentinel: RedisAddress) -> None:
    place = RedisPlace(redis_sentinel, 7)
    store = place.store()
    store.save(recorded_state(), Position(18))
    store.finish()
    found = place.keys()
    assert found.pop("k:vx")
    assert found == keys_of_ours()
    texts = [expected(record) for record, _ in queries()]
    assert answers(place) == texts


def test_the_keys_of_the_c_system_answer_as_it_did(redis_sentinel: RedisAddress) -> None:
    place = RedisPlace(redis_sentinel, 7)
    for key, recorded in KEYS.items():
        value = recorded["value"]
        if recorded["type"] == "hash":
            place.ask("HSET", key, *(text for pair in value.items() for text in pair))
        elif recorded["type"] == "list":
            place.ask("RPUSH", key, *value)
        else:
            place.ask("SET", key, value)
    raw = [record.raw for record, _ in queries()]
    assert sum(one != expected(record) for one, (record, _) in zip(raw, queries(), strict=True)) == (
        DIFFERENT_ANSWERS
    )
    assert answers(place) == raw
