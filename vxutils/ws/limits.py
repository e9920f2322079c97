"""Bounds of a websocket server, all in one value."""

from __future__ import annotations

from typing import Final

import msgspec

KIB: Final = 1024


class WsLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one client may take of us. Times in seconds. Source: protocol 9.2, 10.3; RFC 6455 10.4."""

    message_bytes_max: int = 1024 * KIB
    """A message from a client, once joined and inflated; then 1009, decided from the frame's header."""
    message_timeout_s: float = 30.0
    """From the first byte of a message to its last; then 1008."""
    messages_per_s: float = 0.0
    """Frames of one client, control frames included, in the long run; then 1008. 0 = unlimited."""
    messages_burst: int = 100
    """Frames that may come at once when the client was quiet before."""
    handshake_bytes_max: int = 16 * KIB
    """Request line and headers of the handshake; then 431."""
    handshake_timeout_s: float = 10.0
    """From the connection to the end of the handshake; then 408."""
    keep_alive_s: float = 3600.0
    """A connection that sent nothing for this long, pongs included, is closed with 1001; 0 = never."""
    ping_interval_s: float = 30.0
    """A client that sent nothing for this long gets a ping; one that then is silent for two more of these is
    gone. 0 = no pings (the C system sends none)."""
    output_bytes_max: int = 1024 * KIB
    """Frames that a client has not taken yet; more closes the connection with 1013. 0 = unlimited."""
    close_timeout_s: float = 5.0
    """How long a client may take to answer a close frame, and to close its socket after that."""
    connections_max: int = 20_000
    """Open connections, 0 = unlimited; more are accepted and closed at once."""
    read_mem: int = 0
    """SO_RCVBUF in bytes; 0 = as the system has it."""
    write_mem: int = 0
    """SO_SNDBUF in bytes; 0 = as the system has it."""
