"""Each bound of a request: reached is fine, one more is refused with the status that fits, and the end."""

from __future__ import annotations

import pytest

from tests.vxutils.http.driving import chunked, get, post, serving
from vxutils.http import HttpLimits

LIMITS = HttpLimits(head_bytes_max=600, headers_max=10, target_bytes_max=100, body_bytes_max=50)


def with_head_of(size: int) -> bytes:
    head = get(extra="X: \r\n")
    return head.replace(b"X: ", b"X: " + b"a" * (size - len(head)))


BARE = post(b"", extra="Expect: 100-continue\r\n")

TABLE = [
    ("head at the limit", with_head_of(600), 200),
    ("head one larger", with_head_of(601), 431),
    (
        "a head that never ends",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 5 + b"Y: " + b"a" * 10_000,
        431,
    ),
    ("10 headers", get(extra="X: a\r\n" * 9), 200),
    ("11 headers", get(extra="X: a\r\n" * 10), 431),
    ("target at the limit", get("/" + "a" * 99), 200),
    ("target one longer", get("/" + "a" * 100), 414),
    ("a target that never ends", b"GET /" + b"a" * 500, 414),
    ("body at the limit", post(b"a" * 50), 200),
    ("body one larger", post(b"a" * 51), 413),
    ("a body only announced", post(b"")[:-5] + b"99999999\r\n\r\n", 413),
    ("chunks at the limit", chunked(b"a" * 25, b"b" * 25), 200),
    ("chunks one larger", chunked(b"a" * 25, b"b" * 26), 413),
    ("50 chunks of a byte", chunked(*[b"a"] * 50), 200),
    ("a chunk extension larger than a head", chunked(b"a", extension=b";" + b"a" * 1000), 413),
    (
        "extensions without an end",
        chunked(b"a").removesuffix(b"1\r\na\r\n0\r\n\r\n") + b"1;" + b"a" * 5000,
        413,
    ),
    ("trailers are headers", chunked(b"a", trailers=b"X: a\r\n" * 9), 431),
    ("a trailer larger than a head", chunked(b"a", trailers=b"X: " + b"a" * 1000 + b"\r\n"), 413),
]


@pytest.mark.parametrize(("name", "data", "status"), TABLE, ids=[name for name, _, _ in TABLE])
def test_a_limit(name: str, data: bytes, status: int) -> None:
    with serving(LIMITS) as served:
        client = served.client()
        client.send(data)
        assert [found for found, _ in client.answers(1)] == [status]
        if status == 200:
            client.send(get("/again"))
            assert client.answers(2)[1] == (200, b"GET /again ")
        else:
            client.send(get("/again"))
            client.to_the_end()
            assert not [e for e in served.handler.exchanges if e.request.target == "/again"]
            assert served.server.faults == {status: 1}


def test_a_refused_body_that_is_still_coming_does_not_destroy_the_answer() -> None:
    with serving(LIMITS) as served:
        client = served.client()
        client.send(post(b"a" * 3_000_000))
        assert client.answers(1) == [(413, b"")]
        client.to_the_end()


def test_large_requests_within_the_limits_arrive_whole() -> None:
    body = bytes(range(256)) * 4000
    with serving(HttpLimits(body_bytes_max=len(body))) as served:
        client = served.client()
        client.send(post(body) + chunked(*[body[at : at + 10_000] for at in range(0, len(body), 10_000)]))
        assert [content for _, content in client.answers(2)] == [b"POST / " + body] * 2


def test_connections_beyond_the_limit_are_closed_at_once() -> None:
    with serving(HttpLimits(connections_max=2)) as served:
        first, second = served.client(), served.client()
        served.turn()
        third = served.client()
        assert third.to_the_end() == b""
        assert served.server.connections_refused == 1
        for client in (first, second):
            client.send(get())
            assert client.answers(1) == [(200, b"GET / ")]


def test_expect_is_answered_only_when_the_client_waits() -> None:
    head, body = post(b"abc", extra="Expect: 100-continue\r\n")[:-3], b"abc"
    with serving(LIMITS) as served:
        client = served.client()
        client.send(head)
        client.until(lambda: client.received)
        assert client.received == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(body)
        client.until(lambda: client.received.endswith(b"POST / abc"))
        client.received = b""
        client.send(head + body[:1])
        assert client.is_open() and client.received == b""
        client.send(body[1:])
        assert client.answers(1) == [(200, b"POST / abc")]
        too_much = served.client()
        too_much.send(head.replace(b"Length: 3", b"Length: 99"))
        assert too_much.answers(1) == [(413, b"")]


def test_expect_waits_for_the_answers_before_it() -> None:
    with serving() as served:
        served.handler.holds = True
        client = served.client()
        client.send(get("/first") + post(b"abc", extra="Expect: 100-continue\r\n")[:-3])
        served.run_until(lambda: served.handler.exchanges)
        assert client.is_open() and not client.received
        served.handler.exchanges[0].respond(200, b"first")
        client.until(lambda: b"100 Continue" in client.received)
        assert client.received.index(b"first") < client.received.index(b"100 Continue")
