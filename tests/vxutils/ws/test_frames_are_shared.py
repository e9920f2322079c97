"""A frame is made once, and compressed once, for everybody; clients' compression is bounded."""

from __future__ import annotations

import zlib

import pytest

from tests.vxutils.ws.driving import BINARY, CONT, PING, TEXT, Got, close_code, frame, serving, upgrade
from vxutils.ws import HandshakeRules, WsLimits, binary_frame, text_frame

LONG = '{"method":"depth.update","params":[' + '["10.5","3"],' * 100 + "0]}"
TAIL = b"\x00\x00\xff\xff"
OFFER = "permessage-deflate; client_max_window_bits"
GRANTED = (
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
    "server_max_window_bits=12"
)


def deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-12)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def inflate(got: Got) -> bytes:
    assert got.first == 0xC1, "text, whole, compressed"
    return zlib.decompressobj(wbits=-12).decompress(got.payload + TAIL)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_lengths(size: int) -> None:
    head = text_frame("a" * size).plain.removesuffix(b"a" * size)
    assert head[0] == 0x81
    assert {2: head[1], 4: int.from_bytes(head[2:]), 10: int.from_bytes(head[2:])}[len(head)] == size
    assert len(head) == (2 if size < 126 else 4 if size < 65536 else 10)


def test_compressed_once() -> None:
    one = text_frame(LONG)
    assert one.deflated is one.deflated
    assert len(one.deflated) < len(one.plain) / 5


def test_what_gains_nothing_is_sent_as_it_is() -> None:
    assert (short := text_frame("a" * 100)).deflated is short.plain
    noise = zlib.compress(LONG.encode() * 3)
    assert (wild := binary_frame(noise)).deflated is wild.plain


@pytest.mark.parametrize(
    ("offer", "granted"),
    [
        ("permessage-deflate", GRANTED),
        (OFFER, GRANTED + "; client_max_window_bits=12"),
        ("permessage-deflate; server_max_window_bits=15", GRANTED),
        ("permessage-deflate; server_max_window_bits=10", ""),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", GRANTED),
        ("permessage-deflate; server_max_window_bits=99", ""),
        ("permessage-deflate; nonsense", ""),
        ("permessage-deflate; client_max_window_bits=10", GRANTED + "; client_max_window_bits=10"),
        ("x-other", ""),
    ],
)
def test_negotiation(offer: str, granted: str) -> None:
    with serving() as served:
        answer = served.client().handshake(upgrade(Sec_WebSocket_Extensions=offer))
        found = [line for line in answer.split("\r\n") if line.startswith("Sec-WebSocket-Extensions")]
        assert found == ([granted] if granted else [])


def test_an_offer_that_can_not_be_read() -> None:
    with serving() as served:
        assert served.client().handshake(upgrade(Sec_WebSocket_Extensions="=;")).startswith("HTTP/1.1 400 ")


def test_no_compression_in_c_style_or_when_it_is_off() -> None:
    with serving(c_style=True) as served:
        assert "Extensions" not in served.client().handshake(upgrade(Sec_WebSocket_Extensions=OFFER))
    with serving(rules=HandshakeRules(deflate=False)) as served:
        assert "Extensions" not in served.client().handshake(upgrade(Sec_WebSocket_Extensions=OFFER))


def test_one_frame_for_both_kinds_of_client() -> None:
    with serving() as served:
        plain, deflated = served.open(), served.open(upgrade(Sec_WebSocket_Extensions=OFFER))
        shared, short = text_frame(LONG), text_frame("ok")
        for connection in served.service.connections:
            connection.send([shared, short])
        assert plain.frames(2) == [Got(0x81, LONG.encode()), Got(0x81, b"ok")]
        first, second = deflated.frames(2)
        assert (inflate(first).decode(), second) == (LONG, Got(0x81, b"ok"))
        assert served.server.messages_sent == 4


def test_a_client_may_compress_and_fragment_what_it_sends() -> None:
    body = deflate(LONG.encode())
    with serving() as served:
        client = served.open(upgrade(Sec_WebSocket_Extensions=OFFER))
        client.send(frame(TEXT, body, reserved=4))
        client.send(frame(TEXT, body[:20], fin=False, reserved=4) + frame(PING) + frame(CONT, body[20:]))
        client.send(frame(TEXT, "plain"))
        client.frames(4)
        assert served.service.messages == [LONG, LONG, "plain"]


BOMB = deflate(bytes(150_000))


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(BINARY, deflate(bytes(1 << 20)), reserved=4), 1009),
        (frame(BINARY, BOMB[:100], fin=False, reserved=4) + frame(CONT, BOMB[100:]), 1009),
        (frame(BINARY, b"\xff\xff\xff", reserved=4), 1002),
        (frame(TEXT, deflate(b"\xff"), reserved=4), 1007),
        (frame(TEXT, b"", fin=False) + frame(CONT, deflate(b"a"), reserved=4), 1002),
    ],
)  # fmt: skip
def test_bombs_and_nonsense(sent: bytes, code: int) -> None:
    with serving(WsLimits(message_bytes_max=100_000)) as served:
        client = served.open(upgrade(Sec_WebSocket_Extensions=OFFER))
        client.send(sent)
        assert [close_code(got) for got in client.to_the_end()] == [code]
