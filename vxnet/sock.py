"""Opening sockets: non-blocking, close-on-exec, and closed again when any step fails.

Knows addresses and socket options, nothing of sessions or loops. Unix files are never open to everybody.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
import stat
import tempfile
from pathlib import Path
from typing import Final

from vxnet.address import Address, Kind
from vxnet.errors import AddressError, AddressInUseError

UNIX_MODE: Final = 0o660
_PRIVATE_MODE: Final = 0o600


def listen_socket(
    address: Address, *, mode: int = UNIX_MODE, backlog: int = socket.SOMAXCONN
) -> socket.socket:
    """Bind, and listen unless the kind has no connections. A unix file left by a dead process is replaced.

    `mode` is the mode of a unix socket file. Its folder must exist.
    Raises: AddressInUseError, AddressError: a sentence naming the address.
    Source: protocol 1.7. SO_REUSEADDR only for tcp: for udp it would let two processes share one port
    unnoticed.
    """
    try:
        if address.is_unix:
            _make_way(address)
        sock = socket.socket(address.family, address.socktype)
        try:
            sock.setblocking(False)
            if address.kind == "tcp":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if address.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if address.is_unix:
                _bind_unix(sock, address.path, mode)
            else:
                sock.bind(address.sockaddr())
            if not address.is_datagram:
                sock.listen(backlog)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        kind = AddressInUseError if error.errno == errno.EADDRINUSE else AddressError
        raise kind(f"{address}: {in_words(error)}") from error
    return sock


def connect_socket(address: Address, *, read_mem: int = 0, write_mem: int = 0) -> socket.socket:
    """Begin to connect; the socket is writable once it is decided, and `SO_ERROR` then says how it went.

    A unix dgram socket is bound to a private path of its own, so that it can be answered; its owner unlinks
    `getsockname()` afterwards.
    Raises: OSError when it fails at once.
    """
    sock = socket.socket(address.family, address.socktype)
    try:
        sock.setblocking(False)
        set_options(sock, address.kind, read_mem=read_mem, write_mem=write_mem)
        if address.kind == "dgram":
            _bind_unix(sock, f"{tempfile.gettempdir()}/vx-dgram-{secrets.token_hex(8)}.sock", _PRIVATE_MODE)
        try:
            sock.connect(address.sockaddr())
        except BlockingIOError as error:
            # EAGAIN, unlike EINPROGRESS, is a full backlog of a unix listener: nothing is under way.
            if error.errno != errno.EINPROGRESS:
                raise
    except BaseException:
        if address.kind == "dgram":
            unlink_own_path(sock)
        sock.close()
        raise
    return sock


def set_options(sock: socket.socket, kind: Kind, *, read_mem: int, write_mem: int) -> None:
    """TCP_NODELAY on tcp; kernel buffers in bytes where more than 0."""
    if kind == "tcp":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if read_mem > 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_mem)
    if write_mem > 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, write_mem)


def unlink_own_path(sock: socket.socket) -> None:
    """Remove the file that a unix socket is bound to, if it has one and it is still there."""
    path = sock.getsockname()
    if isinstance(path, str) and path:
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink()


def in_words(error: OSError) -> str:
    """The error of the system as part of a sentence: `address already in use`."""
    text = os.strerror(error.errno) if error.errno else str(error)
    return text[:1].lower() + text[1:]


def _bind_unix(sock: socket.socket, path: str, mode: int) -> None:
    # Linux gives the new file the mode of the socket: set it before, so that the file is never open wider.
    os.fchmod(sock.fileno(), mode)
    sock.bind(path)
    Path(path).chmod(mode)


def _make_way(address: Address) -> None:
    """Remove a socket file that nobody listens on. Raises: AddressInUseError, AddressError, OSError."""
    path = Path(address.path)
    if not path.parent.is_dir():
        raise AddressError(f"{address}: the folder {path.parent} does not exist")
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise AddressError(f"{address}: there is a file that is not a socket")
    with socket.socket(address.family, address.socktype) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address.path)
        except ConnectionRefusedError:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            return
        except FileNotFoundError:
            return
        except OSError as error:
            # EAGAIN: its backlog is full; EPROTOTYPE: a socket of another type. Both are alive.
            if error.errno not in (errno.EAGAIN, errno.EPROTOTYPE):
                raise
    raise AddressInUseError(f"{address}: address already in use")
