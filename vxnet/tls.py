"""TLS under a stream session: something that looks like the session's socket and encrypts.

    session.recv_into <-- plain text <-- SSLObject <-- ciphertext <-- socket
    session.send -------> plain text --> SSLObject --> ciphertext --> socket

    listener:   layer = TlsLayer(loop, certificate, handshake_timeout_s);  layer.start() ... layer.stop()
    connection: StreamSession(loop, layer.wrap(sock), ...)        nothing else in the session changes

Laws:

* `send` says "taken" for what the kernel has taken. Bytes that are encrypted but not gone are asked for
  again, as with SSL_write, so a session's bound on unsent output counts them, and we hold one chunk at most.
* `recv_into` decrypts all that it reads: nothing is left here that epoll would not report.
* A client that breaks TLS, speaks plain text, or does not finish the handshake in time is closed, and that is
  logged once a second at most. The end of the connection without close_notify is an end like any other: HTTP
  and websocket messages say themselves whether they are whole.

No renegotiation, no compression, TLS 1.2 and later. A certificate that is read again counts for connections
that come after that. Owns the ciphertext under way; which bytes mean what is the session's.

Source: RFC 8446 (6.1 close_notify), RFC 9325.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from vxnet.clock import OncePer
from vxnet.timer import Timer

RECORD_BYTES_MAX: Final = 16_384 + 2_048 + 5
"""One record with its head, at most. Source: RFC 5246 6.2.3."""

CHUNK_BYTES: Final = 64 * 1024
"""Plain text encrypted at once; what a slow client makes us hold beyond the session's own output."""

UNASKED_BYTES_MAX: Final = 64 * 1024
"""Ciphertext that answers the client's own handshake messages (key updates, say) and that he leaves."""

HANDSHAKE_TIMEOUT_S: Final = 10.0
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; 1.3 has only good ones. Source: RFC 9325 4.2."""

PROTOCOL: Final = "http/1.1"
"""The only one we offer by ALPN (RFC 7301); websocket begins as HTTP/1.1 too."""

_log = logging.getLogger("vx.vxnet.tls")


class TlsUnusable(Exception):
    """A certificate and key can not be used; the text names the files and says why."""


class TlsCertificate:
    """A certificate chain and its key, both PEM files. `context` is what new connections use.

    Raises: TlsUnusable.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self.context = _load(certificate, key)

    def reload(self) -> None:
        """Read both files again. What can not be used is a fatal line, and the old ones stay in use."""
        try:
            self.context = _load(self._certificate, self._key)
        except TlsUnusable as error:
            _log.critical("the certificate in use stays: %s", error)
        else:
            _log.info("%s read again", self._certificate)


class TlsLayer:
    """What the connections of one server share: certificate, handshake timeout, log. One timer for all.

    `handshakes_failed` counts those that were never established, whoever's fault it was.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        certificate: TlsCertificate,
        handshake_timeout_s: float = HANDSHAKE_TIMEOUT_S,
    ) -> None:
        assert handshake_timeout_s > 0, "a handshake takes some time"
        self.handshakes_failed = 0
        self._loop = loop
        self._certificate = certificate
        self._timeout_s = handshake_timeout_s
        self._deadlines: dict[TlsSocket, float] = {}  # oldest first: all have the same timeout
        self._fault_log = OncePer(1.0)
        self._timer = Timer(loop, min(1.0, handshake_timeout_s / 4), self._end_overdue, repeat=True)

    def start(self) -> None:
        """Begin to look at handshakes that take too long."""
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    def wrap(self, sock: socket.socket) -> socket.socket:
        """What a stream session takes for its socket: it has the methods that a stream session uses. The
        non-blocking `sock` belongs to it. The handshake is done by the session's own reading."""
        secured = TlsSocket(self._loop, sock, self._certificate.context, self)
        self._deadlines[secured] = self._loop.time() + self._timeout_s
        return cast(socket.socket, secured)

    # ---- for its sockets

    def established(self, secured: TlsSocket) -> None:
        del self._deadlines[secured]

    def closed(self, secured: TlsSocket) -> None:
        if self._deadlines.pop(secured, None) is not None:
            self.handshakes_failed += 1

    def log_fault(self, peer: str, reason: str) -> None:
        suppressed = self._fault_log.suppressed
        if self._fault_log.allows(self._loop.time()):
            _log.info("peer: %s: %s (%d more before this)", peer, reason, suppressed)

    def _end_overdue(self) -> None:
        now = self._loop.time()
        overdue = []
        for secured, deadline in self._deadlines.items():
            if deadline > now:
                break
            overdue.append(secured)
        for secured in overdue:
            secured.give_up("no TLS handshake in time")


class TlsSocket:
    """The server's end of one TLS connection, with the methods of a socket that a stream session calls.

    Each may raise OSError as a socket's does; BlockingIOError is "not now". A fault of the peer is a
    ConnectionAbortedError whose text says what is wrong.
    """

    __slots__ = (
        "_ciphertext",
        "_failure",
        "_incoming",
        "_is_established",
        "_is_shut",
        "_layer",
        "_loop",
        "_object",
        "_outgoing",
        "_session_waits",
        "_socket",
        "_taken",
        "_watches",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, context: ssl.SSLContext, layer: TlsLayer
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._layer = layer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._ciphertext: bytes | memoryview = b""
        self._taken = 0  # bytes at the front of the next `send` which are encrypted already
        self._session_waits = False  # whether the session watches for writability, because `send` came short
        self._watches = False  # whether we do, for ciphertext that the session knows nothing of
        self._is_established = False
        self._is_shut = False
        self._failure = ""

    def fileno(self) -> int:
        return self._socket.fileno()

    # ---- reading

    def recv_into(self, buffer: memoryview) -> int:
        """Plain text; 0 at its end. `buffer` holds much more than one record."""
        if self._failure:
            raise ConnectionAbortedError(self._failure)
        room = len(buffer)
        assert room > 2 * RECORD_BYTES_MAX, "room for a record, and for the rest of one read before"
        count = self._socket.recv_into(buffer, room - RECORD_BYTES_MAX)
        if not count:
            return 0
        if self._is_shut:
            raise BlockingIOError  # we have said our last word: what comes now is for nobody
        self._incoming.write(buffer[:count])
        filled, has_ended = self._decrypt(buffer)
        if not self._is_established and self._object.version() is not None:
            self._is_established = True
            self._layer.established(self)
        self._flush_unasked()
        if has_ended:
            if not filled:
                return 0
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RD)  # the next read finds the end, whenever that is
        if not filled:
            raise BlockingIOError
        return filled

    def _decrypt(self, buffer: memoryview) -> tuple[int, bool]:
        """Bytes of plain text, and whether the client has said that they are the last ones."""
        filled = 0
        read = self._object.read
        try:
            while True:
                count = read(len(buffer) - filled, buffer[filled:])
                if not count:
                    return filled, True
                filled += int(count)
        except ssl.SSLWantReadError:
            return filled, False
        except ssl.SSLZeroReturnError:
            return filled, True
        except ssl.SSLError as error:
            raise self._fault(error) from None

    def _fault(self, error: ssl.SSLError) -> OSError:
        with suppress(OSError):
            self._flush()  # the alert that tells the client why
        words = (error.reason or str(error)).replace("_", " ").lower()
        return self._failed(f"broken TLS: {words}")

    def _failed(self, reason: str) -> OSError:
        self._failure = reason
        self._layer.log_fault(_peer(self._socket), reason)
        return ConnectionAbortedError(reason)

    # ---- writing

    def send(self, data: bytes | memoryview) -> int:
        """How many bytes are with the kernel; those behind them must be the next ones to be sent."""
        if not self._is_established or self._is_shut or self._failure:
            raise ConnectionAbortedError(self._failure or "nothing can be sent over TLS now")
        self._unwatch()
        self._session_waits = True
        if not self._flush():
            raise BlockingIOError
        view = memoryview(data)
        sent, self._taken = self._taken, 0
        assert sent <= len(view), "what was refused before comes again"
        while sent < len(view):
            count = self._object.write(view[sent : sent + CHUNK_BYTES])
            if not self._flush():
                self._taken = count
                if not sent:
                    raise BlockingIOError
                return sent
            sent += count
        self._session_waits = False
        return sent

    def _flush(self) -> bool:
        """Give the kernel all ciphertext there is; whether it took it."""
        while True:
            if not self._ciphertext:
                self._ciphertext = self._outgoing.read()
                if not self._ciphertext:
                    return True
            try:
                sent = self._socket.send(self._ciphertext)
            except BlockingIOError:
                return False
            self._ciphertext = memoryview(self._ciphertext)[sent:] if sent < len(self._ciphertext) else b""

    def _flush_unasked(self) -> None:
        """Send what reading has made: handshake messages, session tickets, answers to key updates."""
        if self._flush():
            return
        if self._outgoing.pending > UNASKED_BYTES_MAX:
            raise self._failed("the client takes nothing of the TLS handshake")
        if not self._session_waits and not self._watches:
            self._watches = True
            self._loop.add_writer(self._socket.fileno(), self._writable)

    def _writable(self) -> None:
        try:
            if self._flush():
                self._unwatch()
        except OSError:
            self._unwatch()  # the session finds the same error when it reads

    def _unwatch(self) -> None:
        if self._watches:
            self._watches = False
            self._loop.remove_writer(self._socket.fileno())

    # ---- the end

    def shutdown(self, how: int) -> None:
        """Tell the client in TLS that nothing more comes, then shut the socket down."""
        self._say_goodbye()
        self._socket.shutdown(how)

    def give_up(self, reason: str) -> None:
        """Have the session find this failure at its next reading, which is soon."""
        if not self._failure:
            self._failed(reason)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._unwatch()
        with suppress(OSError):
            self._say_goodbye()
        self._socket.close()
        self._layer.closed(self)

    def _say_goodbye(self) -> None:
        if self._is_shut or not self._is_established or self._failure:
            return
        self._is_shut = True
        with suppress(
            ssl.SSLError
        ):  # SSLWantReadError: the client has not said goodbye; we do not wait for it
            self._object.unwrap()
        self._flush()


def _peer(sock: socket.socket) -> str:
    try:
        return str(sock.getpeername() or "unix")
    except OSError:
        return "gone"


def _load(certificate: Path, key: Path) -> ssl.SSLContext:
    """Raises: TlsUnusable."""
    for path in (certificate, key):
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise TlsUnusable(f"{path} can not be read: {error.strerror}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols([PROTOCOL])
    try:
        # With a password to try nobody is asked for one at the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        words = str(reason).replace("_", " ").lower()
        raise TlsUnusable(
            f"{certificate} and {key} can not be used: {words} (PEM files, the key without a password)"
        ) from None
    return context
