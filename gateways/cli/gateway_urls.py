"""Where the two gateways are: the URL of one from that of the other, and whether it is on this machine.

The packaged settings have the websocket PORT_DISTANCE above HTTP, `--port-offset` moves both.
"""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit, urlunsplit

HTTP_URL: Final = "http://127.0.0.1:8080"
WEBSOCKET_URL: Final = "ws://127.0.0.1:8090"
PORT_DISTANCE: Final = 10

_HTTP: Final = ("http", "https")
_WEBSOCKET: Final = ("ws", "wss")


def with_scheme(url: str, schemes: tuple[str, str]) -> str:
    """The URL with the plain or the secure one of `schemes`, as it was. Raises: ValueError."""
    given = _HTTP if schemes == _WEBSOCKET else _WEBSOCKET
    scheme, colon, rest = url.partition("://")
    if not colon or scheme not in given:
        raise ValueError(f"a URL begins with {given[0]}:// or {given[1]}:// here, but this is {url}")
    return f"{schemes[given.index(scheme)]}://{rest}"


def websocket_beside(http_url: str) -> str:
    """The websocket gateway that belongs to this HTTP gateway, by default. Raises: ValueError."""
    return _moved(with_scheme(http_url, _WEBSOCKET), PORT_DISTANCE)


def http_beside(websocket_url: str) -> str:
    """The HTTP gateway that belongs to this websocket gateway. Raises: ValueError."""
    return _moved(with_scheme(websocket_url, _HTTP), -PORT_DISTANCE)


def is_on_this_machine(url: str) -> bool:
    """Whether the host is `localhost` or a loopback address; no name is looked up. Raises: ValueError."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _moved(url: str, distance: int) -> str:
    parts = urlsplit(url)
    if parts.port is None or not parts.hostname:
        return url  # behind a proxy: one place for both
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return urlunsplit((parts.scheme, f"{host}:{parts.port + distance}", "", "", ""))
