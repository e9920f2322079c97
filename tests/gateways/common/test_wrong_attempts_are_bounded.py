"""Wrong attempts per address: so many at once, then one in a while; the table does not grow."""

from __future__ import annotations

from gateways.common.attempts import WrongAttempts
from gateways.common.identity import address_key


def test_bucket_empties_and_refills() -> None:
    attempts = WrongAttempts(burst=3, refill_s=2.0)
    for _ in range(3):
        assert not attempts.are_too_many("1.2.3.4", 100.0)
        attempts.note("1.2.3.4", 100.0)
    assert attempts.are_too_many("1.2.3.4", 101.9)
    assert not attempts.are_too_many("1.2.3.4", 102.0)
    assert not attempts.are_too_many("1.2.3.5", 100.0)
    attempts.note("1.2.3.4", 102.0)
    assert attempts.are_too_many("1.2.3.4", 103.0)
    attempts.note("1.2.3.4", 1_000_000.0)  # a long silence earns no more than the burst
    assert [attempts.are_too_many("1.2.3.4", 1_000_000.0)] == [False]


def test_table_is_bounded_and_forgets_the_quietest() -> None:
    attempts = WrongAttempts(burst=1, refill_s=1_000.0, addresses_max=10)
    for number in range(10):
        attempts.note(f"10.0.0.{number}", float(number))
    attempts.note("10.0.0.0", 10.0)
    attempts.note("10.0.0.99", 11.0)
    assert len(attempts) == 10
    assert not attempts.are_too_many("10.0.0.1", 12.0)
    assert attempts.are_too_many("10.0.0.0", 12.0)


def test_unknown_peers_are_not_counted() -> None:
    attempts = WrongAttempts(burst=1)
    attempts.note("", 0.0)
    assert not attempts.are_too_many("", 0.0) and not len(attempts)


def test_an_ipv6_network_is_one_address() -> None:
    assert address_key("2001:db8:1:2:3::4") == address_key("2001:db8:1:2:ffff::") == "2001:db8:1:2::/64"
    assert address_key("2001:db8:1:3::4") != address_key("2001:db8:1:2::4")
    assert address_key("10.0.0.1") == "10.0.0.1"
