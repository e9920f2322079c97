"""Where the history goes to MySQL, what its columns can not hold is refused with error 1; all else is not."""

from __future__ import annotations

from typing import Any

import pytest

from matchengine.columns import ColumnDoor
from matchengine.core.refusals import Refusal
from matchengine.requests import Requests
from tests.support.inprocess import InProcessEngine
from vxutils.store.mysql.limits import C_LIMITS

ASSETS = [
    {"name": "COIN", "prec_save": 24, "prec_show": 12},
    {"name": "CASH", "prec_save": 24, "prec_show": 12},
]
MARKETS = [
    {
        "name": "COINCASH",
        "stock": {"name": "COIN", "prec": 10},
        "money": {"name": "CASH", "prec": 10},
        "fee_prec": 6,
        "min_amount": "0.0000000001",
    }
]
UPDATE, LIMIT, MARKET, CANCEL = 102, 201, 202, 204

FITS: list[tuple[int, list[Any]]] = [
    (UPDATE, [1, "COIN", "x" * 30, 1, "0.12345678", {"note": "\u20ac\uffff" * 300}]),
    (UPDATE, [1, "COIN", "deposit", 1, "99999999999999", {}]),
    (UPDATE, [1, "COIN", "withdraw", 1, "-0.00000001", {}]),
    (UPDATE, [1, "COIN", "deposit", 1, "1.000000000000", {"list": [1.5] * 900}]),
    (LIMIT, [1, "COINCASH", 1, "0.12345678", "0.00000001", "0.1234", "0.0001", "\u00fc" * 15]),
    (LIMIT, [1, "COINCASH", 1, "1.0000000000", "1", "0", "0", ""]),
    (MARKET, [1, "COINCASH", 1, "3", "0.002", "web"]),
    (CANCEL, [1, "COINCASH", 1]),
]

DOES_NOT_FIT: list[tuple[int, list[Any], str]] = [
    (UPDATE, [1, "COIN", "deposit", 1, "0.123456789", {}], "change"),
    (UPDATE, [1, "COIN", "deposit", 1, "100000000000000", {}], "change"),
    (UPDATE, [1, "COIN", "deposit", 1, "1", {"note": "\U0001f600"}], "detail"),
    (UPDATE, [1, "COIN", "deposit", 1, "1", {"\U0001f600": 1}], "detail"),
    (UPDATE, [1, "COIN", "\U0001f600", 1, "1", {}], "params"),
    (LIMIT, [1, "COINCASH", 1, "0.123456789", "1", "0", "0", ""], "amount"),
    (LIMIT, [1, "COINCASH", 1, "1", "0.123456789", "0", "0", ""], "price"),
    (LIMIT, [1, "COINCASH", 1, "1", "1", "0.12345", "0", ""], "taker_fee"),
    (LIMIT, [1, "COINCASH", 1, "1", "1", "0", "0.00001", ""], "maker_fee"),
    (LIMIT, [1, "COINCASH", 1, "1", "1", "0", "0", "\U0001f600"], "source"),
    (MARKET, [1, "COINCASH", 1, "0.123456789", "0", ""], "amount"),
]


def requests(with_door: bool) -> Requests:
    inside = InProcessEngine(ASSETS, MARKETS)
    door = ColumnDoor(inside.engine, C_LIMITS) if with_door else None
    return Requests(inside.engine, inside.views, door)


@pytest.mark.parametrize(("command", "params"), FITS)
def test_what_fits_is_not_touched(command: int, params: list[Any]) -> None:
    made = requests(True).operations[command](params, 1, "")
    assert not isinstance(made, Refusal)
    assert made == requests(False).operations[command](params, 1, "")


@pytest.mark.parametrize(("command", "params", "parameter"), DOES_NOT_FIT)
def test_what_does_not_fit_is_refused_in_words(command: int, params: list[Any], parameter: str) -> None:
    assert not isinstance(requests(False).operations[command](params, 1, ""), Refusal)
    refusal = requests(True).operations[command](params, 1, "")
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.message) == (1, "invalid argument")
    assert (refusal.reason, refusal.parameter) == ("does_not_fit_the_database", parameter)
    assert refusal.rule


def test_the_total_of_all_users_is_what_must_fit() -> None:
    inside = InProcessEngine(ASSETS, MARKETS)
    inside.requests = Requests(inside.engine, inside.views, ColumnDoor(inside.engine, C_LIMITS))
    for user in (1, 2):
        reply = inside.call(UPDATE, [user, "COIN", "deposit", user, "49999999999999", {}], user)
        assert reply["error"] is None
    assert inside.call(UPDATE, [3, "COIN", "deposit", 3, "2", {}], 3)["error"]["code"] == 1
    assert inside.call(UPDATE, [1, "COIN", "withdraw", 4, "-2", {}], 4)["error"] is None
    assert inside.call(UPDATE, [3, "COIN", "deposit", 5, "2", {}], 5)["error"] is None
