"""Random bytes, and requests with something broken: never an exception, never a 200, no memory of it."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vxutils.http.driving import chunked, get, post, serving, split_answers
from tests.vxutils.http.test_requests_split_anywhere import REQUESTS, cut
from vxutils.http.limits import HttpLimits
from vxutils.http.messages import HttpFault
from vxutils.http.parser import RequestParser

LIMITS = HttpLimits(head_bytes_max=2000, headers_max=20, target_bytes_max=200, body_bytes_max=500)
WORDS = st.sampled_from(
    [
        *(
            b"GET ",
            b"POST ",
            b"/",
            b" HTTP/1.1",
            b" HTTP/1.0",
            b"\r\n",
            b"\n",
            b"\r",
            b"\r\n\r\n",
            b":",
            b" ",
        ),
        *(b"Host: x", b"Content-Length: ", b"Transfer-Encoding: chunked", b"Connection: close", b"5", b"0"),
        *(
            b"\x00",
            b"\xff",
            b"ffffffffffffffff",
            b"Expect: 100-continue",
            b"Upgrade: h2c",
            b"Connection: upgrade",
        ),
    ]
)
GARBAGE = st.one_of(
    st.binary(max_size=200),
    st.lists(st.one_of(WORDS, st.binary(max_size=4)), max_size=40).map(b"".join),
)
REQUEST_LINE = re.compile(rb"[A-Z]+ \S+ HTTP/1\.[01]\r\n")


@settings(max_examples=400, deadline=None)
@given(GARBAGE, st.lists(st.integers(0, 200), max_size=5))
def test_the_parser_raises_faults_only(data: bytes, places: list[int]) -> None:
    parser = RequestParser(LIMITS, "peer", needs_host=True)
    found = 0
    try:
        for piece in cut(data, [place for place in places if place < len(data)]):
            parser.feed(piece)
            while parser.next_request() is not None:
                found += 1
    except HttpFault as fault:
        assert 400 <= fault.status < 600
    assert found <= len(REQUEST_LINE.findall(data))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(REQUESTS), st.data())
def test_a_broken_request_is_a_request_or_a_fault(whole: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:place] + data.draw(st.binary(max_size=3)) + whole[place + data.draw(st.integers(0, 2)) :]
    results = []
    for pieces in ([broken], [bytes([byte]) for byte in broken]):
        parser = RequestParser(LIMITS, "peer", needs_host=True)
        found: list[object] = []
        try:
            for piece in pieces:
                parser.feed(piece)
                while (request := parser.next_request()) is not None:
                    found.append(request)
        except HttpFault as fault:
            found.append(fault.status)
        results.append((found, parser.phase))
    assert results[0] == results[1], "the cut decides nothing"


def test_garbage_over_sockets_is_never_answered_with_success() -> None:
    with serving(LIMITS) as served:

        @settings(max_examples=60, deadline=None)
        @given(st.binary(min_size=1, max_size=300))
        def send(data: bytes) -> None:
            client = served.client()
            client.sock.send(data)
            served.run_until(lambda: True)
            client.pull()
            assert all(status >= 400 for status, _ in split_answers(client.received))
            client.close()

        send()
        assert not served.handler.exchanges
        served.run_until(lambda: not served.server.sessions)
        client = served.client()
        client.send(get() + post(b"a") + chunked(b"b"))
        assert [status for status, _ in client.answers(3)] == [200] * 3
