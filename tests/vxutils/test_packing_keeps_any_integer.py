"""Objects come back as they were packed, integers of any size among them, and nothing else is accepted."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vxutils.packing import Packer, Unpacker, UnpackError, pack, unpack, unpack_all

EDGES = [2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**71 - 1, 2**71, 10**30, 10**60, 2**8000]
EDGES += [-edge for edge in EDGES] + [-(2**63) - 1, -(2**71) - 1, 0, -1]


@pytest.mark.parametrize("value", EDGES)
def test_integers_at_the_edges(value: int) -> None:
    assert unpack(pack(value)) == value
    assert unpack(pack([value, {"k": value}])) == [value, {"k": value}]


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (2**64, b"\xc7\x09\x01\x01" + bytes(8)),
        (2**64 + 255, b"\xc7\x09\x01\x01" + bytes(7) + b"\xff"),
        (2**71, b"\xc7\x0a\x01\x00\x80" + bytes(8)),
        (-(2**63) - 1, b"\xc7\x09\x01\xff\x7f" + b"\xff" * 7),
        (-(2**71), b"\xc7\x09\x01\x80" + bytes(8)),
        (2**63, b"\xcf\x80" + bytes(7)),
        (-(2**63), b"\xd3\x80" + bytes(7)),
    ],
)
def test_the_bytes_are_these_for_ever(value: int, data: bytes) -> None:
    assert pack(value) == data
    assert unpack(data) == value


objects = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(objects)
def test_round_trip_and_one_form(obj: object) -> None:
    data = pack(obj)
    assert unpack(data) == obj
    assert Packer().pack(obj) == data == pack(unpack(data))


@given(st.lists(objects, max_size=5))
def test_a_stream_fed_byte_by_byte(items: list[object]) -> None:
    data = b"".join(map(pack, items))
    unpacker = Unpacker(len(data) or 1)
    found: list[object] = []
    for byte in data:
        unpacker.feed(bytes([byte]))
        found.extend(unpacker)
    assert found == items
    assert unpacker.pending_bytes == 0
    assert list(unpack_all(data)) == items


@given(st.binary(max_size=60))
def test_any_bytes_give_an_object_or_one_error(data: bytes) -> None:
    try:
        unpack(data)
        list(unpack_all(data))
    except UnpackError:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x92\x01",  # cut
        b"\x01\x02",  # something left over
        b"\xdd\xff\xff\xff\xff",  # a list of 4 G items
        b"\xc6\xff\xff\xff\xffabc",  # 4 GiB of binary
        b"\xc1",  # no msgpack
        b"\xa1\xff",  # no UTF-8
        b"\x81\x90\x01",  # a list as a key
        b"\xd4\x05\x00",  # another extension
        b"\xc7\x00\x01",  # an integer of no bytes
        b"\xd7\x01" + bytes(8),  # one that fits 64 bits
        b"\xc7\x0a\x01\x00\x00\x80" + bytes(7),  # not the shortest form
        b"\xc7\x09\x01\x00\x80" + bytes(7),  # 2^63: fits without sign
        b"\x91" * 100_000,  # nested without end
    ],
)
def test_refused(data: bytes) -> None:
    with pytest.raises(UnpackError):
        unpack(data)


def test_a_cut_last_object_of_many() -> None:
    found: list[object] = []
    with pytest.raises(UnpackError, match="2 bytes are left over"):
        for item in unpack_all(b"\x01\x02\x92\x03"):
            found.append(item)
    assert found == [1, 2]


def test_an_unpacker_is_bounded() -> None:
    unpacker = Unpacker(10)
    with pytest.raises(UnpackError):
        unpacker.feed(b"\xc4\x20" + bytes(32))


@pytest.mark.parametrize("value", [{1, 2}, object(), 1j, 2**9000, -(2**9000)])
def test_what_is_not_packed_is_our_mistake_and_the_packer_lives_on(value: object) -> None:
    packer = Packer()
    with pytest.raises((TypeError, OverflowError)):
        packer.pack([1, "two", value])
    assert packer.pack([1]) == msgpack.packb([1])
