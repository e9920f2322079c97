"""Output buffers by themselves, against a socket that takes what it likes."""

from __future__ import annotations

import os
import random
from typing import NoReturn

import pytest

from vxnet.buffer import DESCRIPTORS_WAITING_MAX, PacketOutput, StreamOutput
from vxnet.errors import BufferOverflowError


class Moody:
    """Takes a random number of bytes, sometimes none."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.taken = bytearray()

    def __call__(self, data: bytes | memoryview) -> int:
        assert data, "an empty send is a wasted system call"
        count = min(len(data), self.random.randrange(0, 30))
        if not count:
            raise BlockingIOError
        self.taken += data[:count]
        return count


@pytest.mark.parametrize("seed", range(20))
def test_stream_output_keeps_every_byte_in_order(seed: int) -> None:
    output = StreamOutput(0)
    socket = Moody(seed)
    expected = bytearray()
    for number in range(300):
        for _ in range(socket.random.randrange(4)):
            piece = bytes([number % 256]) * socket.random.randrange(20)
            output.append(piece)
            expected += piece
        output.drain(socket)
        assert output.size == len(expected) - len(socket.taken)
    while not output.drain(socket):
        pass
    assert socket.taken == expected
    assert output.size == 0


def full(data: object, descriptor: int | None = None) -> NoReturn:
    raise BlockingIOError


def test_stream_output_over_its_bound() -> None:
    output = StreamOutput(10)
    output.append(b"0123456789")
    assert not output.drain(full)
    output.append(b"x")
    with pytest.raises(BufferOverflowError, match="no send buf"):
        output.drain(full)
    with pytest.raises(BufferOverflowError):
        output.check()
    output.clear()
    output.check()


def test_what_is_sent_at_once_may_be_over_the_bound() -> None:
    output = StreamOutput(10)
    output.append(b"x" * 1000)
    assert output.drain(len)


def test_packet_output_over_its_bounds() -> None:
    output = PacketOutput(10)
    output.append(b"0123456789")
    assert not output.drain(full)
    output.append(b"x")
    with pytest.raises(BufferOverflowError):
        output.drain(full)
    assert output.clear() == 2
    assert output.size == 0


def test_packet_output_owns_a_duplicate_of_each_descriptor() -> None:
    read_end, write_end = os.pipe()
    output = PacketOutput(1000)
    output.append(b"x", write_end)
    os.close(write_end)
    assert not output.drain(full)
    sent: list[int] = []

    def write(data: bytes, descriptor: int | None) -> None:
        assert descriptor is not None
        sent.append(os.write(descriptor, data))

    assert output.drain(write)
    assert sent == [1]
    assert os.read(read_end, 10) == b"x"
    assert os.read(read_end, 10) == b"", "the duplicate is closed after sending"
    for _ in range(DESCRIPTORS_WAITING_MAX + 1):
        output.append(b"x", read_end)
    with pytest.raises(BufferOverflowError):
        output.check()
    output.clear()
    os.close(read_end)
