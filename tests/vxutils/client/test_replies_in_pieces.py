"""Both wires, fed byte by byte: whole replies, bounds, and garbage. No socket."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vxutils.client.errors import WireError
from vxutils.client.reply import Reply
from vxutils.client.request import Request, make_request
from vxutils.client.wires import HEAD_BYTES_MAX, HttpWire, RpcWire, Wire
from vxutils.rpc.packet import encode_packet

REQUEST = make_request("order.depth", ["BTCUSDT", 5, "0"], None)
LIMIT = 100
END = b""


def http_wire() -> HttpWire:
    wire = HttpWire("h:1", "/", None, LIMIT)
    wire.request(REQUEST, 7)
    return wire


def feed(wire: Wire, data: bytes) -> Reply | None:
    """Byte by byte, to the first reply."""
    for index in range(len(data)):
        reply = wire.receive(data[index : index + 1])
        if reply is not None:
            assert index == len(data) - 1, "a reply before its end"
            return reply
    return None


HTTP_REPLIES = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}", True),
    (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 400, b"", True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", 200, b"{}", False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}", False),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", 200, b"{}", True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 504 X\r\nContent-Length: 1\r\n\r\n5", 504, b"5", True),
]


@pytest.mark.parametrize(("data", "status", "body", "is_reusable"), HTTP_REPLIES)
def test_http_replies(data: bytes, status: int, body: bytes, is_reusable: bool) -> None:
    for feeding in (feed, lambda wire, data: wire.receive(data)):
        wire = http_wire()
        assert feeding(wire, data) == Reply(status, body)
        assert wire.is_reusable is is_reusable


def test_a_wire_reads_one_reply_after_another() -> None:
    wire = http_wire()
    for data, status, body, is_reusable in HTTP_REPLIES:
        wire.request(REQUEST, 8)
        assert feed(wire, data) == Reply(status, body)
        assert wire.is_reusable is is_reusable


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    wire = http_wire()
    assert feed(wire, b"HTTP/1.1 200 OK\r\n\r\n{}") is None
    assert wire.receive(END) == Reply(200, b"{}")
    assert not wire.is_reusable


def test_more_than_the_reply_makes_the_connection_useless() -> None:
    wire = http_wire()
    data = HTTP_REPLIES[0][0]
    assert wire.receive(data + data.replace(b"{}", b"[]")) == Reply(200, b"{}")
    assert not wire.is_reusable


BROKEN = [
    (b"", "closed the connection"),
    (b"HTTP/1.1 200 OK\r\nContent-Le", "closed the connection"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", "closed the connection"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{", "closed the connection"),
    (b"HTTP/1.1 100 Continue\r\n\r\n", "closed the connection"),
    (b"SSH-2.0-x\r\n", "not HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", "not HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + b"x" * 101, "longer than 100 bytes"),
    (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101, "longer than 100 bytes"),
    (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * HEAD_BYTES_MAX, "head of the answer is longer"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" * HEAD_BYTES_MAX, "head of the answer is longer"),
]


@pytest.mark.parametrize(("data", "sentence"), BROKEN)
def test_broken_http_replies(data: bytes, sentence: str) -> None:
    wire = http_wire()
    with pytest.raises(WireError, match=sentence):
        for start in range(0, len(data), 1000):
            wire.receive(data[start : start + 1000])
        wire.receive(END)


def test_a_request_has_everything_and_no_more() -> None:
    wire = HttpWire("h:1", "/x", "tok", LIMIT)
    request = make_request("order.cancel", [1, "BTCUSDT", 5], "my key")
    head, _, body = wire.request(request, 3).partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /x HTTP/1.1",
        b"Host: h:1",
        b"Authorization: Bearer tok",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
    ]
    assert msgspec.json.decode(body) == {
        "id": 3,
        "method": "order.cancel",
        "params": [1, "BTCUSDT", 5],
        "idempotency_key": "my key",
    }


def rpc_wire(request: Request = REQUEST) -> RpcWire:
    wire = RpcWire(LIMIT)
    wire.request(request, 7)
    return wire


def packet(sequence: int = 7, command: int = 206, body: bytes = b"{}") -> bytes:
    return encode_packet(command, 1, sequence, 7, body)


def test_rpc_replies_to_other_requests_are_passed_over() -> None:
    for data in (packet(), packet(6) + packet(), packet(7, command=0) + packet()):
        wire = rpc_wire()
        assert feed(wire, data) == Reply(200, b"{}")
        assert wire.is_reusable


def test_rpc_with_more_behind_is_not_reusable() -> None:
    for rest in (packet(8), b"x"):
        wire = rpc_wire()
        assert wire.receive(packet() + rest) == Reply(200, b"{}")
        assert not wire.is_reusable


BROKEN_PACKETS = [
    (b"", "closed the connection"),
    (packet()[:-1], "closed the connection"),
    (packet()[:-1] + b"x", "bad crc"),
    (b"x" * 40, "bad magic"),
    (packet(body=b"x" * 100), "packet larger"),
]


@pytest.mark.parametrize(("data", "sentence"), BROKEN_PACKETS)
def test_broken_rpc_replies(data: bytes, sentence: str) -> None:
    wire = rpc_wire()
    with pytest.raises(WireError, match=sentence):
        assert feed(wire, data) is None
        wire.receive(END)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.booleans())
def test_garbage_is_never_more_than_a_wire_error(pieces: list[bytes], is_http: bool) -> None:
    wire: Wire = http_wire() if is_http else rpc_wire()
    try:
        for piece in [*pieces, END]:
            if wire.receive(piece) is not None:
                return
    except WireError:
        pass


def test_the_key_travels_in_the_extension() -> None:
    wire = RpcWire(LIMIT)
    sent = wire.request(make_request("order.cancel", [], "my key"), 2**32 + 9)
    assert sent == encode_packet(204, 0, 9, 2**32 + 9, b"[]", b"my key")
