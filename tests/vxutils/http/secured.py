"""A TLS client on a plain test client: every byte of ciphertext goes through the test's hands."""

from __future__ import annotations

import ssl
from pathlib import Path

from tests.vxutils.http.driving import Served


class TlsClient:
    """`piece` is how many bytes of ciphertext are sent at once; 0 = all that there are."""

    def __init__(
        self,
        served: Served,
        ca: Path,
        *,
        piece: int = 0,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        receive_buffer: int = 0,
    ) -> None:
        context = ssl.create_default_context(cafile=ca)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        self.plain = served.client(receive_buffer=receive_buffer)
        self.served = served
        self.received = b""
        self.has_ended = False  # by close_notify
        self._piece = piece
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    def shake_hands(self) -> TlsClient:
        """Raises: ssl.SSLError; ConnectionError when the server ends it."""
        while True:
            try:
                self.tls.do_handshake()
                self.push()
                return self
            except ssl.SSLWantReadError:
                self.push()
                self.pull_something()

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self.push()

    def push(self) -> None:
        data = self._outgoing.read()
        step = self._piece or max(1, len(data))
        for begin in range(0, len(data), step):
            self.plain.send(data[begin : begin + step])
            if self._piece:
                self.served.turn()

    def pull_something(self) -> None:
        plain = self.plain
        plain.until(lambda: plain.received or plain.ended)
        if not plain.received:
            raise ConnectionError("the server has ended the connection")
        self._take()

    def pull_until(self, size: int) -> bytes:
        """At least so many bytes of plain text, all there were."""
        while len(self.received) < size and not self.has_ended:
            self.pull_something()
        return self.received

    def to_the_end(self) -> bytes:
        while not self.has_ended:
            self.pull_something()
        return self.received

    def _take(self) -> None:
        self._incoming.write(self.plain.received)
        self.plain.received = b""
        if self.tls.version() is None:
            return
        try:
            while data := self.tls.read(1 << 16):
                self.received += data
            self.has_ended = True
        except ssl.SSLWantReadError:
            return
        except ssl.SSLZeroReturnError:
            self.has_ended = True
