"""The sections every process has in its settings file, with bounds and units beside each field.

What is particular to one process is declared by that process; how a file becomes these Structs is
`decode`; the C system's spelling of the same sections is `c_sections`. All Structs are frozen: a
process loads them once and passes each part down to who needs it. The log section is declared by
`vxutils.log`, its only user.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

PACKET_SIZE_BYTES_MAX = 64 << 20  # more than any command needs; bounds what one peer can make us hold
BUF_LIMIT_MAX = 100_000  # at the usual 10,240 bytes a packet: 1 GB of unsent output in one session

Text = Annotated[str, Meta(max_length=255)]
AddressText = Annotated[str, Meta(min_length=1, max_length=255)]
Addresses = Annotated[tuple[AddressText, ...], Meta(min_length=1, max_length=64)]
ResourceLimit = Annotated[int, Meta(ge=0, le=2**63 - 1)]
PacketSizeBytes = Annotated[int, Meta(ge=256, le=PACKET_SIZE_BYTES_MAX)]
SocketBufferBytes = Annotated[int, Meta(ge=0, le=1 << 30)]
Heartbeat = Literal["off", "any_traffic", "heartbeats_only"]


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the process asks of the operating system.

    `title` is what `ps` shows. `file_limit` (descriptors) and `core_limit` (bytes of a core dump)
    raise the limit of the process when it is lower; 0 leaves it alone.
    """

    title: Annotated[str, Meta(min_length=1, max_length=64)]
    file_limit: ResourceLimit = 0
    core_limit: ResourceLimit = 0


class AlertSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where fatal log lines are sent: `address` is "ip:port" of the alert centre, None = nowhere.

    The default is where an alert centre on this machine listens; datagrams to nobody do no harm. `host` is
    the name of this machine in those lines; empty = the name the system has.
    """

    host: Annotated[str, Meta(max_length=64)] = ""
    address: AddressText | None = "127.0.0.1:4444"


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One RPC server.

    `max_pkg_size` bytes bounds one packet, `buf_limit` * `max_pkg_size` bytes the unsent output of
    one session (more closes it). `read_mem`, `write_mem` set the socket buffers in bytes, 0 leaves
    them. `heartbeat` says what keeps a session alive; `connections_max` bounds the sessions.

    Source: protocol.md 1.6-1.8, 10.3.
    """

    bind: Addresses
    max_pkg_size: PacketSizeBytes = 10_240
    buf_limit: Annotated[int, Meta(ge=1, le=BUF_LIMIT_MAX)] = 100
    read_mem: SocketBufferBytes = 0
    write_mem: SocketBufferBytes = 0
    heartbeat: Heartbeat = "off"
    connections_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000
