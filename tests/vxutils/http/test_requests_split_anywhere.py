"""A request means the same however the network cuts it: every byte, and random cuts of random requests."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vxutils.http.driving import chunked, get, post, serving
from vxutils.http.limits import HttpLimits
from vxutils.http.messages import HttpFault, Request
from vxutils.http.parser import Phase, RequestParser

REQUESTS = [
    get("/health?x=1"),
    post(b""),
    post(b'{"id": 1}', extra="X-Repeated: a\r\nX-Repeated: b \r\nX-Empty:\r\n"),
    post(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
    chunked(b"abc", b"\r\n", b"\r\n\r\n", b"0\r\n\r\n"),
    chunked(b"abc", trailers=b"X-Trailer: 1\r\nX-Other:\r\n", extension=b";name=value"),
    chunked(),
    b"\r\n\r\n" + get("/after-empty-lines"),
    b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    post(b"body", extra="Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n"),
    chunked(b"body").replace(b"Host", b"Connection: upgrade\r\nUpgrade: h2c\r\nHost"),
    get(extra="Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nA;q="x y"\r\n0123456789\r\n00\r\n\r\n',
]


def parse(pieces: Iterable[bytes], limits: HttpLimits | None = None) -> list[Request | tuple[int, str]]:
    """All requests; a fault, which ends the reading, as status and reason."""
    parser = RequestParser(limits or HttpLimits(), "peer", needs_host=True)
    found: list[Request | tuple[int, str]] = []
    try:
        for piece in pieces:
            parser.feed(piece)
            while (request := parser.next_request()) is not None:
                found.append(request)
    except HttpFault as fault:
        found.append((fault.status, fault.reason))
    else:
        assert parser.phase is Phase.IDLE
    return found


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    borders = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(borders) if end > start]


@pytest.mark.parametrize("number", range(len(REQUESTS)))
def test_each_cut_gives_the_same_request(number: int) -> None:
    data = REQUESTS[number]
    whole = parse([data])
    assert len(whole) == 1 and isinstance(whole[0], Request)
    assert parse([bytes([byte]) for byte in data]) == whole
    for place in range(1, len(data)):
        assert parse([data[:place], data[place:]]) == whole


def test_what_the_requests_say() -> None:
    found = parse([b"".join(REQUESTS)])
    requests = [request for request in found if isinstance(request, Request)]
    assert len(requests) == len(found) == len(REQUESTS)
    assert [(r.method, r.target, r.version, r.keep_alive) for r in requests[:1]] == [
        ("GET", "/health?x=1", "1.1", True)
    ]
    assert [request.body for request in requests[1:7]] == [
        b"",
        b'{"id": 1}',
        b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"abc\r\n\r\n\r\n0\r\n\r\n",
        b"abc",
        b"",
    ]
    assert requests[2].headers == [
        ("host", "x"),
        ("x-repeated", "a"),
        ("x-repeated", "b"),
        ("x-empty", ""),
        ("content-length", "9"),
    ]
    assert requests[2].header("x-repeated") == "a, b"
    assert requests[2].header("x-empty") == ""
    assert requests[2].header("x-missing") is None
    assert requests[5].header("x-trailer") is None, "trailers are ignored"
    assert (requests[8].version, requests[8].keep_alive) == ("1.0", True)
    assert [request.body for request in requests[9:]] == [b"body", b"body", b"", b"0123456789"]
    assert requests[0].peer == "peer"


@pytest.mark.parametrize(
    ("version", "connection", "keep_alive"),
    [
        ("1.1", "", True),
        ("1.1", "Connection: close\r\n", False),
        ("1.1", "Connection: CLOSE , x\r\n", False),
        ("1.1", "Connection: x\r\nConnection: close\r\n", False),
        ("1.1", "Connection: closed\r\n", True),
        ("1.0", "", False),
        ("1.0", "Connection: Keep-Alive\r\n", True),
        ("1.0", "Connection: keep-alive, close\r\n", False),
    ],
)
def test_who_wants_to_stay(version: str, connection: str, keep_alive: bool) -> None:
    (request,) = parse([f"GET / HTTP/{version}\r\nHost: x\r\n{connection}\r\n".encode()])
    assert isinstance(request, Request)
    assert request.keep_alive is keep_alive


TOKEN = st.text("abcXYZ0189!#$%&'*+-.^_`|~", min_size=1, max_size=12)
VALUE = st.text('abc XYZ,;=\t"\xe9\xff', max_size=20)
HEADERS = st.lists(st.tuples(TOKEN.map(lambda name: "x-" + name), VALUE), max_size=8)


@st.composite
def requests_on_the_wire(draw: st.DrawFn) -> tuple[bytes, tuple[str, str, list[tuple[str, str]], bytes]]:
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]))
    target = "/" + draw(st.text("abc/?&=%20.-_~", max_size=20))
    headers = draw(HEADERS)
    pieces = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    if draw(st.booleans()):
        framing = f"Content-Length: {sum(map(len, pieces))}\r\n"
        body = b"".join(pieces)
    else:
        framing = "Transfer-Encoding: chunked\r\n"
        body = b"".join(b"%X\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\n{lines}{framing}\r\n"
    said = [(name.lower(), value.strip(" \t")) for name, value in headers]
    return head.encode("latin-1") + body, (method, target, said, b"".join(pieces))


@settings(max_examples=200, deadline=None)
@given(st.lists(requests_on_the_wire(), min_size=1, max_size=4), st.data())
def test_random_requests_cut_anywhere(
    drawn: list[tuple[bytes, tuple[str, str, list[tuple[str, str]], bytes]]], data: st.DataObject
) -> None:
    wire = b"".join(text for text, _ in drawn)
    places = data.draw(st.lists(st.integers(1, len(wire) - 1), max_size=12))
    found = parse(cut(wire, places))
    assert found == parse([wire])
    told = [
        (r.method, r.target, [(n, v) for n, v in r.headers if n.startswith("x-")], r.body)
        for r in found
        if isinstance(r, Request)
    ]
    assert told == [meant for _, meant in drawn]


def test_over_a_socket_byte_by_byte() -> None:
    data = post(b"counted") + chunked(b"in", b"chunks") + get("/end")
    with serving() as served:
        client = served.client()
        for byte in data:
            client.sock.send(bytes([byte]))
            served.run_until(lambda: True)
        assert [body for _, body in client.answers(3)] == [
            b"POST / counted",
            b"POST / inchunks",
            b"GET /end ",
        ]
        assert client.is_open()
