"""The words between a listener and its workers, on a seqpacket socket of the data directory.

    listener --- descriptor of an accepted connection, payload: which listener of the settings --> worker
    listener <-- heartbeat, once a second ------------------------------------------------------ worker
    listener <-- report, once a second and at once when connected ------------------------------ worker

Heartbeats and reports are RPC packets. A report says what the worker has, so that the listener can choose the
least loaded one and tell a monitor about all of them. Codec only.

Source: protocol.md 8.1 (there the payload is the descriptor's number, and nobody reports).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import msgspec

from vxnet.address import UNIX_PATH_BYTES_MAX, Address
from vxutils.exits import ExitCode, ProcessExit
from vxutils.rpc.packet import KIND_REQUEST, encode_packet

REPORT_COMMAND: Final = 1
"""Not in the command table: heartbeats are 0, and the commands of services begin at 101."""

MESSAGE_SIZE_BYTES_MAX: Final = 128 * 1024
PERIOD_S: Final = 1.0
RECONNECT_S: Final = 0.1
"""A listener that was killed is back within a second; its workers should not add another one."""

_PAYLOAD = struct.Struct("<I")

Sample = tuple[str, tuple[str, ...], float]
"""One value of a metric: its name, the values of its labels, the value."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker says about itself.

    `adopted`: descriptors taken over this connection to the listener. `room`: how many more connections
    it would take. `leaving`: it stops, and wants none. `backends`: which of them are connected. `samples`:
    its metrics; `latency_counts` and `latency_total_s` are what its `Buckets` hold.
    """

    worker: int
    pid: int
    connections: int
    adopted: int
    room: int
    leaving: bool
    backends: dict[str, bool]
    samples: list[Sample]
    latency_counts: list[int]
    latency_total_s: float


def encode_report(report: Report) -> bytes:
    """The packet of a report."""
    return encode_packet(REPORT_COMMAND, KIND_REQUEST, 0, 0, msgspec.msgpack.encode(report))


def decode_report(body: bytes) -> Report:
    """Raises: msgspec.MsgspecError (a ValueError or its like) when the body is no report."""
    return _decoder.decode(body)


def encode_payload(listener: int) -> bytes:
    """The payload that travels with a descriptor: index of the listener in the settings."""
    return _PAYLOAD.pack(listener)


def decode_payload(payload: bytes) -> int | None:
    """The index of the listener; None when the payload is none of ours."""
    return int(_PAYLOAD.unpack(payload)[0]) if len(payload) == _PAYLOAD.size else None


def handover_address(run_directory: Path, process: str) -> Address:
    """Where the listener of `process` meets its workers.

    Raises: ProcessExit when the directory's path is too long for a unix socket.
    """
    path = str(run_directory / f"{process}_listener.sock")
    size = len(path.encode())
    if size > UNIX_PATH_BYTES_MAX:
        raise ProcessExit(
            ExitCode.USAGE,
            f"the path {path} has {size} bytes, but a unix socket's may have {UNIX_PATH_BYTES_MAX}: "
            "use a data directory with a shorter path",
        )
    return Address(kind="seqpacket", path=path)


_decoder = msgspec.msgpack.Decoder(Report)
