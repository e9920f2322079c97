"""Bytes of one connection to requests, one at a time, strictly.

        feed(bytes) --> IDLE --first byte--> HEAD --blank line--> BODY --length or last chunk--> Request
                          ^-------------------------------------------------------------------------'

llhttp (by httptools) reads heads and chunks and is never given a byte behind the request it is reading: a
head, and the end of a chunked body, can only end in an empty line, so it is fed from one empty line to the
next, and a body of known length is counted here. So requests behind the current one stay plain bytes until
somebody asks for them, and `next_request` does work for one request only.

What can be read in two ways is refused: see `_framing`. Knows no socket, clock or answer; bounded by
`HttpLimits`. After a fault nothing more can be read. Source: RFC 9112; protocol 8.2.
"""

from __future__ import annotations

import enum
import re
from typing import Final

import httptools

from vxutils.http.collector import Collector, new_llhttp
from vxutils.http.limits import HttpLimits
from vxutils.http.messages import HttpFault, Request

CHUNK_OVERHEAD: Final = 8
"""Bytes of chunked encoding allowed per byte of body: a chunk of one byte takes 5, and some extension."""

_BLANK_LINE: Final = b"\r\n\r\n"
_BODY_LENGTH: Final = re.compile(r"[0-9]{1,19}")
_OTHER_VERSION: Final = re.compile(rb"[^\r\n]* HTTP/(?!1\.[01])[0-9]\.[0-9]")
_WATCHED: Final = frozenset(("connection", "content-length", "expect", "host", "transfer-encoding"))


class Phase(enum.Enum):
    """What the next byte belongs to."""

    IDLE = "no request begun"
    HEAD = "head"
    BODY = "body"


class RequestParser:
    """Made per connection. `peer` goes into the requests.

    `needs_host`: a request of HTTP/1.1 without Host is refused (RFC 9112 3.2). The C system does not look.
    """

    __slots__ = (
        "_body_left",
        "_collector",
        "_data",
        "_head",
        "_is_chunked",
        "_keep_alive",
        "_limits",
        "_llhttp",
        "_method",
        "_needs_host",
        "_overhead",
        "_peer",
        "_position",
        "_tail",
        "_upgrades",
        "_version",
        "expects_continue",
        "phase",
    )

    def __init__(self, limits: HttpLimits, peer: str, *, needs_host: bool) -> None:
        self._limits = limits
        self._peer = peer
        self._needs_host = needs_host
        self._data = b""
        self._position = 0
        self._collector = Collector(limits.headers_max)
        self._llhttp = new_llhttp(self._collector)
        self._begin()

    def feed(self, data: bytes) -> None:
        """Put data behind what is not read yet."""
        if self._position == len(self._data):
            self._data = data
        else:
            self._data = self._data[self._position :] + data
        self._position = 0

    def next_request(self) -> Request | None:
        """The next request, None when it is not whole yet. Raises: HttpFault; do not call again then."""
        if not self._read():
            self._data = b""  # all of it is read: an idle connection keeps no memory
            self._position = 0
            return None
        collector = self._collector
        pieces = collector.pieces
        request = Request(
            self._method,
            collector.target.decode("ascii", "replace"),
            self._version,
            collector.headers,
            pieces[0] if len(pieces) == 1 else b"".join(pieces),
            self._peer,
            self._keep_alive,
        )
        if self._upgrades:
            self._llhttp = new_llhttp(collector)
        self._begin()
        return request

    def _read(self) -> bool:
        if self.phase is not Phase.BODY and not self._read_head():
            return False
        return self._read_chunks() if self._is_chunked else self._read_counted_body()

    def _begin(self) -> None:
        self.phase: Phase = Phase.IDLE
        self._head = b""
        self._tail = b""
        self._method = ""
        self._version = "1.1"
        self._body_left = 0
        self._overhead = 0
        self._is_chunked = False
        self._keep_alive = True
        self.expects_continue = False
        """The client waits for `100 Continue` before it sends the body."""
        self._upgrades = False
        self._collector.begin()

    # ---- head

    def _read_head(self) -> bool:
        if not self._head:
            self._skip_empty_lines()
        limits = self._limits
        collector = self._collector
        while self._position < len(self._data):
            self.phase = Phase.HEAD
            piece = self._up_to_blank_line()
            self._head += piece
            if len(self._head) > limits.head_bytes_max:
                raise HttpFault(431, f"head larger than {limits.head_bytes_max} bytes")
            self._feed_llhttp(piece)
            if len(collector.target) > limits.target_bytes_max:
                raise HttpFault(414, f"target longer than {limits.target_bytes_max} bytes")
            if collector.is_head_complete:
                self._head_completed()
                return True
        return False

    def _skip_empty_lines(self) -> None:
        # RFC 9112 2.2: old clients send an empty line behind a body.
        if self._data[self._position : self._position + 1] in (b"\r", b"\n"):
            rest = self._data[self._position :]
            self._position += len(rest) - len(rest.lstrip(b"\r\n"))

    def _head_completed(self) -> None:
        self.phase = Phase.BODY
        self._tail = b""
        words = self._head[: self._head.index(b"\r\n")].split(b" ")
        if len(words) != 3:
            raise HttpFault(400, "request line is not method, target and version")
        method, _, version = words
        if version not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise HttpFault(505 if version.startswith(b"HTTP/") else 400, "not HTTP/1.0 or HTTP/1.1")
        if method == b"CONNECT":
            raise HttpFault(501, "CONNECT is not served")
        self._method = method.decode("ascii")
        self._version = version[5:].decode("ascii")
        watched: dict[str, list[str]] = {}
        for name, value in self._collector.headers:
            if name in _WATCHED:
                watched.setdefault(name, []).append(value)
        self._check_host(watched.get("host", ()))
        self._framing(watched)
        self._connection(",".join(watched["connection"]) if "connection" in watched else "")
        if "expect" in watched and self._version == "1.1":  # RFC 9110 10.1.1: ignored in 1.0
            expects = any(value.lower() == "100-continue" for value in watched["expect"])
            self.expects_continue = expects and (self._is_chunked or self._body_left > 0)
        if self._upgrades and (self._is_chunked or self._body_left):
            self._without_upgrade()

    def _check_host(self, hosts: list[str] | tuple[()]) -> None:
        if len(hosts) > 1:
            raise HttpFault(400, "several Host headers")
        if not hosts and self._needs_host and self._version == "1.1":
            raise HttpFault(400, "no Host header")

    def _framing(self, watched: dict[str, list[str]]) -> None:
        """Where the body ends. A proxy in front of us must not see another end, so doubt is refused."""
        codings = watched.get("transfer-encoding")
        lengths = watched.get("content-length")
        if codings is not None:
            if lengths is not None:
                raise HttpFault(400, "Transfer-Encoding and Content-Length")
            if len(codings) != 1 or codings[0].lower() != "chunked":
                raise HttpFault(400, "Transfer-Encoding other than chunked")
            if self._version == "1.0":
                raise HttpFault(400, "Transfer-Encoding in HTTP/1.0")
            self._is_chunked = True
        elif lengths is not None:
            if len(lengths) != 1 or not _BODY_LENGTH.fullmatch(lengths[0]):
                raise HttpFault(400, "invalid Content-Length")
            self._body_left = int(lengths[0])
            if self._body_left > self._limits.body_bytes_max:
                raise self._body_too_large()

    def _connection(self, options: str) -> None:
        if not options:
            self._keep_alive = self._version == "1.1"
            return
        tokens = {token.strip() for token in options.lower().split(",")}
        self._keep_alive = "close" not in tokens and (self._version == "1.1" or "keep-alive" in tokens)

    def _without_upgrade(self) -> None:
        """An offer to change the protocol is declined by ignoring it, but llhttp would stop at the body."""
        framing = (
            b"Transfer-Encoding: chunked" if self._is_chunked else b"Content-Length: %d" % self._body_left
        )
        self._llhttp = new_llhttp(self._collector)
        self._collector.is_complete = False
        self._collector.headers_count -= 1  # the one of the next line was counted already
        self._feed_llhttp(b"POST / HTTP/1.1\r\n" + framing + _BLANK_LINE)
        self._upgrades = False

    # ---- body

    def _read_counted_body(self) -> bool:
        left = self._body_left
        if left:
            piece = self._data[self._position : self._position + left]
            if not piece:
                return False
            self.expects_continue = False
            self._position += len(piece)
            self._body_left = left = left - len(piece)
            self._feed_llhttp(piece)
        return not left

    def _read_chunks(self) -> bool:
        limits = self._limits
        collector = self._collector
        while self._position < len(self._data):
            self.expects_continue = False
            before = collector.body_size
            piece = self._up_to_blank_line()
            self._feed_llhttp(piece)
            if collector.body_size > limits.body_bytes_max:
                raise self._body_too_large()
            self._overhead += len(piece) - (collector.body_size - before)
            if self._overhead > limits.head_bytes_max + CHUNK_OVERHEAD * collector.body_size:
                raise HttpFault(413, "more chunk heads and trailers than body")
            if collector.is_complete:
                return True
        return False

    def _body_too_large(self) -> HttpFault:
        return HttpFault(413, f"body larger than {self._limits.body_bytes_max} bytes")

    # ---- below

    def _up_to_blank_line(self) -> bytes:
        """The bytes up to and with the next empty line, which may come in pieces; or all there are."""
        data = self._data
        position = self._position
        tail = self._tail
        end = -1
        if tail:
            found = (tail + data[position : position + 3]).find(_BLANK_LINE)
            if found >= 0:
                end = position + found + 4 - len(tail)
        if end < 0:
            found = data.find(_BLANK_LINE, position)
            end = found + 4 if found >= 0 else -1
        if end < 0:
            piece = data[position:]
            self._tail = piece[-3:] if len(piece) >= 3 else (tail + piece)[-3:]
            self._position = len(data)
            return piece
        self._tail = b""
        self._position = end
        return data[position:end]

    def _feed_llhttp(self, piece: bytes) -> None:
        try:
            self._llhttp.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._upgrades = True
        except httptools.HttpParserCallbackError:
            raise  # the fault of the collector, not of the client
        except httptools.HttpParserInvalidMethodError:
            # A word may be a method that we do not know; anything else is not HTTP.
            is_word = self._head[:1].isalpha()
            raise HttpFault(501 if is_word else 400, "unknown method") from None
        except httptools.HttpParserError as error:
            status = 505 if self.phase is Phase.HEAD and _OTHER_VERSION.match(self._head) else 400
            raise HttpFault(status, str(error)) from None
        if self._collector.headers_count > self._limits.headers_max:
            raise HttpFault(431, f"more than {self._limits.headers_max} headers")
