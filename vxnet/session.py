"""One open conversation: bytes in to a handler, bytes out to the socket, both bounded.

    readable -> recv (once, <= 256 KiB) -> rest + new data -> handler.received -> new rest (< input_max)
    hold, hold, hold -> flush -> one send of everything held -> rest waits for writable (<= output_max)

`Session` is what owners see. `StreamSession` is tcp and unix stream, `SeqpacketSession` keeps messages whole
and passes descriptors; the session of a datagram client is in `datagram`. A session knows no framing:
`received` says how much it used. It makes no reference cycle, so that a closed one is freed without the
garbage collector (which the engine turns off); an owner that puts something into `data` which points back to
the session must clear it in `closed`.
"""

from __future__ import annotations

import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from vxnet.address import Kind
from vxnet.buffer import PacketOutput, StreamOutput
from vxnet.errors import BufferOverflowError, PeerError
from vxnet.passfd import receive_message, send_message
from vxnet.sock import in_words

if TYPE_CHECKING:
    import asyncio

    from vxnet.server import Server

READ_SIZE: Final = 256 * 1024
"""Bytes read from one socket before the others have their turn."""

CLOSED_BY_PEER: Final = "closed by peer"

_log = logging.getLogger("vx.vxnet.session")


class SessionOwner(Protocol):
    """What a session tells its server or client."""

    def received(self, session: Session, data: bytes) -> int: ...

    def received_descriptor(self, session: Session, descriptor: int, payload: bytes) -> None: ...

    def session_closed(self, session: Session, reason: str) -> None: ...


class Session(ABC):
    """A conversation with one peer; made by servers and clients.

    `id` is unique per server, from 1, and 0 once the session is closed (during `handler.closed` it still has
    its value). `peer` is the other end as text. `data` belongs to the owner. `server` is None on the client
    side.
    """

    __slots__ = (
        "_fd",
        "_is_open",
        "_is_paused",
        "_loop",
        "_output",
        "_owner",
        "_received",
        "_socket",
        "_waits_for_writable",
        "data",
        "id",
        "kind",
        "peer",
        "server",
    )
    _output: StreamOutput | PacketOutput

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, kind: Kind, peer: str, owner: SessionOwner
    ) -> None:
        self.id = 0
        self.kind: Kind = kind
        self.peer = peer
        self.data: object = None
        self.server: Server | None = None
        self._loop = loop
        self._socket = sock
        self._fd = sock.fileno()
        self._owner = owner
        self._received: Callable[[Session, bytes], int] = owner.received
        self._is_open = True
        self._is_paused = False
        self._waits_for_writable = False

    # ---- sending

    def send(self, data: bytes) -> None:
        """`hold` and `flush`."""
        self.hold(data)
        self.flush()

    def hold(self, data: bytes) -> None:
        """Put data behind what is already held; no system call. On a packet socket it stays one message."""
        if self._is_open:
            self._output.append(data)

    def flush(self) -> None:
        """Send what is held, in order. The session is closed here if more than `output_max` stays unsent."""
        if not self._is_open:
            return
        if not self._waits_for_writable:
            self._drain()
            return
        try:
            self._output.check()
        except BufferOverflowError as overflow:
            self.fault(str(overflow))

    def send_descriptor(self, descriptor: int, payload: bytes) -> None:
        """Pass a descriptor together with a non-empty payload; the caller keeps (and closes) its own."""
        raise AssertionError(f"a {self.kind} session can not pass descriptors")

    @property
    def pending_output(self) -> int:
        """Bytes held or not yet taken by the kernel."""
        return self._output.size

    # ---- life

    @property
    def is_open(self) -> bool:
        return self._is_open

    def start(self) -> None:
        """Begin to read. Called once by the server or client, after the owner has seen the session."""
        if self._is_open:
            self._loop.add_reader(self._fd, self._readable)

    def pause_reading(self) -> None:
        """Leave what the peer sends in the kernel, so that it has to wait, until `resume_reading`."""
        if self._is_open and not self._is_paused:
            self._is_paused = True
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        """Read again."""
        if self._is_open and self._is_paused:
            self._is_paused = False
            self._loop.add_reader(self._fd, self._readable)

    def close(self, reason: str) -> None:
        """Close and tell the owner, once; unsent output is dropped. Safe in any callback, and repeated."""
        if not self._is_open:
            return
        self._is_open = False
        if not self._is_paused:
            self._loop.remove_reader(self._fd)
        if self._waits_for_writable:
            self._loop.remove_writer(self._fd)
        self._before_socket_closes()
        self._socket.close()
        self._output.clear()
        self._owner.session_closed(self, reason)
        self.id = 0

    def fault(self, reason: str) -> None:
        """Close because the peer broke a rule: logged, once."""
        if self._is_open:
            _log.warning("peer: %s: %s", self.peer, reason)
            self.close(reason)

    # ---- for the kinds of session

    @abstractmethod
    def _readable(self) -> None:
        """Take what has arrived; called whenever the socket is readable."""

    @abstractmethod
    def _send_output(self) -> bool:
        """Give the kernel what it takes; True when nothing is left. Raises: BufferOverflowError, OSError."""

    def _before_socket_closes(self) -> None:
        """For what must go before the socket does; most kinds have nothing."""
        return

    def _drain(self) -> None:
        try:
            all_sent = self._send_output()
        except BufferOverflowError as overflow:
            self.fault(str(overflow))
            return
        except OSError as error:
            self.close(in_words(error))
            return
        if all_sent:
            if self._waits_for_writable:
                self._waits_for_writable = False
                self._loop.remove_writer(self._fd)
        elif not self._waits_for_writable:
            self._waits_for_writable = True
            self._loop.add_writer(self._fd, self._drain)


class StreamSession(Session):
    """tcp and unix stream. `scratch` is the reading space of the owner, shared by all its sessions."""

    __slots__ = ("_input_max", "_output", "_receive_into", "_rest", "_scratch")
    _output: StreamOutput

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        kind: Kind,
        peer: str,
        owner: SessionOwner,
        *,
        scratch: memoryview,
        input_max: int,
        output_max: int,
    ) -> None:
        super().__init__(loop, sock, kind, peer, owner)
        self._input_max = input_max
        self._output = StreamOutput(output_max)
        # One reused space: 1.3 us per read, against 1.2-11 us for recv(256 KiB), which allocates each time.
        self._scratch = scratch
        self._receive_into = sock.recv_into
        self._rest = b""

    def _send_output(self) -> bool:
        return self._output.drain(self._socket.send)

    def _readable(self) -> None:
        try:
            count = self._receive_into(self._scratch)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(in_words(error))
            return
        if not count:
            self.close(CLOSED_BY_PEER)
            return
        data = self._rest + self._scratch[:count]
        try:
            consumed = self._received(self, data)
        except PeerError as error:
            self.fault(str(error))
            return
        length = len(data)
        if consumed == length:
            self._rest = b""
            return
        assert 0 <= consumed < length, "a handler consumes between nothing and everything"
        if not self._is_open:
            return
        self._rest = data[consumed:]
        if length - consumed >= self._input_max:
            self.fault(f"packet larger than max_pkg_size {self._input_max}")


class SeqpacketSession(Session):
    """unix seqpacket: one message per readiness, handed over whole; what `received` returns is not used."""

    __slots__ = ("_input_max", "_output")
    _output: PacketOutput

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        peer: str,
        owner: SessionOwner,
        *,
        input_max: int,
        output_max: int,
    ) -> None:
        super().__init__(loop, sock, "seqpacket", peer, owner)
        self._input_max = input_max
        self._output = PacketOutput(output_max)

    def send_descriptor(self, descriptor: int, payload: bytes) -> None:
        if self._is_open:
            self._output.append(payload, descriptor)
            self.flush()

    def _send_output(self) -> bool:
        return self._output.drain(self._send_message)

    def _send_message(self, data: bytes, descriptor: int | None) -> None:
        send_message(self._socket, data, descriptor)

    def _readable(self) -> None:
        try:
            message = receive_message(self._socket, self._input_max)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(in_words(error))
            return
        if message.truncated:
            self.fault(f"packet larger than max_pkg_size {self._input_max}, or with several descriptors")
        elif message.descriptor is not None:
            self._owner.received_descriptor(self, message.descriptor, message.data)
        elif not message.data:
            self.close(CLOSED_BY_PEER)
        else:
            try:
                self._received(self, message.data)
            except PeerError as error:
                self.fault(str(error))
