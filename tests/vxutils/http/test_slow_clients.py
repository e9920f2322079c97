"""Slow heads, slow bodies, slow readers, silence: each has its time, and harms nobody else."""

from __future__ import annotations

import time

import pytest

from tests.vxutils.http.driving import get, post, serving
from vxutils.http import Exchange, HttpLimits

SHORT = HttpLimits(head_timeout_s=0.2, body_timeout_s=0.2, keep_alive_s=0.2, send_timeout_s=0.2)


def test_a_head_that_does_not_end_in_time() -> None:
    with serving(SHORT) as served:
        slow = served.client()
        for byte in b"GET / HTTP/1.1\r\nX: " + b"a" * 1000:
            slow.pull()
            if slow.ended:
                break
            try:
                slow.sock.send(bytes([byte]))
            except OSError:
                break
            served.run_for(0.02)
        assert slow.answers(1) == [(408, b"")]
        slow.to_the_end()
        assert served.server.faults == {408: 1}


def test_a_body_that_does_not_end_in_time() -> None:
    with serving(SHORT) as served:
        counted, chunks = served.client(), served.client()
        counted.send(post(b"abc")[:-1])
        chunks.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        for client in (counted, chunks):
            assert client.answers(1) == [(408, b"")]
            client.to_the_end()


def test_a_late_head_behind_an_unanswered_request_is_refused_in_its_turn() -> None:
    with serving(SHORT) as served:
        served.handler.holds = True
        client = served.client()
        client.send(get("/first") + b"GET /sec")
        served.run_until(lambda: served.handler.faults)
        assert not client.received
        served.handler.exchanges[0].respond(200, b"first")
        assert client.answers(2) == [(200, b"first"), (408, b"")]


def test_silence_is_closed_without_an_answer() -> None:
    with serving(SHORT) as served:
        fresh, used = served.client(), served.client()
        used.send(get())
        used.answers(1)
        assert fresh.to_the_end() == b""
        assert used.to_the_end().count(b"HTTP/1.1") == 1
        assert not served.server.faults


def test_empty_lines_do_not_keep_a_connection_open() -> None:
    with serving(SHORT) as served:
        client = served.client()
        for _ in range(200):
            try:
                client.sock.send(b"\r\n")
            except OSError:
                break
            served.run_for(0.01)
        else:
            pytest.fail("still open after two seconds of empty lines")
        assert client.to_the_end() == b""


def test_who_waits_for_our_answer_is_not_silent() -> None:
    with serving(SHORT) as served:
        served.handler.holds = True
        client = served.client()
        client.send(get())
        served.run_for(0.5)
        served.handler.exchanges[0].respond(200, b"late")
        assert client.answers(1) == [(200, b"late")]


def test_zero_means_forever() -> None:
    with serving(HttpLimits(keep_alive_s=0.0, head_timeout_s=0.1)) as served:
        client = served.client()
        served.run_for(0.4)
        client.send(get())
        assert client.answers(1) == [(200, b"GET / ")]


def test_a_loop_that_stood_still_does_not_blame_the_clients() -> None:
    with serving(SHORT) as served:
        client = served.client()
        served.turn()
        client.sock.send(get())
        time.sleep(0.5)
        assert client.answers(1) == [(200, b"GET / ")]


def answer_largely(exchange: Exchange) -> None:
    exchange.respond(200, b"z" * 100_000)


def test_a_slow_reader_gets_everything() -> None:
    limits = HttpLimits(write_mem=4096, send_timeout_s=5.0)
    with serving(limits) as served:
        served.handler.on_request = answer_largely
        client = served.client(receive_buffer=4096)
        client.send(get() * 20)
        served.run_for(0.05)
        assert len(served.handler.exchanges) < 20, "requests wait while answers wait"
        (session,) = served.server.sessions.values()
        assert session.pending_output < 1_000_000
        assert [len(body) for _, body in client.answers(20)] == [100_000] * 20


def test_a_reader_that_takes_nothing_is_closed() -> None:
    with serving(HttpLimits(write_mem=4096, send_timeout_s=0.2)) as served:
        served.handler.on_request = answer_largely
        lazy, other = served.client(receive_buffer=4096), served.client()
        lazy.send(get() * 20)
        served.run_until(lambda: len(served.server.sessions) == 1)
        served.handler.on_request = None
        other.send(get())
        assert other.answers(1) == [(200, b"GET / ")]


def test_an_old_stall_is_forgotten_once_everything_was_taken() -> None:
    with serving(HttpLimits(write_mem=4096, send_timeout_s=0.4)) as served:
        served.handler.on_request = lambda exchange: exchange.respond(200, b"z" * 500_000)
        client = served.client(receive_buffer=4096)
        for answered in (1, 2):
            client.send(get())
            served.run_for(0.25)
            (session,) = served.server.sessions.values()
            assert session.pending_output
            client.answers(answered)
            served.run_for(0.3)


def test_a_reader_that_takes_nothing_of_its_last_answer_is_closed() -> None:
    with serving(HttpLimits(write_mem=4096, send_timeout_s=0.2)) as served:
        served.handler.on_request = answer_largely
        lazy = served.client(receive_buffer=4096)
        lazy.send(get(extra="Connection: close\r\n") * 3)
        served.run_until(lambda: served.handler.exchanges)
        served.run_until(lambda: not served.server.sessions)
        assert len(served.handler.exchanges) == 1


def test_answers_beyond_the_output_bound_close() -> None:
    limits = HttpLimits(write_mem=4096, output_bytes_max=500_000, pipeline_max=64)
    with serving(limits) as served:
        served.handler.holds = True
        lazy = served.client(receive_buffer=4096)
        lazy.send(get() * 20)
        served.run_until(lambda: len(served.handler.exchanges) == 20)
        for exchange in served.handler.exchanges:
            exchange.respond(200, b"z" * 200_000)
        assert not served.server.sessions
        assert all(exchange.is_gone or exchange.answer for exchange in served.handler.exchanges)
