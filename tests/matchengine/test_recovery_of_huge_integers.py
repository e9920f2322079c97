"""Integers around 2^63, 2^64 and 10^30 at 20 decimals: request, journal, slice, replay and hash."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests.support.hand_worker import HandWorker, audit

# As counts of 10^-20 these are just around 2^63 and 2^64; the others are far beyond.
AMOUNTS = [
    "0.09223372036854775807",
    "0.09223372036854775808",
    "0.18446744073709551615",
    "0.18446744073709551616",
    "9223372036854775808",
    "18446744073709551616",
    "999999999999999999999999999999",
    "999999999999999999999999999999.99999999999999999999",
]


def a_hair_more(amount: str) -> str:
    """`amount` and one count at 20 decimals."""
    count = int(Fraction(amount) * 10**20) + 1
    return f"{count // 10**20}.{count % 10**20:020d}"


@pytest.mark.parametrize("with_slice", [False, True])
def test_every_digit_survives(tmp_path: Path, with_slice: bool) -> None:
    data = tmp_path / "data"
    with HandWorker(data) as worker:
        for user, amount in enumerate(AMOUNTS, 1):
            worker.done(102, [user, "WEI", "deposit", 1, amount, {}])
        mark = worker.state_hash
        worker.stop() if with_slice else worker.crash()
    with HandWorker(data) as worker:
        assert worker.state_hash == mark
        for user, amount in enumerate(AMOUNTS, 1):
            shown = worker.done(101, [user, "WEI"])["WEI"]["available"]
            assert shown == amount, "decimal text, digit by digit"
            assert worker.engine.assets["WEI"].available[user] == Fraction(amount) * 10**40
        total = sum(map(Fraction, AMOUNTS))
        assert Fraction(worker.done(105, ["WEI"])[0]["total_balance"]) == total
        for user, amount in enumerate(AMOUNTS, 1):
            assert worker.refused(102, [user, "WEI", "withdraw", 1, f"-{a_hair_more(amount)}", {}]) in (1, 11)
            worker.done(102, [user, "WEI", "withdraw", 1, f"-{amount}", {}])
        assert worker.engine.assets["WEI"].available == {}
        worker.check_laws()
    assert audit(data).operation_id == 2 * len(AMOUNTS)


def test_orders_of_that_size(tmp_path: Path) -> None:
    """A trade of 10^30 units of WEI less one hair, with a fee, over a slice and a replay."""
    data = tmp_path / "data"
    huge = "999999999999999999999999999999.9999"
    with HandWorker(data) as worker:
        worker.done(102, [1, "WEI", "deposit", 1, huge, {}])
        worker.done(102, [2, "USD", "deposit", 1, "200000000000000000000000000", {}])
        ask = worker.done(201, [1, "WEIUSD", 1, huge, "0.0001", "0.001", "0.002", "s"])
        assert ask["amount"] == huge
        worker.stop()
    with HandWorker(data) as worker:
        bid = worker.done(
            201, [2, "WEIUSD", 2, "123456789012345678901234567890.1234", "0.0001", "0.0015", "0", "s"]
        )
        assert (bid["left"], bid["deal_stock"]) == ("0", "123456789012345678901234567890.1234")
        assert Fraction(bid["deal_fee"]) == Fraction("123456789012345678901234567890.1234") * Fraction(
            "0.0015"
        )
        mark = worker.state_hash
        worker.crash()
    with HandWorker(data) as worker:
        assert worker.state_hash == mark
        worker.check_laws()
        asks = worker.done(206, ["WEIUSD", 1, "0"])["asks"]
        assert Fraction(asks[0][1]) == Fraction(huge) - Fraction("123456789012345678901234567890.1234")
    audit(data)


@pytest.mark.parametrize("amount", ["1e30", "1000000000000000000000000000000", "-1e30", "1e61", "9" * 65])
def test_larger_ones_are_no_numbers_here(tmp_path: Path, amount: str) -> None:
    with HandWorker(tmp_path / "data") as worker:
        before = worker.state_hash
        assert worker.refused(102, [1, "WEI", "deposit", 1, amount, {}]) == 1
        assert worker.refused(201, [1, "WEIUSD", 1, amount, "1", "0", "0", "s"]) == 1
        assert worker.state_hash == before


def test_ids_at_the_edges_of_64_bits(tmp_path: Path) -> None:
    data = tmp_path / "data"
    edges = [2**63 - 1, -(2**63), 2**32, 0]
    with HandWorker(data) as worker:
        for number in edges:
            worker.done(102, [2**32 - 1, "BTC", "deposit", number, "1", {"id": number}])
        worker.stop()
    with HandWorker(data) as worker:
        for number in edges:
            assert worker.refused(102, [2**32 - 1, "BTC", "deposit", number, "1", {}]) == 10
    audit(data)
