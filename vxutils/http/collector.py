"""What llhttp reads, kept until the parser takes it.

llhttp (by httptools) calls a `Collector` for every piece that it recognises. The collector is apart from the
parser, so that parser, llhttp and collector make no reference cycle: a closed connection is freed without the
garbage collector. Owned by one parser.
"""

from __future__ import annotations

import httptools


class Collector:
    """One message: its target, headers and the pieces of its body."""

    __slots__ = (
        "body_size",
        "headers",
        "headers_count",
        "headers_max",
        "is_complete",
        "is_head_complete",
        "pieces",
        "target",
    )

    def __init__(self, headers_max: int) -> None:
        self.headers_max = headers_max
        self.begin()

    def begin(self) -> None:
        """Forget the last message."""
        self.target = b""
        self.headers: list[tuple[str, str]] = []
        self.headers_count = 0
        """All that came; those beyond `headers_max` are counted, not kept."""
        self.pieces: list[bytes] = []
        self.body_size = 0
        self.is_head_complete = False
        self.is_complete = False

    def on_url(self, piece: bytes) -> None:
        if not self.is_head_complete:  # else a trailer
            self.target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers_count += 1
        # No exception here: one that goes through llhttp leaves a reference cycle behind.
        if self.headers_count <= self.headers_max and not self.is_head_complete:  # else a trailer
            self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        self.is_head_complete = True

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)
        self.body_size += len(piece)

    def on_message_complete(self) -> None:
        self.is_complete = True


def new_llhttp(collector: Collector) -> httptools.HttpRequestParser:
    """A parser at the beginning of a message."""
    llhttp = httptools.HttpRequestParser(collector)
    # Whether anything is read after `Connection: close` is decided by the connection.
    llhttp.set_dangerous_leniencies(lenient_keep_alive=True)
    return llhttp
