"""A byte stream becomes the same packets however it is cut; broken ones are named, those before are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vxutils.rpc.packet import (
    BODY_SIZE_MAX,
    EXT_SIZE_MAX,
    HEADER_SIZE,
    Packet,
    PacketError,
    decode_datagram,
    encode_packet,
    split_packets,
)

SIZE_MAX = 4096

packets_strategy = st.builds(
    Packet,
    command=st.integers(0, 2**32 - 1),
    kind=st.integers(0, 2**16 - 1),
    result=st.integers(0, 2**32 - 1),
    sequence=st.integers(0, 2**32 - 1),
    request_id=st.integers(0, 2**64 - 1),
    ext=st.binary(max_size=40),
    body=st.binary(max_size=80),
)


def encoded(packet: Packet) -> bytes:
    return encode_packet(
        packet.command,
        packet.kind,
        packet.sequence,
        packet.request_id,
        packet.body,
        packet.ext,
        packet.result,
    )


def fed(data: bytes, cuts: list[int], size_max: int = SIZE_MAX) -> tuple[list[Packet], bytes]:
    """What a session would do: keep the rest, put new bytes behind it."""
    packets: list[Packet] = []
    rest = b""
    previous = 0
    for cut in [*sorted(cuts), len(data)]:
        rest += data[previous:cut]
        previous = cut
        found, consumed = split_packets(rest, size_max)
        packets += found
        rest = rest[consumed:]
    return packets, rest


@given(st.lists(packets_strategy, max_size=5), st.data())
def test_any_cut_gives_the_same_packets(packets: list[Packet], draw: st.DataObject) -> None:
    data = b"".join(encoded(packet) for packet in packets)
    cuts = draw.draw(st.lists(st.integers(0, len(data)), max_size=8))
    assert fed(data, cuts) == (packets, b"")
    assert fed(data, list(range(len(data)))) == (packets, b"")


REQUEST = encode_packet(101, 0, 1, 7, b"[1]")


@pytest.mark.parametrize("length", range(len(REQUEST)))
def test_a_part_of_a_packet_waits(length: int) -> None:
    assert split_packets(REQUEST + REQUEST[:length], SIZE_MAX)[1] == len(REQUEST)
    assert isinstance(decode_datagram(REQUEST[:length], SIZE_MAX), str)


def with_sizes(body_size: int, ext_size: int) -> bytes:
    return REQUEST[:30] + body_size.to_bytes(4, "little") + ext_size.to_bytes(2, "little") + REQUEST[36:]


def flipped(position: int) -> bytes:
    return REQUEST[:position] + bytes([REQUEST[position] ^ 1]) + REQUEST[position + 1 :]


TOO_LARGE = f"packet larger than max_pkg_size {SIZE_MAX}"
BROKEN = [
    (flipped(0), "bad magic"),
    (flipped(3), "bad magic"),
    (b"x" * HEADER_SIZE, "bad magic"),
    (flipped(4), "bad crc"),
    (flipped(14), "bad crc"),
    (flipped(22), "bad crc"),
    (flipped(38), "bad crc"),
    (with_sizes(2, 1), "bad crc"),
    (with_sizes(0xFFFFFFFF, 0), TOO_LARGE),
    # In 32 bits these sums wrap to 39 and to 0, and the original believes them.
    (with_sizes(2**32 - 65535 + 3, 65535), TOO_LARGE),
    (with_sizes(2**32 - 36, 0), TOO_LARGE),
    (with_sizes(SIZE_MAX - HEADER_SIZE + 1, 0), TOO_LARGE),
    (with_sizes(0, EXT_SIZE_MAX), TOO_LARGE),
    # Two faults at once: the first one in the order of checks is named.
    (b"x" + with_sizes(0xFFFFFFFF, 0)[1:], "bad magic"),
]


@pytest.mark.parametrize(("data", "reason"), BROKEN)
def test_broken_packet_is_named_and_those_before_it_are_kept(data: bytes, reason: str) -> None:
    before = [Packet(101, 0, 0, 1, 7, b"", b"[1]")] * 2
    for packets in ([], before):
        with pytest.raises(PacketError) as caught:
            split_packets(REQUEST * len(packets) + data, SIZE_MAX)
        assert (str(caught.value), caught.value.packets) == (reason, packets)
    assert decode_datagram(data, SIZE_MAX) == reason


@pytest.mark.parametrize("position", range(len(REQUEST)))
def test_every_byte_is_covered(position: int) -> None:
    """No single changed byte gets a packet through: it is refused, or waits for bytes that never come."""
    try:
        packets, _ = split_packets(flipped(position), SIZE_MAX)
    except PacketError:
        return
    assert packets == []


def test_largest_packet_is_accepted_and_one_byte_more_is_not() -> None:
    data = encode_packet(1, 0, 1, 1, b"b" * 50, b"e" * 14)
    assert len(data) == 100
    assert len(split_packets(data, 100)[0]) == 1
    with pytest.raises(PacketError, match="max_pkg_size 99"):
        split_packets(data, 99)


def test_datagram_is_exactly_one_packet() -> None:
    assert decode_datagram(REQUEST, SIZE_MAX) == Packet(101, 0, 0, 1, 7, b"", b"[1]")
    for data in (REQUEST + b"x", REQUEST + REQUEST, REQUEST + b"x" * 40):
        assert decode_datagram(data, SIZE_MAX) == "bytes after the packet"
    assert decode_datagram(b"", SIZE_MAX) == "shorter than its packet"


class HugeBytes(bytes):
    """Claims a size that nobody wants to allocate."""

    def __len__(self) -> int:
        return BODY_SIZE_MAX + 1


def test_sender_limits() -> None:
    with pytest.raises(ValueError, match="body"):
        encode_packet(1, 0, 1, 1, HugeBytes())
    with pytest.raises(ValueError, match="ext"):
        encode_packet(1, 0, 1, 1, b"", b"e" * (EXT_SIZE_MAX + 1))
    assert len(encode_packet(1, 0, 1, 1, b"", b"e" * EXT_SIZE_MAX)) == HEADER_SIZE + EXT_SIZE_MAX
