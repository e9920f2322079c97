"""What an HTTP client says, as values: a request, or a fault in what should have been one.

Knows no bytes on the wire (`parser`) and no connection.
"""

from __future__ import annotations

import msgspec


class Request(msgspec.Struct, frozen=True):
    """One whole request."""

    method: str
    """As received, e.g. `POST`; empty in what stands for a request that could not be read."""
    target: str
    """Path and query as received, undecoded."""
    version: str
    """`1.0` or `1.1`."""
    headers: list[tuple[str, str]]
    """Name in lower case, value without surrounding blanks; in the order received, repeats included."""
    body: bytes
    peer: str
    """The other end of the connection, as text; what a client says of itself in headers is not looked at."""
    keep_alive: bool = True
    """Whether the client wants the connection to stay open after the answer."""

    def header(self, name: str) -> str | None:
        """The value under this lower-case name; repeats joined with `, `; None when it was not sent.

        Source: RFC 9110 5.3.
        """
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None


class HttpFault(Exception):
    """The client broke a rule of HTTP or a limit of ours; nothing after it can be read.

    `status` is the right answer, `reason` says in words what is wrong.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
