"""The opening handshake: may this request become a websocket, and what is answered.

    head bytes --> read_request --> judge --> Accepted(answer, deflate) | Refused(status, sentence)

The checks and their order are those of the C system; what it answers with silence gets an HTTP error in plain
style. Strict where plain style can be: the key must be one, an origin is compared by whole host. Codec and
decision only: no socket, no clock but the one that dates answers.

Source: protocol 9.1; RFC 6455 4.2; RFC 7692 7.1.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec
from websockets.exceptions import InvalidHeaderFormat, NegotiationError
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension
from websockets.utils import accept_key

from vxnet.clock import Clock
from vxutils.http.limits import HttpLimits
from vxutils.http.messages import HttpFault, Request
from vxutils.http.parser import RequestParser
from vxutils.http.response import ResponseEncoder, http_date
from vxutils.ws.frames import WINDOW_BITS

VERSION: Final = "13"
CONNECTION_BYTES_MAX: Final = 1024
"""Of the Connection header. Source: protocol 9.1."""

KEY_BYTES: Final = 16

Headers = Sequence[tuple[str, str]]
"""Names in lower case, repeats included."""


def the_peer(peer: str, headers: Headers) -> str:
    """The client is who connected: headers are not believed."""
    return peer


class HandshakeRules(msgspec.Struct, frozen=True, kw_only=True):
    """Who may come in."""

    protocol: str = "chat"
    """The subprotocol: a client that names some must name this one; one that names none is welcome."""
    origins: tuple[str, ...] = ()
    """Whose pages may connect, empty for all. Plain style: an entry with `://` is a whole origin, any other
    is a host that stands for itself and the hosts below it (`evil-example.com` is not below `example.com`). C
    style: the Origin header must end with an entry. With entries, a client without Origin is refused."""
    deflate: bool = True
    """Whether permessage-deflate is granted to those who ask; never in C style."""
    client_address: Callable[[str, Headers], str] = the_peer
    """Address of the client, from the peer's and the headers: where to put the rule of trusted proxies."""


class Accepted(msgspec.Struct, frozen=True):
    """The handshake succeeds."""

    answer: bytes
    deflate: PerMessageDeflate | None
    """For the protocol: how compressed messages of the client are read. None: nothing is compressed."""


class Refused(msgspec.Struct, frozen=True):
    """The handshake fails; `headers` belong to an answer with this status."""

    status: int
    sentence: str
    headers: tuple[tuple[str, str], ...] = ()


_BLANK_LINE: Final = b"\r\n\r\n"
_UPGRADE: Final = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", VERSION))


def split_head(begun: bytes, data: bytes) -> tuple[bytes, bytes, bytes]:
    """What has begun and what has come: (still unfinished head, whole head, bytes behind it).

    Empty lines before a request are left out (RFC 9112 2.2).
    """
    text = begun + data if begun else data.lstrip(b"\r\n")
    end = text.find(_BLANK_LINE, max(0, len(begun) - len(_BLANK_LINE) + 1))
    if end < 0:
        return text, b"", b""
    end += len(_BLANK_LINE)
    return b"", text[:end], text[end:]


def joined(headers: Headers) -> dict[str, str]:
    """Headers by name, repeats joined. Source: RFC 9110 5.3."""
    by_name: dict[str, str] = {}
    for name, value in headers:
        by_name[name] = f"{by_name[name]}, {value}" if name in by_name else value
    return by_name


def read_request(head: bytes, peer: str) -> Request:
    """The request of a whole head, which ends in an empty line. Raises: HttpFault."""
    limits = HttpLimits(head_bytes_max=len(head), body_bytes_max=0)
    parser = RequestParser(limits, peer, needs_host=False)
    parser.feed(head)
    request = parser.next_request()
    if request is None:
        raise HttpFault(400, "a handshake has no body")
    return request


class Handshakes:
    """Judges the requests of one server and writes its answers."""

    def __init__(self, rules: HandshakeRules, clock: Clock, *, c_style: bool) -> None:
        self._rules = rules
        self._clock = clock
        self._is_c_style = c_style
        self._errors = ResponseEncoder(clock, c_style=c_style)

    def judge(self, request: Request) -> Accepted | Refused:
        """In the order of protocol 9.1."""
        refused = self._refusal(request)
        if refused is not None:
            return refused
        lines = []
        if self._is_c_style:
            lines.append("Content-Length: 0")  # RFC 9110 8.6 forbids it, the C system sends it
        lines.append(f"Sec-WebSocket-Accept: {accept_key(request.header('sec-websocket-key') or '')}")
        lines += ["Connection: Upgrade", "Upgrade: websocket"]
        if request.header("sec-websocket-protocol") is not None:
            lines.append(f"Sec-WebSocket-Protocol: {self._rules.protocol}")
        deflate = None
        if self._rules.deflate and not self._is_c_style:
            try:
                granted, deflate = _negotiate(request.header("sec-websocket-extensions"))
            except InvalidHeaderFormat:
                return Refused(400, "Sec-WebSocket-Extensions can not be read")
            if deflate is not None:
                lines.append(f"Sec-WebSocket-Extensions: {granted}")
        date = http_date(self._clock.wall_us() // 1_000_000, c_style=self._is_c_style)
        start = f"HTTP/1.1 101 Switching Protocols\r\nDate: {date}\r\n"
        return Accepted((start + "\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), deflate)

    def error(self, refused: Refused) -> bytes:
        """The answer that says why; in C style there is none."""
        if self._is_c_style:
            return b""
        headers = (("Content-Type", "text/plain; charset=utf-8"), *refused.headers)
        body = f"{refused.sentence}\n".encode()
        connection = "Upgrade, close" if refused.headers is _UPGRADE else "close"  # RFC 9110 7.8
        return self._errors.encode(refused.status, body, headers, connection=connection)

    def _refusal(self, request: Request) -> Refused | None:
        if request.method != "GET":
            return Refused(405, "a websocket begins with GET", (("Allow", "GET"),))
        if not request.header("host"):
            return Refused(400, "the Host header is missing")
        if request.version != "1.1":
            return Refused(400, "a websocket needs HTTP/1.1")
        if (request.header("upgrade") or "").lower() != "websocket":
            return Refused(426, "this is a websocket endpoint: Upgrade: websocket is missing", _UPGRADE)
        connection = request.header("connection") or ""
        options = [option.strip(" \t") for option in connection.lower().split(",")]
        if len(connection) > CONNECTION_BYTES_MAX or "upgrade" not in options:
            return Refused(400, "Connection: Upgrade is missing")
        if request.header("sec-websocket-version") != VERSION:
            return Refused(426, f"Sec-WebSocket-Version must be {VERSION}", _UPGRADE)
        key = request.header("sec-websocket-key")
        if key is None or not (self._is_c_style or _is_key(key)):
            return Refused(400, "Sec-WebSocket-Key must be 16 bytes in base64")
        offered = request.header("sec-websocket-protocol")
        if offered is not None and self._rules.protocol not in offered.replace(",", " ").split():
            return Refused(400, f"the subprotocol here is {self._rules.protocol}")
        if self._rules.origins and not self._admits(request.header("origin")):
            return Refused(403, "pages of this origin may not connect")
        return None

    def _admits(self, origin: str | None) -> bool:
        if origin is None:
            return False
        if self._is_c_style:
            return origin.endswith(self._rules.origins)
        origin = origin.lower()
        host = _host_of(origin)
        for entry in self._rules.origins:
            wanted = entry.lower()
            if "://" in wanted:
                if origin == wanted:
                    return True
            elif host and (host == wanted or host.endswith("." + wanted)):
                return True
        return False


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _negotiate(header: str | None) -> tuple[str, PerMessageDeflate | None]:
    """The first offer that fits frames shared by all clients. Raises: InvalidHeaderFormat."""
    for name, parameters in parse_extension(header) if header else ():
        if name != _deflate.name:
            continue
        try:
            granted, deflate = _deflate.process_request_params(parameters, ())
        except NegotiationError:
            continue
        if deflate.local_max_window_bits == WINDOW_BITS:  # else frames would have to be made for this client
            return build_extension([(name, granted)]), deflate
    return "", None


_deflate = ServerPerMessageDeflateFactory(
    # Shared frames leave no context, and an idle connection keeps no decompressor.
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=WINDOW_BITS,
    client_max_window_bits=WINDOW_BITS,
)
