"""What a proxy could read in another way than we do is refused and ends the connection."""

from __future__ import annotations

import pytest

from tests.vxutils.http.driving import get, serving
from tests.vxutils.http.test_requests_split_anywhere import parse
from vxutils.http.messages import Request

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"


def with_headers(lines: bytes, body: bytes = b"0\r\n\r\n") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n\r\n" + body


def with_chunks(body: bytes) -> bytes:
    return with_headers(b"Transfer-Encoding: chunked", body)


SHAPES = {
    "length, then chunked": with_headers(b"Content-Length: 5\r\nTransfer-Encoding: chunked"),
    "chunked, then length": with_headers(b"Transfer-Encoding: chunked\r\nContent-Length: 5"),
    "two lengths": with_headers(b"Content-Length: 5\r\nContent-Length: 6", b"01234"),
    "the same length twice": with_headers(b"Content-Length: 5\r\nContent-Length: 5", b"01234"),
    "length +5": with_headers(b"Content-Length: +5", b"01234"),
    "length 5,5": with_headers(b"Content-Length: 5,5", b"01234"),
    "length 5 5": with_headers(b"Content-Length: 5 5", b"01234"),
    "negative length": with_headers(b"Content-Length: -1"),
    "hexadecimal length": with_headers(b"Content-Length: 0x5", b"01234"),
    "length beyond 64 bits": with_headers(b"Content-Length: 99999999999999999999"),
    "empty length": with_headers(b"Content-Length: "),
    "length with a vertical tab": with_headers(b"Content-Length: \x0b5", b"01234"),
    "gzip, chunked": with_headers(b"Transfer-Encoding: gzip, chunked"),
    "chunked, gzip": with_headers(b"Transfer-Encoding: chunked, gzip"),
    "chunked twice": with_headers(b"Transfer-Encoding: chunked, chunked"),
    "chunked in two headers": with_headers(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    "gzip and chunked in two headers": with_headers(b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"),
    "identity": with_headers(b"Transfer-Encoding: identity"),
    "xchunked": with_headers(b"Transfer-Encoding: xchunked"),
    "chunked with a parameter": with_headers(b"Transfer-Encoding: chunked;q=1"),
    "no coding": with_headers(b"Transfer-Encoding: "),
    "coding with a vertical tab": with_headers(b"Transfer-Encoding: \x0bchunked"),
    "chunked in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "only line feeds": b"POST / HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
    "a line feed after a header": b"POST / HTTP/1.1\r\nHost: x\nContent-Length: 0\r\n\r\n",
    "a carriage return in a header": with_headers(b"X: a\rb"),
    "a folded header": with_headers(b"X: a\r\n b"),
    "a blank before the first header": b"POST / HTTP/1.1\r\n Host: x\r\n\r\n",
    "a blank before a colon": with_headers(b"Content-Length : 5", b"01234"),
    "a header without a name": with_headers(b": x"),
    "a header without a colon": with_headers(b"X"),
    "a zero byte in a value": with_headers(b"X: a\x00b"),
    "a zero byte in a name": with_headers(b"X\x00: a"),
    "two hosts": with_headers(b"Host: y"),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two blanks in the request line": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a blank behind the version": b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
    "another protocol": b"GET / RTSP/1.0\r\nHost: x\r\n\r\n",
    "chunk size beyond 64 bits": with_chunks(b"FFFFFFFFFFFFFFFFF\r\n"),
    "negative chunk": with_chunks(b"-1\r\na\r\n0\r\n\r\n"),
    "chunk size 0x1": with_chunks(b"0x1\r\na\r\n0\r\n\r\n"),
    "chunk size with a blank": with_chunks(b"1 \r\na\r\n0\r\n\r\n"),
    "empty chunk size": with_chunks(b"\r\na\r\n0\r\n\r\n"),
    "line feed after a chunk size": with_chunks(b"1\na\r\n0\r\n\r\n"),
    "line feed after a chunk": with_chunks(b"1\r\na\n0\r\n\r\n"),
    "a chunk longer than it says": with_chunks(b"1\r\nabc\r\n0\r\n\r\n"),
    "zero byte in a chunk extension": with_chunks(b"1;a\x00b\r\na\r\n0\r\n\r\n"),
    "line feed in a chunk extension": with_chunks(b"1;a\nb\r\na\r\n0\r\n\r\n"),
    "a length among the trailers": with_chunks(b"0\r\nContent-Length: 5\r\n\r\n01234"),
    "a trailer without a colon": with_chunks(b"0\r\nX\r\n\r\n"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_shape_is_refused(shape: str) -> None:
    data = SHAPES[shape] + HIDDEN
    found = parse([data])
    assert [fault[0] for fault in found if isinstance(fault, tuple)] == [400]
    assert not [request for request in found if isinstance(request, Request)]
    assert [fault for fault in parse([bytes([byte]) for byte in data]) if isinstance(fault, tuple)]


@pytest.mark.parametrize(
    "shape", ["chunked, then length", "two lengths", "only line feeds", "a folded header", "negative chunk"]
)
def test_it_is_answered_once_and_the_connection_ends(shape: str) -> None:
    with serving() as served:
        client = served.client()
        client.send(get("/before") + SHAPES[shape] + HIDDEN)
        assert [status for status, _ in client.answers(3)] == [200, 400]
        assert client.to_the_end().count(b"Connection: close\r\n") == 1
        assert [exchange.request.target for exchange in served.handler.exchanges] == ["/before"]
        assert served.server.faults == {400: 1}


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"BREW / HTTP/1.1", 501),
        (b"get / HTTP/1.1", 501),
        (b"CONNECT x:1 HTTP/1.1", 501),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/1.2", 505),
        (b"GET / HTTP/0.9", 505),
        (b"GET /", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /\x7f HTTP/1.1", 400),
        (b"GET /\xff HTTP/1.1", 400),
    ],
)
def test_what_is_not_ours_is_told(line: bytes, status: int) -> None:
    with serving() as served:
        client = served.client()
        client.send(line + b"\r\nHost: x\r\n\r\n")
        assert client.answers(1) == [(status, b"")]
        client.to_the_end()
        assert not served.handler.exchanges
