"""RFC 6455 by clause, against an echo service: what the client sends, and what comes back until the end.

One line per case. `!CODE` is a close frame with this code, after which the server shuts its end; any other
word is a frame: kind and payload. Every case runs twice: in one write, and byte by byte.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vxutils.ws.driving import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Got,
    Served,
    closing,
    frame,
    serving,
)
from vxutils.ws import WsLimits

BYTES_MAX = 1000
EURO = "€".encode()  # three bytes
BYE = frame(CLOSE, closing(1000))
KINDS = {TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}


def parts(*payloads: bytes, opcode: int = TEXT) -> bytes:
    """One message in fragments."""
    last = len(payloads) - 1
    return b"".join(
        frame(opcode if index == 0 else CONT, payload, fin=index == last)
        for index, payload in enumerate(payloads)
    )


CASES = [
    # 5.2 base framing
    ("5.2 empty text", frame(TEXT) + BYE, "text: !1000"),
    ("5.2 empty binary", frame(BINARY) + BYE, "binary: !1000"),
    ("5.2 text", frame(TEXT, "hello") + BYE, "text:hello !1000"),
    ("5.2 binary", frame(BINARY, b"\x00\xff") + BYE, "binary:\x00\xff !1000"),
    ("5.2 125 bytes", frame(TEXT, "a" * 125) + BYE, f"text:{'a' * 125} !1000"),
    ("5.2 126 bytes", frame(TEXT, "a" * 126) + BYE, f"text:{'a' * 126} !1000"),
    ("5.2 length of 16 bits", frame(TEXT, "a", size=16) + BYE, "text:a !1000"),
    ("5.2 length of 64 bits", frame(TEXT, "a", size=64) + BYE, "text:a !1000"),
    ("5.2 reserved bit 1", frame(TEXT, "a", reserved=4), "!1002"),
    ("5.2 reserved bit 2", frame(TEXT, "a", reserved=2), "!1002"),
    ("5.2 reserved bit 3", frame(TEXT, "a", reserved=1), "!1002"),
    ("5.2 reserved bits of a ping", frame(PING, "a", reserved=7), "!1002"),
    ("5.2 reserved bits of a close", frame(CLOSE, reserved=1), "!1002"),
    *[(f"5.2 opcode {code}", frame(code, "a"), "!1002") for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
    ("5.2 what came before counts", frame(TEXT, "a") + frame(3), "text:a !1002"),
    ("5.2 nothing after a fault counts", frame(3) + frame(TEXT, "a"), "!1002"),
    # 5.1, 5.3 masking
    ("5.1 not masked", frame(TEXT, "a", mask=None), "!1002"),
    ("5.1 ping not masked", frame(PING, mask=None), "!1002"),
    ("5.1 close not masked", frame(CLOSE, closing(1000), mask=None), "!1002"),
    ("5.3 mask of zeros", frame(TEXT, "abc", mask=bytes(4)) + BYE, "text:abc !1000"),
    ("5.3 another mask", frame(TEXT, "abcdefg", mask=b"\xff\x00\x80\x7f") + BYE, "text:abcdefg !1000"),
    # 5.4 fragmentation
    ("5.4 two parts", parts(b"ab", b"cd") + BYE, "text:abcd !1000"),
    ("5.4 three parts, binary", parts(b"\x00", b"", b"\xff", opcode=BINARY) + BYE, "binary:\x00\xff !1000"),
    ("5.4 empty parts", parts(b"", b"", b"") + BYE, "text: !1000"),
    ("5.4 two messages", parts(b"a", b"b") + parts(b"c", b"d") + BYE, "text:ab text:cd !1000"),
    (
        "5.4 control frames between parts",
        frame(TEXT, "a", fin=False) + frame(PING, "p") + frame(PONG, "q") + frame(CONT, "b") + BYE,
        "pong:p text:ab !1000",
    ),
    ("5.4 close between parts", frame(TEXT, "a", fin=False) + frame(CLOSE, closing(1001)), "!1001"),
    ("5.4 continuation of nothing", frame(CONT, "a"), "!1002"),
    ("5.4 open continuation of nothing", frame(CONT, "a", fin=False), "!1002"),
    ("5.4 continuation of a whole message", frame(TEXT, "a") + frame(CONT, "b"), "text:a !1002"),
    ("5.4 message within a message", frame(TEXT, "a", fin=False) + frame(TEXT, "b"), "!1002"),
    ("5.4 binary within a text", frame(TEXT, "a", fin=False) + frame(BINARY, b"b", fin=False), "!1002"),
    # 5.5 control frames
    ("5.5 fragmented ping", frame(PING, "a", fin=False), "!1002"),
    ("5.5 fragmented pong", frame(PONG, "a", fin=False), "!1002"),
    ("5.5 fragmented close", frame(CLOSE, closing(1000), fin=False), "!1002"),
    ("5.5 ping of 125", frame(PING, "p" * 125) + BYE, f"pong:{'p' * 125} !1000"),
    ("5.5 ping of 126", frame(PING, "p" * 126), "!1002"),
    ("5.5 pong of 126", frame(PONG, "p" * 126), "!1002"),
    ("5.5 close of 126", frame(CLOSE, closing(1000, "r" * 124)), "!1002"),
    # 5.5.1, 7 close
    ("5.5.1 close without a code", frame(CLOSE), "!1005"),
    ("5.5.1 close of one byte", frame(CLOSE, b"\x03"), "!1002"),
    ("5.5.1 reason", frame(CLOSE, closing(1000, "r" * 123)), "!1000"),
    ("5.5.1 reason that is not UTF-8", frame(CLOSE, closing(1000, b"\xff")), "!1007"),
    ("5.5.1 nothing after a close counts", BYE + frame(TEXT, "a") + frame(PING) + frame(3), "!1000"),
    *[
        (f"7.4 code {code}", frame(CLOSE, closing(code)), f"!{code}")
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4999)
    ],
    *[
        (f"7.4.1 code {code}", frame(CLOSE, closing(code)), "!1002")
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ],
    # 5.5.2, 5.5.3 ping and pong
    ("5.5.2 empty ping", frame(PING) + BYE, "pong: !1000"),
    ("5.5.2 the pong has the ping's payload", frame(PING, b"\x00\xff") + BYE, "pong:\x00\xff !1000"),
    ("5.5.2 each ping is answered", frame(PING, "1") + frame(PING, "2") + BYE, "pong:1 pong:2 !1000"),
    (
        "5.5.2 in order with messages",
        frame(TEXT, "a") + frame(PING, "p") + frame(TEXT, "b") + BYE,
        "text:a pong:p text:b !1000",
    ),
    ("5.5.3 a pong nobody asked for", frame(PONG, "x") + frame(TEXT, "a") + BYE, "text:a !1000"),
    # 5.6, 8.1 UTF-8
    ("8.1 text", frame(TEXT, "κόσμε") + BYE, f"text:{'κόσμε'.encode().decode('latin-1')} !1000"),
    ("8.1 a character across parts", parts(EURO[:1], EURO[1:2], EURO[2:]) + BYE, "text:â\x82¬ !1000"),
    ("8.1 invalid byte", frame(TEXT, b"a\xff"), "!1007"),
    ("8.1 overlong", frame(TEXT, b"\xc0\xaf"), "!1007"),
    ("8.1 surrogate", frame(TEXT, b"\xed\xa0\x80"), "!1007"),
    ("8.1 beyond Unicode", frame(TEXT, b"\xf4\x90\x80\x80"), "!1007"),
    ("8.1 cut", frame(TEXT, EURO[:2]), "!1007"),
    ("8.1 cut in the last part", parts(b"a", EURO[:2]), "!1007"),
    ("8.1 seen before the end", frame(TEXT, b"\xff", fin=False), "!1007"),
    ("8.1 seen in the second part", frame(TEXT, EURO[:1], fin=False) + frame(CONT, b"a", fin=False), "!1007"),
    ("8.1 the fault comes first", frame(TEXT, b"\xff") + BYE, "!1007"),
    ("5.6 binary is not text", frame(BINARY, EURO[:2]) + BYE, "binary:â\x82 !1000"),
    # 10.4 limits of the implementation
    ("10.4 largest message", frame(TEXT, "a" * BYTES_MAX) + BYE, f"text:{'a' * BYTES_MAX} !1000"),
    ("10.4 one more", frame(TEXT, length=BYTES_MAX + 1), "!1009"),
    ("10.4 declared 2^63-1", frame(TEXT, length=(1 << 63) - 1), "!1009"),
    ("10.4 declared 2^64-1", frame(TEXT, length=(1 << 64) - 1), "!1009"),
    ("10.4 sum of the parts", frame(TEXT, "a" * 600, fin=False) + frame(CONT, length=401), "!1009"),
    ("10.4 control frames do not count", parts(b"a" * 999, b"a")[:-7] + frame(PING) + frame(CONT, "a") + BYE,
     f"pong: text:{'a' * BYTES_MAX} !1000"),
]  # fmt: skip


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(WsLimits(message_bytes_max=BYTES_MAX)) as served:
        yield served


def told(frames: list[Got]) -> str:
    words = []
    for got in frames:
        assert got.first & 0xF0 == 0x80, "whole and without reserved bits"
        kind = KINDS[got.first & 15]
        if kind == "close":
            words.append(f"!{int.from_bytes(got.payload[:2]) if got.payload else 1005}")
        else:
            words.append(f"{kind}:{got.payload.decode('latin-1')}")
    return " ".join(words)


@pytest.mark.parametrize(("sent", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_clause(served: Served, sent: bytes, expected: str) -> None:
    client = served.open()
    client.send(sent)
    assert told(client.to_the_end()) == expected
    client.close()


@pytest.mark.parametrize(("sent", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_clause_byte_by_byte(served: Served, sent: bytes, expected: str) -> None:
    if len(sent) > 200:
        sent_slowly, sent = sent[:50], sent[50:]  # head and mask; the payload has nothing to split
    else:
        sent_slowly, sent = sent, b""
    client = served.open()
    client.send_bytewise(sent_slowly)
    client.send(sent)
    assert told(client.to_the_end()) == expected
    client.close()


def test_reasons_are_echoed(served: Served) -> None:
    client = served.open()
    client.send(frame(CLOSE, closing(4001, "because")))
    assert client.to_the_end() == [Got(0x80 | CLOSE, closing(4001, "because"))]
    assert served.service.ends[-1] == (4001, "because")
