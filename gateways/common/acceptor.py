"""Accepts connections and gives the sockets away: no session, nothing is read.

    listener --accept (<= 64 per readiness)--> accepted(socket, peer host, index of the listener)

It owns the listening sockets and their unix files. While paused, connections wait in the kernel's backlog.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from vxnet.address import Address
from vxnet.clock import OncePer
from vxnet.errors import AddressError
from vxnet.sock import in_words, listen_socket

ACCEPTS_MAX: Final = 64
"""Connections accepted from one listener before anything else has its turn."""

EXHAUSTED_PAUSE_S: Final = 0.1
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_log = logging.getLogger("vx.gateways.acceptor")

Accepted = Callable[[socket.socket, str, int], None]


class Acceptor:
    """Listens on `addresses` (one sequence for each listener of the settings) between start and stop.

    `accepted` owns the socket it gets, which is still blocking.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        addresses: Sequence[Sequence[Address]],
        accepted: Accepted,
    ) -> None:
        self.bound: list[Address] = []
        """Where it listens, with real ports in the place of port 0."""
        self._loop = loop
        self._addresses = addresses
        self._accepted = accepted
        self._listeners: list[tuple[socket.socket, Address, int]] = []
        self._unix_files: list[tuple[Path, int]] = []
        self._is_accepting = False
        self._retry: asyncio.TimerHandle | None = None
        self._exhausted_log = OncePer(1.0)

    def start(self) -> None:
        """Bind all addresses, or none, and stay paused. Raises: AddressError naming the address."""
        try:
            for index, addresses in enumerate(self._addresses):
                for address in addresses:
                    self._bind(address, index)
        except AddressError:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop listening; what waits in the backlog is reset by the kernel."""
        self.pause()
        for listener, _, _ in self._listeners:
            listener.close()
        self._listeners.clear()
        for path, inode in self._unix_files:
            with suppress(OSError):
                if path.stat().st_ino == inode:  # another process may have replaced it
                    path.unlink()
        self._unix_files.clear()

    def resume(self) -> None:
        """Accept; done again: no effect."""
        self._cancel_retry()
        if not self._is_accepting:
            self._is_accepting = True
            for listener, address, index in self._listeners:
                self._loop.add_reader(listener.fileno(), self._acceptable, listener, address, index)

    def pause(self) -> None:
        """Let connections wait; done again: no effect."""
        self._cancel_retry()
        if self._is_accepting:
            self._is_accepting = False
            for listener, _, _ in self._listeners:
                self._loop.remove_reader(listener.fileno())

    def _bind(self, address: Address, index: int) -> None:
        sock = listen_socket(address)
        if address.is_unix:
            self._unix_files.append((Path(address.path), Path(address.path).stat().st_ino))
        else:
            address = msgspec.structs.replace(address, port=sock.getsockname()[1])
        self._listeners.append((sock, address, index))
        self.bound.append(address)

    def _acceptable(self, listener: socket.socket, address: Address, index: int) -> None:
        for _ in range(ACCEPTS_MAX):
            try:
                sock, sockaddr = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause_when_exhausted(address, error)
                    return
                continue  # that connection is gone already, the next one may be well
            self._accepted(sock, "" if address.is_unix else str(sockaddr[0]), index)
            if not self._is_accepting:
                return

    def _pause_when_exhausted(self, address: Address, error: OSError) -> None:
        # The listener stays readable: going on watching it would spin.
        if self._exhausted_log.allows(self._loop.time()):
            _log.error("%s: can not accept for now: %s", address, in_words(error))
        self.pause()
        self._retry = self._loop.call_later(EXHAUSTED_PAUSE_S, self.resume)

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
