"""Who ends it, what the other side hears, that the service hears of it once, and that nothing is left."""

from __future__ import annotations

import gc
import weakref

import pytest

from tests.vxutils.ws.driving import CLOSE, PING, TEXT, Got, close_code, closing, frame, serving, upgrade
from vxutils.ws import WsConnection, WsLimits, text_frame


def test_the_service_closes() -> None:
    with serving() as served:
        client = served.open()
        connection = served.service.connections[0]
        connection.send(text_frame("last"))
        connection.close(4000, "reason")
        connection.close(4001, "too late")
        connection.send(text_frame("lost"))
        assert not served.service.ends, "not told within close"
        assert client.frames(2) == [Got(0x81, b"last"), Got(0x88, closing(4000, "reason"))]
        client.send(frame(TEXT, "not heard") + frame(PING, "still answered"))
        client.send(frame(CLOSE, closing(4000)))
        assert client.to_the_end()[2:] == [Got(0x8A, b"still answered")]
        assert served.service.ends == [(4000, "reason")]
        assert not served.service.messages
        client.close()
        served.run_until(lambda: not served.server.sessions)
        assert served.server.closes == {4000: 1}


def test_a_long_reason_is_cut_between_characters() -> None:
    with serving() as served:
        client = served.open()
        served.service.connections[0].close(1008, "€" * 100)
        (got,) = client.frames(1)
        assert got.payload[2:].decode() == "€" * 41


@pytest.mark.parametrize("answers", [False, True])
def test_a_client_that_does_not_close_is_cut_off(answers: bool) -> None:
    with serving(WsLimits(close_timeout_s=0.1)) as served:
        client = served.open()
        served.service.connections[0].close(1000)
        if answers:
            client.send(frame(CLOSE, closing(1000)))
        served.run_until(lambda: not served.server.sessions)


def test_a_lost_client() -> None:
    with serving() as served:
        client = served.open()
        client.close()
        served.run_until(lambda: served.service.ends)
        assert served.service.ends == [(1006, "closed by peer")]
        assert not served.server.sessions


def test_goodbye_and_gone_in_one_breath() -> None:
    with serving() as served:
        client = served.open()
        client.sock.send(frame(TEXT, "a") + frame(CLOSE, closing(1001)))
        client.sock.shutdown(1)
        assert [got.first for got in client.to_the_end()] == [0x81, 0x88]
        served.run_until(lambda: not served.server.sessions)
        assert served.service.ends == [(1001, "")]


def test_closing_while_messages_wait() -> None:
    with serving() as served:
        served.service.on_message = lambda connection, message: connection.close(1008, "enough")
        client = served.open()
        client.send(frame(TEXT, "a") * 3000 + frame(CLOSE, closing(1000)))
        assert [close_code(got) for got in client.to_the_end()] == [1008]
        assert served.service.messages == ["a"]


def test_drain_says_goodbye_to_everybody() -> None:
    with serving() as served:
        clients = [served.open() for _ in range(3)]
        unfinished = served.client()
        unfinished.send(upgrade()[:20])
        served.turn()
        served.server.drain()
        for client in clients:
            assert close_code(client.frames(1)[0]) == 1001
            client.send(frame(CLOSE, closing(1001)))
            client.to_the_end()
            client.close()
        assert unfinished.to_the_end() == []
        served.run_until(lambda: not served.server.sessions)


def test_adopted_sockets_are_served() -> None:
    with serving() as served:
        client = served.adopt()
        client.handshake()
        client.send(frame(TEXT, "a"))
        assert client.frames(1) == [Got(0x81, b"a")]


def test_too_many_connections() -> None:
    with serving(WsLimits(connections_max=1)) as served:
        served.open()
        assert served.client().to_the_end() == []
        assert served.server.connections_refused == 1


def test_sending_to_all_survives_those_that_fail() -> None:
    with serving() as served:
        clients = [served.open() for _ in range(5)]
        gone: list[WsConnection] = []
        for connection in served.server.connections:
            if len(gone) < 2:
                connection.state = gone
                gone.append(connection)
        for client in clients[:2]:
            client.sock.setsockopt(1, 13, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # SO_LINGER 0: a reset
            client.close()
        for connection in list(served.server.connections):
            connection.send(text_frame("x" * 70_000))
            connection.send(text_frame("x" * 70_000))
        assert not served.service.ends, "told by the loop, not while sending"
        served.run_until(lambda: len(served.service.ends) == 2)
        for client in clients[2:]:
            assert len(client.frames(2)) == 2


@pytest.mark.parametrize("end", ["client", "service", "fault", "message"])
def test_a_closed_connection_is_freed_without_the_collector(end: str) -> None:
    with serving() as served:
        gc.collect()
        gc.disable()
        try:
            client = served.open(upgrade(Sec_WebSocket_Extensions="permessage-deflate"))
            connection = served.service.connections.pop()
            connection.state = None
            freed = weakref.ref(connection._reader)  # type: ignore[attr-defined]
            if end == "service":
                connection.close(1000)
            del connection
            client.send(
                {"client": b"", "fault": frame(3), "service": frame(CLOSE)}.get(end, frame(TEXT, "a"))
            )
            client.close()
            served.run_until(lambda: not served.server.sessions)
            served.turn()
            assert freed() is None
        finally:
            gc.enable()
