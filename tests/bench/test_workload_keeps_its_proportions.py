"""What the load generator sends, and how it counts time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench.histogram import LatencyHistogram
from bench.workload import PACKETS, cancel_packet, credit_params, prebuild
from vxutils.rpc.packet import split_packets


def params_of(packet: bytes) -> list[Any]:
    packets, consumed = split_packets(packet, 4096)
    assert (len(packets), consumed) == (1, len(packet))
    params: list[Any] = json.loads(packets[0].body)
    return params


def test_mix_rests_two_thirds_and_crosses_one() -> None:
    built = prebuild("mix", "BTCBCH", 7, 1)
    assert sum(built.rests) / PACKETS == pytest.approx(2 / 3, abs=0.02)
    for packet, user, rests in list(zip(built.packets, built.users, built.rests, strict=True))[:300]:
        sent_user, market, side, amount, price, taker_fee, maker_fee, source = params_of(packet)
        assert (sent_user, market, source) == (user, "BTCBCH", "load")
        assert (taker_fee, maker_fee) == ("0.002", "0.001")
        assert 0.1 <= float(amount) <= 1
        away = float(price) / 10_000 - 1 if side == 1 else 1 - float(price) / 10_000
        assert 0 <= away <= 0.0101 if rests else away == pytest.approx(-0.02)


def test_the_same_seed_sends_the_same() -> None:
    assert prebuild("rest", "M", 3, 5) == prebuild("rest", "M", 3, 5)
    assert prebuild("rest", "M", 3, 5) != prebuild("rest", "M", 3, 6)


def test_pairs_alternate() -> None:
    built = prebuild("pairs", "M", 3, 1)
    sides = [params_of(packet)[2:5] for packet in built.packets[:4]]
    assert sides == [[1, "0.10000000", "10000.00"], [2, "0.10000000", "10000.00"]] * 2


def test_cancels_and_credits() -> None:
    assert params_of(cancel_packet(4, "BTCBCH", 77)) == [4, "BTCBCH", 77]
    business_ids = [params[3] for params in credit_params(3, "BTC", "BCH", 100)]
    assert business_ids == [100, 101, 102, 103, 104, 105]


def test_quantiles_are_within_half_a_percent() -> None:
    histogram = LatencyHistogram()
    for microseconds in range(1, 10_001):
        histogram.add(microseconds * 1e-6, 1)
    histogram.add(0.0, 1)
    for fraction in (0.1, 0.5, 0.99):
        assert histogram.quantile_us(fraction) == pytest.approx(fraction * 10_000, rel=0.005)
    assert histogram.summary_us()["max"] == 10_000
    assert LatencyHistogram().quantile_us(0.5) == 0
