"""Bounds of an HTTP server, all in one value."""

from __future__ import annotations

from typing import Final

import msgspec

KIB: Final = 1024


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one client may take of us. Times in seconds. Source: protocol 8.2, 10.3; RFC 9112."""

    head_bytes_max: int = 80 * KIB
    """Request line and headers, and also what chunked encoding adds to a body (protocol 8.2); then 431."""
    headers_max: int = 100
    """Header lines, trailers included; then 431."""
    target_bytes_max: int = 8 * KIB
    """Path and query; then 414."""
    body_bytes_max: int = 1024 * KIB
    """A body, once joined; then 413."""
    head_timeout_s: float = 10.0
    """From the first byte of a request to the end of its head; then 408."""
    body_timeout_s: float = 30.0
    """From the end of the head to the end of the body; then 408."""
    keep_alive_s: float = 75.0
    """A connection without a request or an answer under way is closed after this; 0 = never."""
    send_timeout_s: float = 30.0
    """A client that takes nothing of a waiting answer for this long is closed."""
    pipeline_max: int = 64
    """Requests of one connection without an answer; no further one is read until the first is answered."""
    output_bytes_max: int = 8 * 1024 * KIB
    """Answers that a client has not taken yet; more closes the connection. 0 = unlimited."""
    connections_max: int = 20_000
    """Open connections, 0 = unlimited; more are accepted and closed at once."""
    read_mem: int = 0
    """SO_RCVBUF in bytes; 0 = as the system has it."""
    write_mem: int = 0
    """SO_SNDBUF in bytes; 0 = as the system has it."""
