"""A client that asks too much, too slowly or not at all loses its connection, with a code that says why."""

from __future__ import annotations

import resource

import pytest

from tests.vxutils.ws.driving import CONT, PING, PONG, TEXT, Got, close_code, frame, serving
from vxutils.ws import WsConnection, WsLimits, text_frame


@pytest.mark.parametrize("kind", [TEXT, PING, PONG, CONT])
def test_too_many_frames(kind: int) -> None:
    limits = WsLimits(messages_per_s=0.01, messages_burst=20)
    first = frame(TEXT, fin=False) if kind == CONT else b""
    one = frame(kind, fin=kind != CONT)
    with serving(limits) as served:
        client = served.open()
        client.send(first + one * (19 if first else 20))
        assert client.is_open()
        client.send(one)
        assert close_code(client.to_the_end()[-1]) == 1008
        assert served.service.ends == [(1008, "too many messages")]


def test_the_allowance_grows_with_time() -> None:
    with serving(WsLimits(messages_per_s=50, messages_burst=2)) as served:
        client = served.open()
        for _ in range(8):
            client.send(frame(TEXT, "a"))
            served.run_for(0.03)
        assert len(client.frames(8)) == 8
        assert client.is_open()


def test_a_flood_in_one_write_takes_turns() -> None:
    with serving() as served:
        flood, other = served.open(), served.open()
        assert flood.sock.send(frame(TEXT, "a") * 5000) == 35_000
        other.send(frame(TEXT, "b"))
        other.frames(1)
        assert served.service.messages.index("b") < 3000, "the other one did not wait for all of it"
        assert len(flood.frames(5000)) == 5000


def test_a_declared_length_costs_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with serving() as served:
        clients = [served.open() for _ in range(20)]
        for client in clients:
            client.send(frame(TEXT, length=(1 << 20) - 1))  # allowed, and then nothing follows
        for client in clients:
            assert client.is_open()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000, "KiB"


def test_a_message_that_never_ends() -> None:
    with serving(WsLimits(message_timeout_s=0.2, ping_interval_s=0)) as served:
        slow, quick = served.open(), served.open()

        def trickle() -> object:
            slow.pull()
            if not slow.ended:
                slow.sock.send(frame(CONT, "a", fin=False))
            quick.sock.send(frame(TEXT, "a", fin=False) + frame(CONT, "b"))
            return slow.ended

        slow.send(frame(TEXT, "a", fin=False))
        served.run_until(trickle)
        assert served.service.ends == [(1008, "a message took too long")]
        assert quick.is_open()


def test_idle_connections_end() -> None:
    with serving(WsLimits(keep_alive_s=0.15, ping_interval_s=0)) as served:
        idle = served.open()
        assert [close_code(got) for got in idle.frames(1)] == [1001]


def test_pongs_keep_a_connection_alive() -> None:
    with serving(WsLimits(keep_alive_s=0.5, ping_interval_s=0)) as served:
        client = served.open()
        for _ in range(6):
            served.run_for(0.1)
            client.send(frame(PONG))
        assert client.is_open()


def test_a_silent_client_is_pinged_and_then_gone() -> None:
    with serving(WsLimits(ping_interval_s=0.2)) as served:
        silent, alive = served.open(), served.open()
        answered = 0

        def answer() -> object:
            nonlocal answered
            alive.pull()
            if alive.received:
                assert alive.received.startswith(b"\x89\x00"), "an empty ping"
                alive.received = alive.received[2:]
                alive.sock.send(frame(PONG))
                answered += 1
            silent.pull()
            return silent.ended

        served.run_until(answer)
        assert 1 <= silent.received.count(b"\x89\x00") <= 3
        assert served.service.ends == [(1006, "no answer to pings")]
        assert answered >= 2
        assert alive.is_open()


def test_a_slow_reader_gets_what_was_queued_and_a_code() -> None:
    limits = WsLimits(output_bytes_max=300_000, write_mem=10_000)
    with serving(limits) as served:
        client = served.open(receive_buffer=5_000)
        connection = served.service.connections[0]
        sent = 0
        while connection.is_open:
            connection.send(text_frame("x" * 10_000))
            sent += 1
        assert 300_000 < connection.pending_output < 300_000 + 20_000
        connection.send(text_frame("more"))
        frames = client.frames(sent + 1)
        assert [got.payload for got in frames[:-1]] == [b"x" * 10_000] * sent
        assert close_code(frames[-1]) == 1013
        assert served.service.ends == [(1013, "the client reads too slowly")]


def test_a_reader_that_has_stopped_is_cut_off() -> None:
    with serving(WsLimits(output_bytes_max=100_000, write_mem=10_000, close_timeout_s=0.1)) as served:
        client = served.open(receive_buffer=5_000)
        connection = served.service.connections[0]
        while connection.is_open:
            connection.send(text_frame("x" * 10_000))
        for _ in range(20):
            client.sock.send(frame(PING, "p" * 125))
        served.run_until(lambda: not served.server.sessions)


def test_answers_to_pings_that_nobody_reads_are_bounded() -> None:
    with serving(WsLimits(output_bytes_max=50_000, write_mem=10_000, close_timeout_s=60)) as served:
        client = served.open(receive_buffer=5_000)
        flood = frame(PING, "p" * 125) * 100
        most = 0

        def push() -> object:
            nonlocal most
            try:
                client.sock.send(flood)
            except BlockingIOError:
                pass
            except ConnectionError:
                return True
            most = max(most, *(one.pending_output for one in served.server.connections), 0)
            return not served.server.sessions

        served.run_until(push)
        assert most < 200_000


def test_the_service_hears_when_the_client_has_caught_up() -> None:
    with serving(WsLimits(write_mem=10_000)) as served:
        client = served.open(receive_buffer=5_000)
        connection: WsConnection = served.service.connections[0]
        connection.send(text_frame("small"))
        served.turn()
        assert served.service.drains == 0, "it never fell behind"
        connection.send(text_frame("x" * 200_000))
        assert connection.pending_output > 0
        client.frames(2)
        served.run_until(lambda: served.service.drains)
        assert (served.service.drains, connection.pending_output) == (1, 0)
        assert client.frames(2)[0] == Got(0x81, b"small")
