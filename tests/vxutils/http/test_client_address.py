"""Whose word on a client's address counts: a table of peers, headers and trusted networks."""

from __future__ import annotations

import pytest

from vxutils.http.client_address import address_rule, client_address, parse_networks

# peer, X-Forwarded-For, trusted networks, the client
FORWARDED = [
    ("10.0.0.1:5", "", "10.0.0.0/8", "10.0.0.1"),
    ("10.0.0.1:5", "203.0.113.7", "", "10.0.0.1"),  # nobody is trusted by default
    ("203.0.113.9:5", "198.51.100.1", "10.0.0.0/8", "203.0.113.9"),  # not a proxy of ours
    ("10.0.0.1:5", "203.0.113.7", "10.0.0.0/8", "203.0.113.7"),
    (
        "10.0.0.1:5",
        "1.1.1.1, 203.0.113.7",
        "10.0.0.0/8",
        "203.0.113.7",
    ),  # the client's own words: the left one
    ("10.0.0.1:5", "203.0.113.7, 10.0.0.2", "10.0.0.0/8", "203.0.113.7"),
    ("10.0.0.1:5", "10.0.0.3, 10.0.0.2", "10.0.0.0/8", "10.0.0.3"),  # inside, all the way
    ("10.0.0.1:5", "203.0.113.7, nonsense", "10.0.0.0/8", "10.0.0.1"),
    ("10.0.0.1:5", "203.0.113.7, nonsense, 10.0.0.2", "10.0.0.0/8", "10.0.0.2"),
    ("10.0.0.1:5", " , ,", "10.0.0.0/8", "10.0.0.1"),
    ("10.0.0.1:5", "[2001:db8::1]", "10.0.0.0/8", "2001:db8::1"),
    ("10.0.0.1:5", "2001:DB8:0::1", "10.0.0.0/8", "2001:db8::1"),
    ("10.0.0.1:5", "203.0.113.7:4711", "10.0.0.0/8", "10.0.0.1"),
    ("[fd00::1]:5", "203.0.113.7", "fd00::/8", "203.0.113.7"),
    ("[::ffff:10.0.0.1]:5", "203.0.113.7", "10.0.0.0/8", "203.0.113.7"),
    ("unix:", "203.0.113.7", "10.0.0.0/8", "203.0.113.7"),
    ("unix:", "203.0.113.7", "", ""),
    ("10.0.0.1:5", ",".join(["6.6.6.6"] + ["10.0.0.2"] * 1000), "10.0.0.0/8", "10.0.0.2"),
]


@pytest.mark.parametrize(("peer", "forwarded", "trusted", "client"), FORWARDED)
def test_only_trusted_proxies_are_believed(peer: str, forwarded: str, trusted: str, client: str) -> None:
    headers = {"x-forwarded-for": forwarded} if forwarded else {}
    assert client_address(peer, headers, parse_networks(trusted.split())) == client


OTHERS = {
    "x-connecting-ip": "1.1.1.1",
    "x-forwarded-for": "2.2.2.2",
    "x-proxy-ip": "3.3.3.3",
    "x-real-ip": "4.4.4.4",
}


@pytest.mark.parametrize("missing", range(5))
def test_c_style_takes_the_headers_in_the_order_of_the_c_system(missing: int) -> None:
    trusted = parse_networks(["10.0.0.0/8"])
    headers = dict(list(OTHERS.items())[missing:])
    expected = [*OTHERS.values(), "10.0.0.1"][missing]
    assert client_address("10.0.0.1:5", headers, trusted, c_style=True) == expected
    assert client_address("9.9.9.9:5", headers, trusted, c_style=True) == "9.9.9.9"
    plain = "2.2.2.2" if missing < 2 else "10.0.0.1"
    assert client_address("10.0.0.1:5", headers, trusted) == plain


def test_repeated_headers_are_one_list() -> None:
    rule = address_rule(parse_networks(["10.0.0.0/8"]))
    headers = [("x-forwarded-for", "203.0.113.7"), ("host", "x"), ("x-forwarded-for", "10.0.0.2")]
    assert rule("10.0.0.1:5", headers) == "203.0.113.7"
    assert address_rule(())("10.0.0.1:5", headers) == "10.0.0.1"
