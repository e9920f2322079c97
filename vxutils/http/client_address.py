"""Whom a connection is from, when a proxy of ours stands before us: decided from peer and headers, no I/O.

    client ---> proxy A ---> proxy B ---> us      peer: B     X-Forwarded-For: (his own words), client, A
                                                  from the right: A is trusted, `client` is not: it is him

Only what a trusted proxy wrote is believed, so everything to the left of the first address that is not
trusted is the client's own word and is not looked at. Nobody is trusted by default: then the peer is
the client.

Source: protocol.md 9.1; 12.5 number 71 (the C system believes anybody).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

HOPS_MAX: Final = 32
"""Addresses of one X-Forwarded-For that are looked at, from the right."""

FORWARDED_FOR: Final = "x-forwarded-for"
C_ORDER: Final = ("x-connecting-ip", FORWARDED_FOR, "x-proxy-ip", "x-real-ip")
"""Where the C system looks, first match first. Source: protocol.md 9.1."""

AddressRule = Callable[[str, Iterable[tuple[str, str]]], str]
"""Of a peer and headers, the client's address."""

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(
    peer: str, headers: Mapping[str, str], trusted: Sequence[Network], c_style: bool = False
) -> str:
    """The client's address, a literal without port; empty for a unix socket's peer.

    `peer` is the other end as sessions name it (`ip:port`, `[ip]:port`, `unix:`), `headers` have lower-case
    names, repeats joined with commas. `trusted` are the networks of the proxies; the processes behind a unix
    socket are trusted as soon as anybody is. `c_style`: the other headers of the C system count too, in its
    order; there, too, only a trusted proxy is believed and X-Forwarded-For is read from the right.
    """
    host = peer_host(peer)
    if not trusted or (host and not _is_trusted(host, trusted)):
        return host
    for name in C_ORDER if c_style else (FORWARDED_FOR,):
        value = headers.get(name)
        if value:
            found = _forwarded(value, host, trusted) if name == FORWARDED_FOR else _literal(value)
            if found:
                return found
    return host


def address_rule(trusted: Sequence[Network], c_style: bool = False) -> AddressRule:
    """`client_address` for one listener, as a function of peer and headers (lower-case names, repeats
    included)."""

    def rule(peer: str, headers: Iterable[tuple[str, str]]) -> str:
        joined: dict[str, str] = {}
        for name, value in headers if trusted else ():
            if name in C_ORDER:
                joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return client_address(peer, joined, trusted, c_style)

    return rule


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Raises: ValueError for what is no network such as `10.0.0.0/8`."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def peer_host(peer: str) -> str:
    """The address in the name of a peer, without port; empty for a unix socket's."""
    if peer.startswith("unix:"):
        return ""
    return _literal(peer.rpartition(":")[0] or peer)


def _forwarded(value: str, host: str, trusted: Sequence[Network]) -> str:
    """The right-most address that is no proxy of ours; where the list ends in nonsense, the last proxy."""
    client = host
    for text in reversed(value.split(",")[-HOPS_MAX:]):
        literal = _literal(text)
        if not literal:
            return client
        client = literal
        if not _is_trusted(literal, trusted):
            return client
    return client


def _literal(text: str) -> str:
    """The address in its usual form; IPv4 in IPv6's clothes is IPv4. Empty if it is none."""
    text = text.strip().strip("[]").partition("%")[0]
    try:
        address: _Ip = ipaddress.ip_address(text)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _is_trusted(literal: str, trusted: Sequence[Network]) -> bool:
    address = ipaddress.ip_address(literal)
    return any(address in network for network in trusted)
