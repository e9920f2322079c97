"""Measures the shared-memory rings on this machine: `python -m bench.rings`, some seconds.

What a turn of the engine pays for one touched book, what a gateway pays for one depth, and what one message
costs on both sides. Runs in one process: what is measured is the work, not the wake-up.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from matchengine.core.order import ASK, BID, LIMIT, Order
from matchengine.core.order_book import BookSide
from vxutils.protocol.book import decode_book, depth_text, encode_book
from vxutils.ring.message import MessageReader, MessageWriter
from vxutils.ring.snapshot import Snapshot, SnapshotReader, SnapshotWriter

LEVELS = 100
BOOK_LEVELS = 1000
ROUNDS = 5000
MESSAGES = 100_000
MESSAGE_BYTES = 300
NAME = f"/vx-bench-{os.getpid()}"


def book_side(side: int, factor: int) -> BookSide:
    """A side with more levels than are published; `factor` makes its numbers wider."""
    book = BookSide(side)
    for number in range(BOOK_LEVELS):
        price = (1_000_000 + (number if side == ASK else -number)) * factor
        amount = (number * 7919 % 1_000_003 + 1) * factor
        book.add(Order(number, "M", LIMIT, side, 1, price, amount, amount, 0, 0, None, 0, 0))
    return book


def each_us(call: Callable[[], object], rounds: int = ROUNDS) -> float:
    begun = time.perf_counter()
    for _ in range(rounds):
        call()
    return (time.perf_counter() - begun) / rounds * 1e6


def measure_books(what: str, factor: int) -> None:
    asks, bids = book_side(ASK, factor), book_side(BID, factor)

    def encode() -> bytes:
        return encode_book("BTCUSDT", 1, 1, 8, 8, asks.depth(LEVELS), bids.depth(LEVELS), LEVELS)

    writer = SnapshotWriter(NAME, 64 << 10)
    reader = SnapshotReader(NAME)
    data = encode()

    def read() -> Snapshot:
        snapshot = reader.read()
        assert snapshot is not None
        return snapshot

    try:
        print(f"{what}: {len(data)} bytes for {LEVELS} levels a side")
        print(f"  engine, take, encode and publish {each_us(lambda: writer.publish(encode(), 1, 1)):8.1f} us")
        print(f"  of that the ring                 {each_us(lambda: writer.publish(data, 1, 1)):8.1f} us")
        mark = reader.mark
        print(f"  gateway, anything new?           {each_us(lambda: reader.changed(mark)):8.1f} us")
        print(f"  gateway, read                    {each_us(read):8.1f} us")
        print(f"  gateway, read and decode         {each_us(lambda: decode_book(read().payload)):8.1f} us")
        text_us = each_us(lambda: depth_text(decode_book(read().payload), LEVELS, "plain"), ROUNDS // 5)
        print(f"  gateway, read, decode and print  {text_us:8.1f} us")
    finally:
        reader.close()
        writer.close()


def measure_messages() -> None:
    writer = MessageWriter(NAME, 64 << 20, 0)
    reader = MessageReader(NAME, 0)
    payload = b"x" * MESSAGE_BYTES
    try:
        begun = time.perf_counter()
        for number in range(MESSAGES):
            writer.append(number, payload)
        writer.publish()
        written = time.perf_counter()
        while reader.next_number < MESSAGES:
            reader.read(1000)
        read = time.perf_counter()
        print(f"messages of {MESSAGE_BYTES} bytes")
        print(f"  written                          {MESSAGES / (written - begun):8.0f} /s")
        print(f"  read                             {MESSAGES / (read - written):8.0f} /s")
        print(f"  nothing new                      {each_us(lambda: reader.read(10)):8.1f} us")
    finally:
        reader.close()
        writer.close()


if __name__ == "__main__":
    measure_books("book of 64-bit numbers", 1)
    measure_books("book of 90-bit numbers", 10**21)
    measure_messages()
