"""Every rule of the parameters, one line per request with what it becomes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateways.readhistory.parameters import read
from gateways.readhistory.store import BalanceHistory, FinishedOrder, FinishedOrders, OrderDeals, UserDeals
from vxutils.protocol.codes import ErrorCode
from vxutils.rpc.bodies import MalformedBody

BIG = 2**63 - 1

GOOD: list[tuple[int, list[Any], object]] = [
    (103, [1, "", "", 0, 0, 0, 1], BalanceHistory(1, "", "", 0, 0, 0, 1)),
    (
        103,
        [2**32 - 1, "BTC", "trade", 5, 5, BIG, 101],
        BalanceHistory(2**32 - 1, "BTC", "trade", 5, 5, BIG, 101),
    ),
    (103, [1, "", "", 7, 0, -1, 1], BalanceHistory(1, "", "", 7, 0, -1, 1)),
    (208, [1, "M", 0, 0, 0, 9], FinishedOrders(1, "M", 0, 0, 0, 0, 9)),
    (208, [1, "M", 0, 0, 0, 9, 2], FinishedOrders(1, "M", 2, 0, 0, 0, 9)),
    (208, [1, "", 0, 0, 0, 9, 0, "more"], FinishedOrders(1, "", 0, 0, 0, 0, 9)),
    (209, [BIG, 0, 9], OrderDeals(BIG, 0, 9)),
    (210, [1], FinishedOrder(1)),
    (306, [1, "M", 0, 9], UserDeals(1, "M", 0, 9)),
]

WRONG: list[tuple[int, list[Any], str]] = [
    (103, [1, "", "", 0, 0, 0], "wrong_parameter_count"),
    (103, [1, "", "", 0, 0, 0, 1, 1], "wrong_parameter_count"),
    (103, [0, "", "", 0, 0, 0, 1], "invalid_user_id"),
    (103, [-1, "", "", 0, 0, 0, 1], "invalid_user_id"),
    (103, [2**32, "", "", 0, 0, 0, 1], "invalid_user_id"),
    (103, [1.0, "", "", 0, 0, 0, 1], "invalid_user_id"),
    (103, ["1", "", "", 0, 0, 0, 1], "invalid_user_id"),
    (103, [True, "", "", 0, 0, 0, 1], "invalid_user_id"),
    (103, [1, None, "", 0, 0, 0, 1], "invalid_asset"),
    (103, [1, "", 0, 0, 0, 0, 1], "invalid_business"),
    (103, [1, "", "", 1.5, 0, 0, 1], "invalid_start_time"),
    (103, [1, "", "", -1, 0, 0, 1], "invalid_start_time"),
    (103, [1, "", "", 0, "9", 0, 1], "invalid_end_time"),
    (103, [1, "", "", 10, 5, 0, 1], "start_after_end"),
    (103, [1, "", "", 0, 0, None, 1], "invalid_offset"),
    (103, [1, "", "", 0, 0, 0, 0], "invalid_limit"),
    (103, [1, "", "", 0, 0, 0, 102], "invalid_limit"),
    (103, [1, "", "", 0, 0, 0, 1.0], "invalid_limit"),
    (208, [1, "M", 0, 0, 0], "wrong_parameter_count"),
    (208, [0, "M", 0, 0, 0, 1], "invalid_user_id"),
    (208, [1, 5, 0, 0, 0, 1], "invalid_market"),
    (208, [1, "M", 0, 0, 0, 102], "invalid_limit"),
    (208, [1, "M", 0, 0, 0, 1, 3], "invalid_side"),
    (208, [1, "M", 0, 0, 0, 1, "1"], "invalid_side"),
    (208, [1, "M", 0, 0, 0, 1, None], "invalid_side"),
    (209, [1, 0], "wrong_parameter_count"),
    (209, [0, 0, 1], "invalid_order_id"),
    (209, [-1, 0, 1], "invalid_order_id"),
    (209, [1, 0, 102], "invalid_limit"),
    (210, [], "wrong_parameter_count"),
    (210, [0], "invalid_order_id"),
    (210, ["1"], "invalid_order_id"),
    (306, [1, "M", 0], "wrong_parameter_count"),
    (306, [1, None, 0, 1], "invalid_market"),
    (306, [0, "M", 0, 1], "invalid_user_id"),
    (306, [1, "M", 0, 0], "invalid_limit"),
]

MALFORMED = [
    b"",
    b"{}",
    b"1",
    b"[1",
    b"[1]x",
    b'["\\u0000"]',
    b"[9223372036854775808]",
    b'["\xff"]',
    b"[" * 5000,
]


@pytest.mark.parametrize(("command", "params", "expected"), GOOD)
def test_good_parameters(command: int, params: list[Any], expected: object) -> None:
    assert read(command, json.dumps(params).encode()) == expected


@pytest.mark.parametrize(("command", "params", "reason"), WRONG)
def test_wrong_parameters_are_error_1(command: int, params: list[Any], reason: str) -> None:
    error = read(command, json.dumps(params).encode())
    assert isinstance(error, ErrorCode)
    assert (error.code, error.message, error.reason) == (1, "invalid argument", reason)


@pytest.mark.parametrize("body", MALFORMED)
def test_what_is_no_array_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        read(210, body)


@pytest.mark.parametrize("command", [0, 101, 204, 301, 309, 2**32 - 1])
def test_other_commands_are_unknown_whatever_they_say(command: int) -> None:
    assert read(command, b"nonsense") is None


def test_an_integer_past_64_bits_is_malformed_also_where_nobody_looks() -> None:
    with pytest.raises(MalformedBody):
        read(208, b'[1, "M", 0, 0, 0, 9, 0, {"deep": [18446744073709551616]}]')
