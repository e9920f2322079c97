"""Where a client calls: `http://host:port/path`, or a raw RPC address such as `tcp@127.0.0.1:7316`.

Nothing is looked up or connected here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

from vxnet.address import parse_address
from vxnet.errors import AddressError
from vxutils.client.wires import HttpWire, RpcWire, Wire


class Place(msgspec.Struct, frozen=True):
    """A stream socket's address, tcp (`host`, `port`) or unix (`path`), and the protocol spoken there."""

    shown: str
    make_wire: Callable[[], Wire]
    is_rpc: bool
    host: str = ""
    port: int = 0
    path: str = ""


def parse_place(text: str, token: str | None, reply_bytes_max: int) -> Place:
    """Raises: ValueError, a sentence; it never shows the token."""
    if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
        raise ValueError("a token is printable ASCII characters without spaces")
    if "://" in text:
        return _http(text, token, reply_bytes_max)
    if token is not None:
        raise ValueError("a token is for http:// only: raw RPC has no authentication")
    try:
        address = parse_address(text)
    except AddressError as error:
        raise ValueError(f"{error}; or http://host:port") from None
    if address.kind not in ("tcp", "stream"):
        raise ValueError(f"{address} is no stream socket: use tcp@ or stream@")
    return Place(
        str(address), lambda: RpcWire(reply_bytes_max), True, address.host, address.port, address.path
    )


def _http(text: str, token: str | None, reply_bytes_max: int) -> Place:
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("a URL is printable ASCII characters without spaces")
    try:
        parts = urlsplit(text)
        port = parts.port if parts.port is not None else 80
    except ValueError as error:
        raise ValueError(f"the URL is not valid: {error}") from None
    if parts.scheme != "http":
        raise ValueError(f"a URL begins with http://, not {parts.scheme}:// (for TLS call a proxy of yours)")
    if not parts.hostname or port == 0:
        raise ValueError(f"the URL {text} names no host and port")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL with a user or password in it is not taken: give a token")
    host = parts.hostname
    named = f"{_bracketed(host)}:{port}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(
        f"http://{named}", lambda: HttpWire(named, target, token, reply_bytes_max), False, host, port
    )


def _bracketed(host: str) -> str:
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host
