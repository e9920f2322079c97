"""Where a client calls: `https://host:port/path`, `http://...`, or raw RPC such as `tcp@127.0.0.1:7316`.

Nothing is looked up or connected here. With https the server must prove by its certificate to be that host.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

import msgspec

from vxnet.address import parse_address
from vxnet.errors import AddressError
from vxutils.client.wires import HttpWire, RpcWire, Wire

PORTS: Final[Mapping[str, int]] = MappingProxyType({"http": 80, "https": 443})


class Place(msgspec.Struct, frozen=True):
    """A stream socket's address, tcp (`host`, `port`) or unix (`path`), and the protocol spoken there."""

    shown: str
    make_wire: Callable[[], Wire]
    is_rpc: bool
    host: str = ""
    port: int = 0
    path: str = ""
    tls: ssl.SSLContext | None = None


def parse_place(text: str, token: str | None, reply_bytes_max: int, ca: Path | None = None) -> Place:
    """`ca`: PEM file of the authorities that are trusted for https, None for those of the system.

    Raises: ValueError, a sentence; it never shows the token.
    """
    if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
        raise ValueError("a token is printable ASCII characters without spaces")
    if "://" in text:
        return _http(text, token, reply_bytes_max, ca)
    if token is not None:
        raise ValueError("a token is for http:// and https:// only: raw RPC has no authentication")
    if ca is not None:
        raise ValueError("a file of authorities is for https:// only")
    try:
        address = parse_address(text)
    except AddressError as error:
        raise ValueError(f"{error}; or http://host:port") from None
    if address.kind not in ("tcp", "stream"):
        raise ValueError(f"{address} is no stream socket: use tcp@ or stream@")
    return Place(
        str(address), lambda: RpcWire(reply_bytes_max), True, address.host, address.port, address.path
    )


def _http(text: str, token: str | None, reply_bytes_max: int, ca: Path | None) -> Place:
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("a URL is printable ASCII characters without spaces")
    try:
        parts = urlsplit(text)
        port = parts.port if parts.port is not None else PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise ValueError(f"the URL is not valid: {error}") from None
    if parts.scheme not in PORTS:
        raise ValueError(f"a URL begins with http:// or https://, not {parts.scheme}://")
    if ca is not None and parts.scheme != "https":
        raise ValueError("a file of authorities is for https:// only")
    if not parts.hostname or port == 0:
        raise ValueError(f"the URL {text} names no host and port")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL with a user or password in it is not taken: give a token")
    host = parts.hostname
    named = f"{_bracketed(host)}:{port}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(
        f"{parts.scheme}://{named}",
        lambda: HttpWire(named, target, token, reply_bytes_max),
        False,
        host,
        port,
        tls=_tls(ca) if parts.scheme == "https" else None,
    )


def _tls(ca: Path | None) -> ssl.SSLContext:
    """Raises: ValueError."""
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        reason = (
            error.strerror if error.strerror and not isinstance(error, ssl.SSLError) else "no certificates"
        )
        raise ValueError(f"{ca} can not be used: {reason}") from None


def _bracketed(host: str) -> str:
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host
