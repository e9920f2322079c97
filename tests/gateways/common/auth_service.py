"""A fake authentication service: real sockets, each answer written by the test."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.support.certificates import Pair

Script = Callable[[bytes, socket.socket], None]


class AuthService:
    """`requests` are the heads as they came. The script writes to the socket, which is closed after it."""

    def __init__(self, script: Script, pair: Pair | None = None) -> None:
        self.requests: list[bytes] = []
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self._scheme = "http" if pair is None else "https"
        self._context: ssl.SSLContext | None = None
        if pair is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(pair.certificate, pair.key)
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path: str) -> str:
        host = "127.0.0.1" if self._context is None else "localhost"
        return f"{self._scheme}://{host}:{self._listener.getsockname()[1]}{path}"

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(10)
        with suppress(OSError):
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            with sock:
                head = b""
                while b"\r\n\r\n" not in head:
                    data = sock.recv(65536)
                    if not data:
                        return
                    head += data
                self.requests.append(head)
                self._script(head, sock)


def answering(body: bytes, status: str = "200 OK", extra: str = "") -> Script:
    """Answers everybody alike."""

    def script(head: bytes, sock: socket.socket) -> None:
        lines = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
        sock.sendall(lines.encode() + body)

    return script


@contextmanager
def auth_service(script: Script, pair: Pair | None = None) -> Iterator[AuthService]:
    service = AuthService(script, pair)
    try:
        yield service
    finally:
        service.stop()
