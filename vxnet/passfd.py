"""Messages of a seqpacket socket, with at most one descriptor travelling along (SCM_RIGHTS).

Every descriptor that arrives is either handed to the caller, who then owns it, or closed here.
"""

from __future__ import annotations

import os
import socket
from array import array

import msgspec

_DESCRIPTOR_BYTES = array("i").itemsize


class Message(msgspec.Struct):
    """One received message. Empty data without a descriptor is the end of the connection."""

    data: bytes
    descriptor: int | None
    truncated: bool


def send_message(sock: socket.socket, data: bytes, descriptor: int | None = None) -> None:
    """Send one whole message or nothing. The descriptor is duplicated by the kernel and stays the caller's.

    Raises: BlockingIOError when the peer's queue is full, OSError otherwise.
    """
    if descriptor is None:
        sock.send(data)
    else:
        socket.send_fds(sock, [data], [descriptor])


def receive_message(sock: socket.socket, size_max: int) -> Message:
    """Receive one message of up to `size_max` bytes; a longer one comes cut, `truncated`, without descriptor.

    Raises: BlockingIOError when nothing is there, OSError otherwise.
    """
    data, ancillary, flags, _ = sock.recvmsg(
        size_max, socket.CMSG_LEN(_DESCRIPTOR_BYTES), socket.MSG_CMSG_CLOEXEC
    )
    descriptors = array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(payload[: len(payload) - len(payload) % _DESCRIPTOR_BYTES])
    # MSG_CTRUNC: the peer sent several descriptors, the kernel has closed those which did not fit.
    truncated = bool(flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC))
    keep = 0 if truncated or len(descriptors) != 1 else 1
    for descriptor in descriptors[keep:]:
        os.close(descriptor)
    return Message(data, descriptors[0] if keep else None, truncated)
