"""Socket addresses as text: `<type>@<address>`.

    tcp@127.0.0.1:7316    udp@[::1]:7316    stream@/run/vx.sock (also unix@)    dgram@...    seqpacket@...

Hosts are literals: nothing here asks a name server. Opening sockets is the business of `sock`.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Final, Literal, cast

import msgspec

from vxnet.errors import AddressError

Kind = Literal["tcp", "udp", "stream", "dgram", "seqpacket"]

UNIX_PATH_BYTES_MAX: Final = 107
"""Longest unix path in bytes: `sun_path` has 108 with its terminating zero."""

_SOCKTYPES: Final[dict[str, socket.SocketKind]] = {
    "tcp": socket.SOCK_STREAM,
    "udp": socket.SOCK_DGRAM,
    "stream": socket.SOCK_STREAM,
    "dgram": socket.SOCK_DGRAM,
    "seqpacket": socket.SOCK_SEQPACKET,
}
_INET_KINDS: Final = ("tcp", "udp")
_TEXT_SHOWN_MAX: Final = 200  # characters of a refused text that are worth repeating


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One socket address. Inet kinds have `host` and `port`, unix kinds have `path`."""

    kind: Kind
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_unix(self) -> bool:
        return self.kind not in _INET_KINDS

    @property
    def is_datagram(self) -> bool:
        """True where there are no connections: udp and dgram."""
        return self.socktype is socket.SOCK_DGRAM

    @property
    def family(self) -> socket.AddressFamily:
        if self.is_unix:
            return socket.AF_UNIX
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def socktype(self) -> socket.SocketKind:
        return _SOCKTYPES[self.kind]

    def sockaddr(self) -> tuple[str, int] | str:
        """The form that `bind` and `connect` take."""
        return self.path if self.is_unix else (self.host, self.port)

    def __str__(self) -> str:
        if self.is_unix:
            return f"{self.kind}@{self.path}"
        return f"{self.kind}@{_host_and_port(self.host, self.port)}"


def parse_address(text: str) -> Address:
    """Read an address.

    Raises: AddressError, a sentence naming the text and the rule it breaks.
    Source: protocol 1.6; ours are `unix@`, IPv6 in brackets, and decimal ports only (no `0x`, no octal).
    """
    kind, separator, rest = text.partition("@")
    kind = kind.lower()
    if kind == "unix":
        kind = "stream"
    if not separator or kind not in _SOCKTYPES:
        raise _refusal(
            text, "the form is tcp@, udp@, stream@, unix@, dgram@ or seqpacket@ and then the address"
        )
    if kind in _INET_KINDS:
        host, port = _parse_host_and_port(text, rest)
        return Address(kind=cast(Kind, kind), host=host, port=port)
    if not rest or "\0" in rest:
        raise _refusal(text, "a unix address needs a file path")
    if len(os.fsencode(rest)) > UNIX_PATH_BYTES_MAX:
        raise _refusal(text, f"a unix path has at most {UNIX_PATH_BYTES_MAX} bytes")
    return Address(kind=cast(Kind, kind), path=rest)


def format_peer(family: int, sockaddr: object) -> str:
    """The other end as text for logs: `ip:port`, `[ip]:port` or `unix:path` (a client's is usually empty)."""
    if family == socket.AF_UNIX:
        path = os.fsdecode(sockaddr) if isinstance(sockaddr, str | bytes) else ""
        return f"unix:{path}".replace("\0", "@")
    host, port = cast(tuple[str, int], sockaddr)[:2]
    return _host_and_port(host, port)


def _parse_host_and_port(text: str, rest: str) -> tuple[str, int]:
    host, separator, port_text = rest.rpartition(":")
    if not separator:
        raise _refusal(text, "a host and a port are needed, as in 127.0.0.1:7316")
    try:
        if host.startswith("[") and host.endswith("]"):
            if "%" in host:
                raise _refusal(text, "an IPv6 zone is not supported")
            host = str(ipaddress.IPv6Address(host[1:-1]))
        elif ":" in host:
            raise _refusal(text, "an IPv6 address is written in brackets, as in [::1]:7316")
        else:
            host = str(ipaddress.IPv4Address(host))
    except ipaddress.AddressValueError:
        raise _refusal(
            text, "the host must be a literal IPv4 address, or IPv6 in brackets; no host names"
        ) from None
    # A leading zero meant octal to the C system: better refused than read in another way.
    if not (port_text.isascii() and port_text.isdigit()) or (port_text[0] == "0" and port_text != "0"):
        raise _refusal(text, "the port must be a decimal number without leading zeros")
    if len(port_text) > 5 or int(port_text) > 65535:
        raise _refusal(text, "the port must be 0 to 65535")
    return host, int(port_text)


def _host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _refusal(text: str, rule: str) -> AddressError:
    shown = text if len(text) <= _TEXT_SHOWN_MAX else text[:_TEXT_SHOWN_MAX] + "..."
    return AddressError(f"address {shown!r}: {rule}")
