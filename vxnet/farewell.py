"""The end of connections that nobody serves: the answer goes out, and arrives.

    answer, SHUT_WR --> what the peer still sends is dropped --> its end, or too much, or too long --> close

If a socket is closed while the peer still sends, the kernel answers with a reset, which takes from the peer
what it has not read yet. Bounded: of more than COUNT_MAX farewells the oldest ends at once.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Final

COUNT_MAX: Final = 256
BYTES_MAX: Final = 1 << 20
"""Of what the peer sends."""
LINGER_S: Final = 1.0

_READ_BYTES: Final = 65_536


class Farewells:
    """Ends connections of one loop. It owns the sockets that it is given."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._leaving: dict[socket.socket, _Leaving] = {}  # the oldest first

    def __len__(self) -> int:
        """How many have not ended."""
        return len(self._leaving)

    def end(self, sock: socket.socket, answer: bytes = b"") -> None:
        """Sends as much of `answer` as the socket takes at once, and ends the connection in order."""
        try:
            sock.setblocking(False)
            if answer:
                sock.send(answer)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            sock.close()
            return
        if len(self._leaving) >= COUNT_MAX:
            self._close(next(iter(self._leaving)))
        timer = self._loop.call_later(LINGER_S, self._close, sock)
        self._leaving[sock] = _Leaving(timer)
        self._loop.add_reader(sock.fileno(), self._drop, sock)

    def stop(self) -> None:
        """Closes all at once."""
        for sock in list(self._leaving):
            self._close(sock)

    def _drop(self, sock: socket.socket) -> None:
        leaving = self._leaving[sock]
        with suppress(OSError):
            data = sock.recv(_READ_BYTES)
            leaving.left -= len(data)
            if data and leaving.left > 0:
                return
        self._close(sock)

    def _close(self, sock: socket.socket) -> None:
        self._leaving.pop(sock).timer.cancel()
        self._loop.remove_reader(sock.fileno())
        sock.close()


class _Leaving:
    """One connection: how many bytes it may still send, and until when."""

    __slots__ = ("left", "timer")

    def __init__(self, timer: asyncio.TimerHandle) -> None:
        self.left = BYTES_MAX
        self.timer = timer
