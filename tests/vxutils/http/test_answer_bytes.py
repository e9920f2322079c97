"""Answers byte by byte in both styles. The C style was recorded from the C system."""

from __future__ import annotations

import pytest

from tests.vxutils.http.driving import chunked, get, post, serving
from vxnet.clock import ManualClock
from vxutils.http.response import ResponseEncoder, http_date

PLAIN_DATE = b"Date: Sun, 22 Nov 2026 09:45:31 GMT\r\n"
C_DATE = b"Date: Sun, 22 November 2026 09:45:31 GMT\r\n"
NOON_US = 1_795_340_731_000_000


@pytest.mark.parametrize(
    ("seconds", "plain", "c_style"),
    [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 January 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 November 1994 08:49:37 GMT"),
        (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT", "Thu, 29 February 2024 00:00:00 GMT"),
    ],
)
def test_dates(seconds: int, plain: str, c_style: str) -> None:
    assert http_date(seconds, c_style=False) == plain
    assert http_date(seconds, c_style=True) == c_style


def test_the_date_follows_the_clock() -> None:
    clock = ManualClock(wall_us=NOON_US)
    encoder = ResponseEncoder(clock, c_style=False)
    assert b"09:45:31" in encoder.encode(200, b"", ())
    clock.advance(1_000_000)
    assert b"09:45:32" in encoder.encode(200, b"", ())


@pytest.mark.parametrize(
    ("request_bytes", "answer", "closes"),
    [
        (get(), b"HTTP/1.1 200 OK\r\n" + PLAIN_DATE + b"Content-Length: 6\r\n\r\nGET / ", False),
        (
            b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + PLAIN_DATE + b"Content-Length: 7\r\n\r\n",
            False,
        ),
        (
            get("/?", "Connection: close\r\n"),
            b"HTTP/1.1 200 OK\r\n" + PLAIN_DATE + b"Content-Length: 7\r\nConnection: close\r\n\r\nGET /? ",
            True,
        ),
        (
            b"hello\r\n\r\n",
            b"HTTP/1.1 501 Not Implemented\r\n"
            + PLAIN_DATE
            + b"Content-Length: 0\r\nConnection: close\r\n\r\n",
            True,
        ),
    ],
)
def test_plain_style(request_bytes: bytes, answer: bytes, closes: bool) -> None:
    with serving() as served:
        client = served.client()
        client.send(request_bytes)
        client.until(lambda: client.ended or len(client.received) >= len(answer))
        assert client.is_open() is not closes
        assert client.received == answer


def c_answer(status_line: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status_line, C_DATE, len(body), body)


@pytest.mark.parametrize(
    ("request_bytes", "answer", "closes"),
    [
        (get(), c_answer(b"200 OK", b"GET / "), False),
        (get(extra="Connection: close\r\n"), c_answer(b"200 OK", b"GET / "), False),
        (b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\na", c_answer(b"200 OK", b"POST / a"), False),
        (b"GET / HTTP/1.1\r\n\r\n", c_answer(b"200 OK", b"GET / "), False),
        (b"hello\r\n\r\n", b"", True),
        (b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", b"", True),
    ],
)
def test_c_style(request_bytes: bytes, answer: bytes, closes: bool) -> None:
    with serving(c_style=True) as served:
        client = served.client()
        client.send(request_bytes)
        client.until(lambda: client.ended or (answer and len(client.received) >= len(answer)))
        assert client.is_open() is not closes
        assert client.received == answer
        if not closes:
            client.received = b""
            client.send(chunked(b"next"))
            client.answers(1)
            assert client.received == c_answer(b"200 OK", b"POST / next")


def test_c_style_closes_without_saying_so() -> None:
    with serving(c_style=True) as served:
        served.handler.on_request = lambda exchange: exchange.respond(400, close=True)
        client = served.client()
        client.send(post(b"{bad"))
        assert client.to_the_end() == c_answer(b"400 Bad Request", b"")


def test_headers_of_the_handler_follow_the_length() -> None:
    with serving() as served:
        headers = [("Content-Type", "text/plain"), ("X-Other", "\xe9")]
        served.handler.on_request = lambda exchange: exchange.respond(200, b"a", headers)
        client = served.client()
        client.send(get())
        client.answers(1)
        assert client.received.endswith(
            b"Content-Length: 1\r\nContent-Type: text/plain\r\nX-Other: \xe9\r\n\r\na"
        )


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_content(status: int) -> None:
    with serving() as served:
        served.handler.on_request = lambda exchange: exchange.respond(status)
        client = served.client()
        client.send(get())
        client.until(lambda: client.received.endswith(b"\r\n\r\n"))
        assert b"Content-Length" not in client.received
        assert client.is_open()


def test_a_header_of_two_lines_is_our_fault() -> None:
    encoder = ResponseEncoder(ManualClock(), c_style=False)
    with pytest.raises(AssertionError):
        encoder.encode(200, b"", [("X", "a\r\nSet-Cookie: b")])


def test_an_answer_is_given_once() -> None:
    with serving() as served:
        served.handler.holds = True
        client = served.client()
        client.send(get())
        served.run_until(lambda: served.handler.exchanges)
        served.handler.exchanges[0].respond(200)
        with pytest.raises(AssertionError):
            served.handler.exchanges[0].respond(200)
