"""Who may come in, what is answered, and how the bytes of a handshake may arrive."""

from __future__ import annotations

import pytest

from tests.vxutils.ws.driving import ACCEPT, TEXT, Got, frame, serving, upgrade
from vxutils.ws import HandshakeRules, WsConnection, WsLimits, text_frame

C_ANSWER = (
    "HTTP/1.1 101 Switching Protocols\r\nDate: Sun, 22 November 2026 09:45:31 GMT\r\nContent-Length: 0\r\n"
    f"Sec-WebSocket-Accept: {ACCEPT}\r\nConnection: Upgrade\r\nUpgrade: websocket"
)
PLAIN_ANSWER = C_ANSWER.replace("November", "Nov").replace("Content-Length: 0\r\n", "")


@pytest.mark.parametrize(
    ("c_style", "protocol", "expected"),
    [
        (True, "", C_ANSWER),
        (True, "chat", C_ANSWER + "\r\nSec-WebSocket-Protocol: chat"),
        (True, "chat, other", C_ANSWER + "\r\nSec-WebSocket-Protocol: chat"),
        (False, "", PLAIN_ANSWER),
        (False, "other,chat", PLAIN_ANSWER + "\r\nSec-WebSocket-Protocol: chat"),
    ],
)
def test_success(c_style: bool, protocol: str, expected: str) -> None:
    with serving(c_style=c_style) as served:
        headers = {"Sec_WebSocket_Protocol": protocol} if protocol else {}
        assert served.client().handshake(upgrade(**headers)) == expected


REFUSED = [
    (405, upgrade(method="POST", Content_Length="0")),
    (400, upgrade(without="Host")),
    (400, upgrade(version="1.0")),
    (426, upgrade(without="Upgrade")),
    (426, upgrade(Upgrade="h2c")),
    (400, upgrade(without="Connection")),
    (400, upgrade(Connection="keep-alive")),
    (400, upgrade(Connection="Upgrade, " + "a" * 1020)),
    (426, upgrade(without="Sec-WebSocket-Version")),
    (426, upgrade(Sec_WebSocket_Version="8")),
    (400, upgrade(without="Sec-WebSocket-Key")),
    (400, upgrade(Sec_WebSocket_Protocol="other")),
    (400, upgrade(Sec_WebSocket_Protocol="Chat")),
    (400, upgrade(Sec_WebSocket_Protocol="")),
    (403, upgrade(without="Origin")),
    (403, upgrade(Origin="https://example.net")),
    (413, upgrade(Content_Length="1") + b"x"),
    (501, b"hello\r\n\r\n"),
    (431, upgrade(X="a" * 4000)),
    (431, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1000),
]


@pytest.mark.parametrize("c_style", [False, True])
@pytest.mark.parametrize(("status", "request_bytes"), REFUSED)
def test_refusal(status: int, request_bytes: bytes, c_style: bool) -> None:
    if b"Origin" not in request_bytes and status != 403:
        request_bytes = request_bytes.replace(b"\r\n\r\n", b"\r\nOrigin: https://example.com\r\n\r\n")
    rules = HandshakeRules(origins=("example.com",))
    with serving(WsLimits(handshake_bytes_max=3000), rules=rules, c_style=c_style) as served:
        client = served.client()
        client.send(request_bytes)
        client.to_the_end()
        if c_style:
            assert client.received == b"", "the C system says nothing"
        else:
            assert client.received.startswith(b"HTTP/1.1 %d " % status)
            assert client.received.partition(b"\r\n\r\n")[2].endswith(b"\n"), "a sentence says why"
        assert served.server.refusals == {status: 1}
        assert not served.service.connections and not served.service.ends
        client.close()
        served.run_until(lambda: not served.server.sessions)


def test_the_content_of_the_key_matters_in_plain_style_only() -> None:
    for c_style in (False, True):
        with serving(c_style=c_style) as served:
            client = served.client()
            client.send(upgrade(Sec_WebSocket_Key="x"))
            client.until(lambda client=client: client.received)
            assert client.received.startswith(b"HTTP/1.1 101 " if c_style else b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("entry", "origin", "plain", "c"),
    [
        ("example.com", "https://example.com", True, True),
        ("example.com", "https://trade.example.com:8443", True, False),
        ("example.com", "https://evil-example.com", False, True),
        ("example.com", "https://example.com.evil.net", False, False),
        ("example.com", "HTTPS://EXAMPLE.COM", True, False),
        ("example.com", "null", False, False),
        ("example.com", "example.com", False, True),
        ("https://example.com", "https://example.com", True, True),
        ("https://example.com", "http://example.com", False, False),
        ("https://example.com", "https://a.example.com", False, False),
        ("example.com", "https://[", False, False),
    ],
)
def test_origin(entry: str, origin: str, plain: bool, c: bool) -> None:
    for c_style, welcome in ((False, plain), (True, c)):
        with serving(rules=HandshakeRules(origins=("other.org", entry)), c_style=c_style) as served:
            client = served.client()
            client.send(upgrade(Origin=origin))
            client.until(lambda client=client: client.ended or client.received)
            assert client.received.startswith(b"HTTP/1.1 101 ") is welcome


def test_byte_by_byte_and_an_empty_line_before_it() -> None:
    with serving() as served:
        client = served.client()
        client.send_bytewise(b"\r\n" + upgrade() + frame(TEXT, "first"))
        assert client.handshake(sent=True) == PLAIN_ANSWER
        assert client.frames(1) == [Got(0x81, b"first")]


def test_frames_in_the_write_of_the_handshake_are_served() -> None:
    with serving() as served:
        client = served.client()
        client.handshake(upgrade() + frame(TEXT, "a") + frame(TEXT, "b"))
        assert client.frames(2) == [Got(0x81, b"a"), Got(0x81, b"b")]


def test_the_service_sees_headers_path_and_client() -> None:
    def client_address(peer: str, headers: object) -> str:
        assert ("x-real-ip", "192.0.2.7") in list(headers)  # type: ignore[call-overload]
        return f"192.0.2.7 by {peer}"

    with serving(rules=HandshakeRules(client_address=client_address)) as served:
        served.open(upgrade(X_Real_IP="192.0.2.7", Cookie="a=b"))
        connection = served.service.connections[0]
        assert connection.path == "/ws?a=b"
        assert connection.client == f"192.0.2.7 by {connection.peer}"
        assert served.service.headers["cookie"] == "a=b"
        assert not connection.headers, "an idle connection keeps no text"


def test_what_the_service_says_at_once_comes_behind_the_answer() -> None:
    def greet(connection: WsConnection) -> None:
        connection.send(text_frame("hello"))
        connection.close(1013, "full")

    with serving() as served:
        served.service.on_opened = greet
        client = served.open()
        assert client.frames(2) == [Got(0x81, b"hello"), Got(0x88, b"\x03\xf5full")]
        assert served.service.ends == [(1013, "full")]


def test_a_slow_handshake_ends() -> None:
    for c_style in (False, True):
        with serving(WsLimits(handshake_timeout_s=0.1), c_style=c_style) as served:
            client = served.client()
            client.send(upgrade()[:-2])
            client.to_the_end()
            assert client.received.startswith(b"" if c_style else b"HTTP/1.1 408 ")
            assert bool(client.received) is not c_style
