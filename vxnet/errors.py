"""Errors of the network floor, by whose fault they are.

`AddressError` is the operator's (a wrong or taken address), `PeerError` is the peer's (that session is closed
and logged once). Our own faults are assertions and are not here: they leave the event loop and end the
process.
"""

from __future__ import annotations


class AddressError(ValueError):
    """An address that can not be understood or used; the text names the address and the rule."""


class AddressInUseError(AddressError):
    """Somebody else already listens on the address."""


class PeerError(Exception):
    """The peer broke a rule. A handler's `received` raises it to close the session for this reason."""


class BufferOverflowError(PeerError):
    """The peer does not read what it asked for: unsent output went over its bound."""
