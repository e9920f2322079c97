"""The query cache: what is kept, for how long, and that it stays small; connections counted by address."""

from __future__ import annotations

import pytest

from gateways.accessws.cache import ENTRIES_MAX, Cached, QueryCache, read_result
from gateways.accessws.peers import Peers

BODY = b'{"error":null,"result":{"asks":[],"bids":[]},"id":7,"sequence":12}'
KEPT = [
    (BODY, Cached('{"asks":[],"bids":[]}', 12)),
    (b'{"error": null, "result": "10.00000000", "id": 4}', Cached('"10.00000000"', None)),
    (b'{"error": null, "result": null, "id": 4}', None),
    (b'{"error": {"code": 1, "message": "x"}, "result": null, "id": 4}', None),
    (b"junk", None),
    (b"[]", None),
]


@pytest.mark.parametrize(("body", "kept"), KEPT)
def test_what_is_kept(body: bytes, kept: Cached | None) -> None:
    assert read_result(body) == kept


def test_for_how_long() -> None:
    cache = QueryCache(0.5)
    key = (206, b'["BTCUSDT", 5, "0"]')
    cache.store(key, BODY, 10.0)
    assert cache.get(key, 10.5) == KEPT[0][1]
    assert cache.get(key, 10.6) is None
    assert cache.get((302, key[1]), 10.0) is None
    assert (cache.hits, cache.misses) == (1, 2)
    never = QueryCache(0)
    never.store(key, BODY, 10.0)
    assert len(never) == 0


def test_it_stays_small() -> None:
    cache = QueryCache(100)
    for number in range(2 * ENTRIES_MAX):
        cache.store((206, b"%d" % number), BODY, float(number % 7))
    assert len(cache) == ENTRIES_MAX
    cache.store((206, b"large"), b'{"error":null,"result":"%s"}' % (b"x" * 100_000), 7.0)
    assert cache.get((206, b"large"), 7.0) is None
    cache.store((206, b"next"), BODY, 1_000.0)
    assert len(cache) <= ENTRIES_MAX and cache.get((206, b"next"), 1_000.0) is not None


def test_connections_by_address() -> None:
    peers = Peers(2)
    assert [peers.enter("10.0.0.1") for _ in range(3)] == [True, True, False]
    assert peers.enter("10.0.0.2")
    assert [peers.enter(f"2001:db8::{number}") for number in range(3)] == [True, True, False]  # one /64
    assert [peers.enter("") for _ in range(5)] == [True] * 5
    assert peers.refused == 2
    peers.leave("10.0.0.1")
    assert not peers.enter("10.0.0.1")  # two and the refused one were still here
    for _ in range(3):
        peers.leave("10.0.0.1")
    assert peers.enter("10.0.0.1")
    assert all(Peers(0).enter("10.0.0.1") for _ in range(5))
    for address in ("10.0.0.1", "10.0.0.2", *(f"2001:db8::{n}" for n in range(3)), *([""] * 5)):
        peers.leave(address)
    assert len(peers) == 0
