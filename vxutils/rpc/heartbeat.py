"""The heartbeat of the raw RPC: its body (a list of TLVs) and what silence means.

A heartbeat is a packet of command 0. Its body is a list of

    | type u16 | length u16 | value, `length` bytes |      all little-endian

with one known type, 1: how many milliseconds of silence the sender wants to be allowed (u32).
Unknown types are skipped. Codec and rules only: who watches the clock is `server` and `client`.

Source: protocol.md 1.8.
"""

from __future__ import annotations

import enum
import struct

import msgspec

HEARTBEAT_COMMAND = 0
TIMEOUT_MIN_S = 2.0
TIMEOUT_MAX_S = 600.0
TIMEOUT_DEFAULT_S = 3.0
PERIOD_S = 1.0  # between two heartbeats of a client, and between two checks of a server

_TYPE_TIMEOUT = 1
_FIELD = struct.Struct("<HH")
_TIMEOUT = struct.Struct("<I")


class HeartbeatError(ValueError):
    """The body of a heartbeat is not a list of TLVs; the session that sent it is closed."""


def encode_heartbeat(timeout_ms: int) -> bytes:
    """The body of a heartbeat which asks for a timeout of `timeout_ms` (0..2^32-1)."""
    return _FIELD.pack(_TYPE_TIMEOUT, _TIMEOUT.size) + _TIMEOUT.pack(timeout_ms)


def decode_heartbeat(body: bytes) -> int | None:
    """The timeout in milliseconds (not clamped) that a heartbeat asks for; None if it names none.

    A zero-length TLV at the end is legal here; the C system refuses it by a misread length
    (protocol.md 12.1 number 12). Of several timeouts the last one counts.

    Raises: HeartbeatError.
    """
    timeout_ms: int | None = None
    position = 0
    while position < len(body):
        if len(body) - position < _FIELD.size:
            raise HeartbeatError("heartbeat option cut short")
        kind, length = _FIELD.unpack_from(body, position)
        position += _FIELD.size
        if len(body) - position < length:
            raise HeartbeatError("heartbeat option cut short")
        if kind == _TYPE_TIMEOUT:
            if length != _TIMEOUT.size:
                raise HeartbeatError(f"heartbeat timeout of {length} bytes, not {_TIMEOUT.size}")
            (timeout_ms,) = _TIMEOUT.unpack_from(body, position)
        position += length
    return timeout_ms


class HeartbeatMode(enum.Enum):
    """What keeps a session alive in the eyes of a server."""

    OFF = "off"
    """Silence is never punished."""
    ANY_TRAFFIC = "any_traffic"
    """Whatever arrives is a sign of life."""
    HEARTBEATS_ONLY = "heartbeats_only"
    """Only heartbeats are, requests are not: the rule of the C system."""


class HeartbeatPolicy(msgspec.Struct, frozen=True):
    """When a server gives up on a silent session. All values in seconds.

    `timeout_s` holds until a heartbeat of the session names another, which is clamped to
    `timeout_min_s`..`timeout_max_s`; silence is looked for every `check_s`.
    """

    mode: HeartbeatMode = HeartbeatMode.ANY_TRAFFIC
    timeout_s: float = TIMEOUT_DEFAULT_S
    check_s: float = PERIOD_S
    timeout_min_s: float = TIMEOUT_MIN_S
    timeout_max_s: float = TIMEOUT_MAX_S

    def clamp(self, timeout_s: float) -> float:
        """`timeout_s` moved into the allowed range."""
        return min(max(timeout_s, self.timeout_min_s), self.timeout_max_s)
