"""The recorded packets of the reference, byte for byte. Source: protocol.md 13.1."""

from __future__ import annotations

import pytest

from vxutils.rpc.heartbeat import encode_heartbeat
from vxutils.rpc.packet import KIND_REPLY, KIND_REQUEST, Packet, encode_packet, encode_reply, split_packets

QUERY = "6265657065000000000000000000507ceed20100000007000000000000000300000000005b315d"
BEAT = "6265657000000000000000000000e39cb21f00000000000000000000000008000000000001000400b80b0000"
BEAT_REPLY = "6265657000000000010000000000c03c3287000000000000000000000000000000000000"
BEAT_REPLY_5_9 = "626565700000000001000000000067a29ecd050000000900000000000000000000000000"
EXT = "62656570680000000000000000006b8699dc020000008877665544332211020000000200aabb5b5d"
EXT_REPLY = "62656570680000000100000000" + "00ab87a983020000008877665544332211020000000200aabb7b7d"

# hex, then command, kind, sequence, request id, body, ext
VECTORS = [
    (QUERY, 101, KIND_REQUEST, 1, 7, b"[1]", b""),
    (BEAT, 0, KIND_REQUEST, 0, 0, encode_heartbeat(3000), b""),
    (BEAT_REPLY, 0, KIND_REPLY, 0, 0, b"", b""),
    (BEAT_REPLY_5_9, 0, KIND_REPLY, 5, 9, b"", b""),
    (EXT, 104, KIND_REQUEST, 2, 0x1122334455667788, b"[]", b"\xaa\xbb"),
    (EXT_REPLY, 104, KIND_REPLY, 2, 0x1122334455667788, b"{}", b"\xaa\xbb"),
]


@pytest.mark.parametrize(("text", "command", "kind", "sequence", "request_id", "body", "ext"), VECTORS)
def test_vector_both_ways(
    text: str, command: int, kind: int, sequence: int, request_id: int, body: bytes, ext: bytes
) -> None:
    data = bytes.fromhex(text)
    packet = Packet(command, kind, 0, sequence, request_id, ext, body)
    assert encode_packet(command, kind, sequence, request_id, body, ext) == data
    assert split_packets(data, len(data)) == ([packet], len(data))


@pytest.mark.parametrize(
    ("request_text", "body", "reply_text"), [(EXT, b"{}", EXT_REPLY), (BEAT, b"", BEAT_REPLY)]
)
def test_reply_vector(request_text: str, body: bytes, reply_text: str) -> None:
    [request], _ = split_packets(bytes.fromhex(request_text), 1000)
    assert encode_reply(request, body).hex() == reply_text


def test_reply_echoes_header_without_ext() -> None:
    request = Packet(201, 2, 0xDEADBEEF, 0xFFFFFFFF, 2**64 - 1, b"", b"[]")
    [reply], _ = split_packets(encode_reply(request, b"body"), 1000)
    assert reply == Packet(201, KIND_REPLY, 0xDEADBEEF, 0xFFFFFFFF, 2**64 - 1, b"", b"body")
