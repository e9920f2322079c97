"""Between the recorder and its writer process: a seqpacket socket pair, batches in memory files.

    recorder --order, JSON--> writer             first, once; it may hold a password, so it is no argument
    recorder --BATCH, descriptor--> writer       the descriptor is that of a memory file: the batch, msgpack
    recorder <------report--------- writer       msgpack

A batch is some megabytes and a socket takes a fraction of one at a time, so both ends would wait for one
another. In a memory file it is handed over at once. Both ends are of one version and of one machine.
"""

from __future__ import annotations

import mmap
import os
import socket
from contextlib import suppress
from typing import Final, Literal

import msgspec

from vxutils.store.embedded.schema import HistoryBase, HistoryBatch, HistoryPosition

ORDER_BYTES_MAX: Final = 65_536
REPORT_BYTES_MAX: Final = 32_768
TEXT_CHARACTERS_MAX: Final = 4_096
BATCH: Final = b"BATCH"

ReportKind = Literal["opened", "committed", "troubled", "alarm", "rings", "damaged", "refused"]


class Report(msgspec.Struct, frozen=True, array_like=True):
    """What the writer says.

    opened: the store is open at `position`, its history begins at `base`.   committed: as far as `position`.
    troubled: it can not write now and tries again.   alarm: a person should know.   rings: `rings_trouble`
    has changed, which comes with every report and is empty while all rings are well.   damaged, refused: it
    can not work with this store at all and ends. `text` says why.
    """

    kind: ReportKind
    position: HistoryPosition = HistoryPosition()
    text: str = ""
    base: HistoryBase | None = None
    rings_trouble: str = ""


class WireError(Exception):
    """The other end sent what it never sends."""


def receive_order(sock: socket.socket) -> bytes:
    """What the recorder has sent first, empty if it is gone. Raises: OSError."""
    return sock.recv(ORDER_BYTES_MAX)


def pack_batch(batch: HistoryBatch) -> bytes:
    """The bytes of a batch, to be sent once or more."""
    return msgspec.msgpack.encode(batch)


def send_batch(sock: socket.socket, packed: bytes) -> None:
    """Hands over a batch without waiting. Raises: OSError, BlockingIOError when too many wait already."""
    fd = os.memfd_create("batch", os.MFD_CLOEXEC)
    try:
        rest = memoryview(packed)
        while rest:
            rest = rest[os.write(fd, rest) :]
        socket.send_fds(sock, [BATCH], [fd])
    finally:
        os.close(fd)


def receive_batch(sock: socket.socket) -> HistoryBatch | None:
    """The next batch; waits for it. None when the other end is closed. Raises: WireError; OSError."""
    message, descriptors, _, _ = socket.recv_fds(sock, len(BATCH) + 1, 1)
    try:
        if not message:
            return None
        if message != BATCH or len(descriptors) != 1:
            raise WireError(f"no batch: {message!r} with {len(descriptors)} descriptors")
        (fd,) = descriptors
        size = os.fstat(fd).st_size
        with mmap.mmap(fd, size, access=mmap.ACCESS_READ) as packed:
            return msgspec.msgpack.decode(packed, type=HistoryBatch)
    except msgspec.DecodeError as error:
        raise WireError(f"no batch: {error}") from error
    finally:
        for fd in descriptors:
            os.close(fd)


def send_report(sock: socket.socket, report: Report) -> None:
    """Raises: OSError."""
    if max(len(report.text), len(report.rings_trouble)) > TEXT_CHARACTERS_MAX:
        report = msgspec.structs.replace(
            report,
            text=report.text[:TEXT_CHARACTERS_MAX],
            rings_trouble=report.rings_trouble[:TEXT_CHARACTERS_MAX],
        )
    sock.send(msgspec.msgpack.encode(report))


def receive_report(sock: socket.socket) -> Report | None:
    """The next report of a socket that does not wait; None when the other end is closed.

    Raises: BlockingIOError when there is none yet; WireError.
    """
    message = b""
    with suppress(ConnectionError):
        message = sock.recv(REPORT_BYTES_MAX)
    if not message:
        return None
    try:
        return msgspec.msgpack.decode(message, type=Report)
    except msgspec.DecodeError as error:
        raise WireError(f"no report: {error}") from error
