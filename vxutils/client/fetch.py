"""One blocking HTTP GET whose time and size are bounded as a whole, for a thread that may wait.

    look up, connect, (TLS), send, receive: each step may take what is left until the deadline

No redirects, no proxies, no kept connections; the status is not judged. (The standard library's clients bound
each read, not the call: a server that sends a byte now and then holds them for ever.) Only the look-up of a
host name can take longer than the deadline.

Source: RFC 9112.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import httptools

HEAD_BYTES_MAX: Final = 64 * 1024
_READ_BYTES: Final = 64 * 1024
_PORTS: Final = {"http": 80, "https": 443}


class FetchFailed(Exception):
    """The server's answer is no HTTP, too long, or ends early."""


def fetch(
    url: str, headers: Sequence[tuple[str, str]], deadline: float, body_bytes_max: int, ca: str | None = None
) -> bytes:
    """The body of the answer. `deadline` is monotonic time, in seconds. `ca`: file of the authorities that
    are trusted for `https` (None: those of the system).

    Header values go out in UTF-8 and must be free of control characters.
    Raises: TimeoutError, OSError (ssl.SSLError included), FetchFailed.
    """
    parts = urlsplit(url)
    host = parts.hostname
    assert host is not None and parts.scheme in _PORTS, "the settings were checked"
    port = parts.port or _PORTS[parts.scheme]
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"GET {target} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in headers]
    text = "\r\n".join(lines)
    assert len(text.splitlines()) == len(lines), "a line end in a header"
    with socket.create_connection((host, port), _left_s(deadline)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme == "http":
            return _talk(plain, f"{text}\r\n\r\n".encode(), deadline, body_bytes_max)
        plain.settimeout(_left_s(deadline))
        context = ssl.create_default_context(cafile=ca)
        with context.wrap_socket(plain, server_hostname=host) as secured:
            return _talk(secured, f"{text}\r\n\r\n".encode(), deadline, body_bytes_max)


def _talk(sock: socket.socket, request: bytes, deadline: float, body_bytes_max: int) -> bytes:
    answer = _Answer(body_bytes_max)
    sock.settimeout(_left_s(deadline))
    sock.sendall(request)
    while True:
        sock.settimeout(_left_s(deadline))
        body = answer.receive(sock.recv(_READ_BYTES))
        if body is not None:
            return body


class _Answer:
    """Collects one answer."""

    def __init__(self, body_bytes_max: int) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body_bytes_max = body_bytes_max
        self._body = b""
        self._head_bytes = 0
        self._is_delimited = False
        self._is_in_body = False
        self._is_complete = False

    def receive(self, data: bytes) -> bytes | None:
        """The body once it is whole. Raises: FetchFailed."""
        if not data:
            if self._is_in_body and not self._is_delimited:
                return self._body  # the end of the connection was the end of the body
            raise FetchFailed("the server closed the connection")
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise FetchFailed(f"the answer is not HTTP: {error}") from None
        if not self._is_in_body:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                raise FetchFailed(f"the head of the answer is longer than {HEAD_BYTES_MAX} bytes")
        if len(self._body) > self._body_bytes_max:
            raise FetchFailed(f"the answer is longer than {self._body_bytes_max} bytes")
        return self._body if self._is_complete else None

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._is_delimited |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        self._is_in_body = self._parser.get_status_code() >= 200  # 1xx is only an interim answer

    def on_body(self, data: bytes) -> None:
        if len(self._body) <= self._body_bytes_max:
            self._body += data

    def on_message_complete(self) -> None:
        self._is_complete |= self._is_in_body


def _left_s(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("no answer in time")
    return left_s
