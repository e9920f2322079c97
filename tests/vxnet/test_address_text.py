"""Addresses as text: what is read, what is refused and with which words."""

from __future__ import annotations

import socket

import pytest

from vxnet.address import Address, format_peer, parse_address
from vxnet.errors import AddressError

READ = [
    # text, kind, host, port, path, written back
    ("tcp@127.0.0.1:7316", "tcp", "127.0.0.1", 7316, "", "tcp@127.0.0.1:7316"),
    ("TCP@0.0.0.0:0", "tcp", "0.0.0.0", 0, "", "tcp@0.0.0.0:0"),
    ("udp@127.0.0.1:65535", "udp", "127.0.0.1", 65535, "", "udp@127.0.0.1:65535"),
    ("tcp@[::1]:80", "tcp", "::1", 80, "", "tcp@[::1]:80"),
    ("udp@[2001:DB8:0::7]:80", "udp", "2001:db8::7", 80, "", "udp@[2001:db8::7]:80"),
    ("stream@/run/vx.sock", "stream", "", 0, "/run/vx.sock", "stream@/run/vx.sock"),
    ("unix@/run/vx.sock", "stream", "", 0, "/run/vx.sock", "stream@/run/vx.sock"),
    ("Dgram@relative.sock", "dgram", "", 0, "relative.sock", "dgram@relative.sock"),
    ("seqpacket@/a@b:c", "seqpacket", "", 0, "/a@b:c", "seqpacket@/a@b:c"),
    ("stream@" + "x" * 107, "stream", "", 0, "x" * 107, "stream@" + "x" * 107),
]

REFUSED = [
    # text, words of the rule
    ("", "the form is"),
    ("127.0.0.1:7316", "the form is"),
    ("http@127.0.0.1:7316", "the form is"),
    (" tcp@127.0.0.1:7316", "the form is"),
    ("tcp@", "a host and a port are needed"),
    ("tcp@127.0.0.1", "a host and a port are needed"),
    ("tcp@localhost:7316", "literal"),
    ("tcp@127.0.0.256:7316", "literal"),
    ("tcp@127.0.0.01:7316", "literal"),
    ("tcp@[127.0.0.1]:7316", "literal"),
    ("tcp@:7316", "literal"),
    ("tcp@::1:80", "in brackets"),
    ("tcp@[fe80::1%eth0]:80", "zone"),
    ("tcp@127.0.0.1:", "decimal"),
    ("tcp@127.0.0.1:0x50", "decimal"),
    ("tcp@127.0.0.1:0080", "decimal"),
    ("tcp@127.0.0.1:-1", "decimal"),
    ("tcp@127.0.0.1:8_0", "decimal"),
    ("tcp@127.0.0.1:٨٠", "decimal"),
    ("tcp@127.0.0.1:65536", "0 to 65535"),
    ("tcp@127.0.0.1:" + "9" * 5000, "0 to 65535"),
    ("stream@", "file path"),
    ("stream@/a\0b", "file path"),
    ("stream@" + "x" * 108, "107 bytes"),
    ("stream@" + "ä" * 54, "107 bytes"),
]


@pytest.mark.parametrize(("text", "kind", "host", "port", "path", "written"), READ)
def test_read_and_written_back(text: str, kind: str, host: str, port: int, path: str, written: str) -> None:
    address = parse_address(text)
    assert (address.kind, address.host, address.port, address.path) == (kind, host, port, path)
    assert str(address) == written
    assert parse_address(written) == address


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(AddressError, match=r"^address '") as refusal:
        parse_address(text)
    assert words in str(refusal.value)
    assert text[:50] in str(refusal.value) or "\0" in text
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    ("text", "family", "socktype", "sockaddr"),
    [
        ("tcp@1.2.3.4:5", socket.AF_INET, socket.SOCK_STREAM, ("1.2.3.4", 5)),
        ("udp@[::1]:5", socket.AF_INET6, socket.SOCK_DGRAM, ("::1", 5)),
        ("stream@/s", socket.AF_UNIX, socket.SOCK_STREAM, "/s"),
        ("dgram@/s", socket.AF_UNIX, socket.SOCK_DGRAM, "/s"),
        ("seqpacket@/s", socket.AF_UNIX, socket.SOCK_SEQPACKET, "/s"),
    ],
)
def test_what_the_socket_module_needs(text: str, family: int, socktype: int, sockaddr: object) -> None:
    address = parse_address(text)
    assert (address.family, address.socktype, address.sockaddr()) == (family, socktype, sockaddr)


def test_an_address_is_a_value() -> None:
    assert len({parse_address("tcp@1.2.3.4:5"), Address(kind="tcp", host="1.2.3.4", port=5)}) == 1


@pytest.mark.parametrize(
    ("family", "sockaddr", "text"),
    [
        (socket.AF_INET, ("1.2.3.4", 5), "1.2.3.4:5"),
        (socket.AF_INET6, ("::1", 5, 0, 0), "[::1]:5"),
        (socket.AF_UNIX, "/run/peer", "unix:/run/peer"),
        (socket.AF_UNIX, "", "unix:"),
        (socket.AF_UNIX, None, "unix:"),
        (socket.AF_UNIX, b"\0abstract", "unix:@abstract"),
    ],
)
def test_the_other_end_as_text(family: int, sockaddr: object, text: str) -> None:
    assert format_peer(family, sockaddr) == text
