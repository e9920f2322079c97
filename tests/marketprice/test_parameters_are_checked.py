"""The five commands: which parameters are refused, for which reason, and what the others get."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from marketprice.core.kline import Retention
from marketprice.core.market import Markets
from marketprice.requests import Requests
from marketprice.views import Views
from tests.marketprice.history import markets_of, trades
from vxnet.clock import ManualClock
from vxutils.protocol.codes import INVALID_ARGUMENT
from vxutils.rpc.bodies import MalformedBody, decode_narrow
from vxutils.rpc.replies import ReplyFormat

STATUS, KLINE, DEALS, LAST, TODAY = 301, 302, 303, 304, 305
NOW = 1_777_629_700  # 2026-05-01T10:01:40
LINES = """
2026-05-01T10:00:50 M 10.00 1.5 buy
2026-05-01T10:00:51 M 0.00000050 2 sell
"""


def requests(
    markets: Markets | None = None,
    style: str = "viabtc",
    size_max: int = 10**6,
    buckets_max: int = 1000,
    clock: ManualClock | None = None,
    cache_timeout_us: int = 0,
) -> Requests:
    known = markets or markets_of(trades(LINES))
    known.know("NEW")
    return Requests(
        known,
        Views(style, size_max),
        Retention(604_800, 525_600, 87_600),
        clock or ManualClock(wall_us=NOW * 10**6),
        buckets_max=buckets_max,
        cache_timeout_us=cache_timeout_us,
    )


def ask(asked: Requests, command: int, *params: Any) -> Any:
    body = msgspec.json.encode(params)
    answer = asked.answer(command, decode_narrow(body), body)
    return answer if not isinstance(answer, str) else msgspec.json.decode(answer)


REFUSED = [
    (STATUS, [], "wrong_parameter_count"),
    (STATUS, ["M", 60, 1], "wrong_parameter_count"),
    (STATUS, ["NOPE", 60], "unknown_market"),
    (STATUS, [1, 60], "unknown_market"),
    (STATUS, ["M", 0], "invalid_period"),
    (STATUS, ["M", 604_801], "invalid_period"),
    (STATUS, ["M", "60"], "invalid_period"),
    (STATUS, ["M", 60.0], "invalid_period"),
    (STATUS, ["M", True], "invalid_period"),
    (KLINE, ["M", 1, 2], "wrong_parameter_count"),
    (KLINE, ["NOPE", 1, 2, 60], "unknown_market"),
    (KLINE, ["M", 0, 2, 60], "invalid_start"),
    (KLINE, ["M", -5, 2, 60], "invalid_start"),
    (KLINE, ["M", 1.5, 2, 60], "invalid_start"),
    (KLINE, ["M", 1, 0, 60], "invalid_end"),
    (KLINE, ["M", 1, "2", 60], "invalid_end"),
    (KLINE, ["M", 3, 2, 60], "invalid_start"),
    (KLINE, ["M", NOW + 1, NOW + 5, 60], "invalid_start"),
    (KLINE, ["M", 1, 2, 0], "invalid_interval"),
    (KLINE, ["M", 1, 2, -60], "invalid_interval"),
    (KLINE, ["M", 1, 2, 60.0], "invalid_interval"),
    (KLINE, ["M", 1, 2, 7], "invalid_interval"),
    (KLINE, ["M", 1, 2, 2**62], "invalid_interval"),
    (KLINE, ["M", NOW - 2000, NOW, 1], None),
    (DEALS, ["M", 10], "wrong_parameter_count"),
    (DEALS, ["NOPE", 10, 0], "unknown_market"),
    (DEALS, ["M", 0, 0], "invalid_limit"),
    (DEALS, ["M", 10_001, 0], "invalid_limit"),
    (DEALS, ["M", "1", 0], "invalid_limit"),
    (DEALS, ["M", 10, "0"], "invalid_last_id"),
    (DEALS, ["M", 10, None], "invalid_last_id"),
    (LAST, [], "wrong_parameter_count"),
    (LAST, ["M", "M"], "wrong_parameter_count"),
    (LAST, ["NOPE"], "unknown_market"),
    (LAST, [None], "unknown_market"),
    (TODAY, [], "wrong_parameter_count"),
    (TODAY, ["NOPE"], "unknown_market"),
]


@pytest.mark.parametrize(("command", "params", "reason"), REFUSED)
def test_refused_for_this_reason(command: int, params: list[Any], reason: str | None) -> None:
    answer = ask(requests(), command, *params)
    if reason is None:
        assert isinstance(answer, list)
    else:
        assert (answer.code, answer.message, answer.reason) == (1, INVALID_ARGUMENT.message, reason)
        assert answer.rule


def test_results_in_both_styles() -> None:
    viabtc, plain = requests(), requests(style="plain")
    assert ask(viabtc, LAST, "M") == "5.0e-7"
    assert ask(plain, LAST, "M") == "0.0000005"
    assert ask(viabtc, LAST, "NEW") == "0"
    small, tiny = "5.0e-7", "0.0000005"
    for asked, low in ((viabtc, small), (plain, tiny)):
        values = {"open": "10", "close": low, "high": "10", "low": low, "volume": "3.5", "deal": "15.000001"}
        assert ask(asked, STATUS, "M", 60) == {"period": 60, "last": low, **values}
        today = {"open": "10", "last": low, "high": "10", "low": low, "volume": "3.5", "deal": "15.000001"}
        assert ask(asked, TODAY, "M") == today
        assert ask(asked, KLINE, "M", NOW - 100, NOW, 60) == [
            [1777629600, "10", low, "10", low, "3.5", "15.000001", "M"],
            [1777629660, low, low, low, low, "0", "0", "M"],
        ]
    zeros = {"open": "0", "close": "0", "high": "0", "low": "0", "volume": "0", "deal": "0"}
    assert ask(viabtc, STATUS, "NEW", 60) == {"period": 60, "last": "0", **zeros}
    assert ask(viabtc, TODAY, "NEW") == {
        "open": "0",
        "last": "0",
        "high": "0",
        "low": "0",
        "volume": "0",
        "deal": "0",
    }
    assert ask(viabtc, DEALS, "NEW", 10, 0) == []
    assert ask(viabtc, KLINE, "NEW", 1, NOW, 60) == []


def test_a_market_that_is_quiet_keeps_its_last_price() -> None:
    quiet = requests(clock=ManualClock(wall_us=(NOW + 10 * 86_400) * 10**6))
    assert ask(quiet, STATUS, "M", 60) == {
        "period": 60, "last": "5.0e-7",
        "open": "0", "close": "0", "high": "0", "low": "0", "volume": "0", "deal": "0",
    }  # fmt: skip
    today = ask(quiet, TODAY, "M")
    assert today == {
        "open": "5.0e-7",
        "last": "5.0e-7",
        "high": "5.0e-7",
        "low": "5.0e-7",
        "volume": "0",
        "deal": "0",
    }


def test_too_many_buckets_are_refused_before_they_are_made() -> None:
    asked = requests(buckets_max=100)
    assert len(ask(asked, KLINE, "M", NOW - 200, NOW, 1)) == 51  # those before the first deal do not count
    later = requests(buckets_max=100, clock=ManualClock(wall_us=(NOW + 300) * 10**6))
    answer = ask(later, KLINE, "M", NOW, NOW + 300, 1)
    assert (answer.code, answer.reason) == (1, "too_many_buckets")
    assert len(ask(later, KLINE, "M", NOW, NOW + 99, 1)) == 100


def test_replies_are_bounded_in_bytes_too() -> None:
    asked = requests(size_max=2000)
    assert ask(asked, KLINE, "M", NOW - 200, NOW, 1).reason == "too_many_buckets"
    many = markets_of(trades("\n".join(["1000000000 M 1 1 buy"] * 100)))
    small = requests(many, size_max=2000)
    assert ask(small, DEALS, "M", 100, 0).reason == "reply_too_large"
    assert len(ask(small, DEALS, "M", 10, 0)) == 10


def test_a_repeated_question_gets_the_repeated_answer_for_a_while() -> None:
    clock = ManualClock(wall_us=NOW * 10**6)
    markets = markets_of(trades(LINES))
    asked = requests(markets, clock=clock, cache_timeout_us=450_000)
    before = [ask(asked, STATUS, "M", 60), ask(asked, LAST, "M")]
    for trade in trades("2026-05-01T10:01:30 M 77 1 buy"):
        markets.apply(markets_of([trade]).by_name["M"].recent.newest_first[0])
    clock.advance(450_000)
    assert ask(asked, STATUS, "M", 60) == before[0]
    assert ask(asked, STATUS, "M", 61)["last"] == "77"  # another question
    assert ask(asked, LAST, "M") == "77"  # never repeated
    clock.advance(1)
    assert ask(asked, STATUS, "M", 60)["last"] == "77"
    assert ask(asked, STATUS, "M", 0).code == 1
    assert ask(asked, STATUS, "M", 0).code == 1


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1", b"1", b'["\\u0000"]', b"[9223372036854775808]",
             b'["M", [{"a": -9223372036854775809}]]', b"\xff"]
)  # fmt: skip
def test_malformed_bodies(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        decode_narrow(body)


def test_reply_bodies() -> None:
    error = requests().answer(LAST, [], b"[]")
    assert not isinstance(error, str)
    assert (
        ReplyFormat("viabtc", False).success('"1"', 2**64 - 1) == b'{"error": null, "result": "1", "id": -1}'
    )
    assert ReplyFormat("viabtc", False).error(error, 5) == (
        b'{"error": {"code": 1, "message": "invalid argument"}, "result": null, "id": 5}'
    )
    assert ReplyFormat("plain", False).success("[]", 3) == b'{"error":null,"result":[],"id":3}'
    data = b'"data":{"reason":"wrong_parameter_count","parameter":"","rule":"the parameters are [market]"}'
    assert ReplyFormat("plain", False).error(error, 5) == (
        b'{"error":{"code":1,"message":"invalid argument",' + data + b'},"result":null,"id":5}'
    )
    indented = ["{", '    "error": null,', '    "result": {', '        "time": 1795340599.8550949,']
    indented += ['        "a": []', "    },", '    "id": 3', "}"]
    got = ReplyFormat("viabtc", True).success('{"time": 1795340599.8550949, "a": []}', 3)
    assert got.decode().splitlines() == indented
