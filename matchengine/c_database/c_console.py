"""The console of the C engine: its counters, what it has still to write, and the order to make a slice.

What it prints is taken literally. A line more, a line less or another word is not understood, and nothing is
guessed. Each call opens a connection. Source: protocol.md 10.5.
"""

from __future__ import annotations

import socket
import time
from typing import Final

import msgspec

from vxnet.address import Address

ANSWER_BYTES_MAX: Final = 64 * 1024
TIMEOUT_S: Final = 5.0
_UNKNOWN: Final = b"end-of-answer"  # no command of it: what it says to that ends the answer before it
_UNKNOWN_ANSWER: Final = b"command not found"
SHOWN_CHARACTERS_MAX: Final = 300

# Line for line, as the C engine prints them; one of them has no colon.
STATUS_LINES: Final = (
    ("order_id", "order last ID: "),
    ("deal_id", "deals last ID: "),
    ("operation_id", "operlog last ID: "),
    ("operlog_pending", "operlog pending: "),
    ("history_pending", "history pending "),
    ("deals_pending", "message deals pending: "),
    ("orders_pending", "message orders pending: "),
    ("balances_pending", "message balances pending: "),
)


class ConsoleError(Exception):
    """The console does not answer, or says what is not understood. The text is a sentence."""


class Status(msgspec.Struct, frozen=True):
    """What `status` says: the last ids, and how much waits to be written where."""

    order_id: int
    deal_id: int
    operation_id: int
    operlog_pending: int
    history_pending: int
    deals_pending: int
    orders_pending: int
    balances_pending: int

    @property
    def ids(self) -> tuple[int, int, int]:
        """Operation, order and deal id."""
        return self.operation_id, self.order_id, self.deal_id

    @property
    def waiting(self) -> str:
        """What is pending, in words; empty if nothing is."""
        names = [(name, prefix) for name, prefix in STATUS_LINES if name.endswith("pending")]
        return ", ".join(
            f"{prefix.rstrip(': ')} {getattr(self, n)}" for n, prefix in names if getattr(self, n)
        )


def parse_status(text: str) -> Status:
    """Raises: ConsoleError, which shows what was said."""
    lines = text.splitlines()
    if len(lines) != len(STATUS_LINES):
        raise _not_understood("status", text, f"it has {len(lines)} lines, not {len(STATUS_LINES)}")
    found: dict[str, int] = {}
    for line, (name, prefix) in zip(lines, STATUS_LINES, strict=True):
        number = line.removeprefix(prefix)
        if not line.startswith(prefix) or not (number.isascii() and number.isdecimal()):
            raise _not_understood("status", text, f"'{prefix}' and a number were expected, not '{line}'")
        found[name] = int(number)
    return Status(**found)


class CConsole:
    """The console at `address`."""

    def __init__(self, address: Address, timeout_s: float = TIMEOUT_S) -> None:
        self.address = address
        self._timeout_s = timeout_s

    def status(self) -> Status:
        """Raises: ConsoleError."""
        return parse_status(self._ask("status"))

    def make_slice(self) -> None:
        """Asks for a slice, which is begun at once and takes as long as it takes. Raises: ConsoleError."""
        said = self._ask("makeslice")
        if said != "OK":
            raise _not_understood("makeslice", said, "'OK' was expected")

    def _ask(self, command: str) -> str:
        deadline = time.monotonic() + self._timeout_s
        data = b""
        try:
            with socket.socket(self.address.family, self.address.socktype) as sock:
                sock.settimeout(self._timeout_s)
                sock.connect(self.address.sockaddr())
                sock.sendall(command.encode() + b"\n" + _UNKNOWN + b"\n")
                while not data.rstrip().endswith(_UNKNOWN_ANSWER):
                    sock.settimeout(max(0.001, deadline - time.monotonic()))
                    part = sock.recv(4096)
                    data += part
                    if not part or len(data) > ANSWER_BYTES_MAX:
                        raise _not_understood(command, data.decode(errors="replace"), "its end did not come")
        except TimeoutError:
            raise ConsoleError(f"the console at {self.address} did not answer `{command}` in time") from None
        except OSError as error:
            raise ConsoleError(f"the console at {self.address} can not be asked: {error}") from None
        return data.rstrip().removesuffix(_UNKNOWN_ANSWER).decode(errors="replace").rstrip("\n")


def refuses(address: Address, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether nobody listens there: a connection is refused. No answer at all is no such sign."""
    with socket.socket(address.family, address.socktype) as sock:
        sock.settimeout(timeout_s)
        try:
            sock.connect(address.sockaddr())
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:
            return False
    return False


def _not_understood(command: str, said: str, why: str) -> ConsoleError:
    shown = said[:SHOWN_CHARACTERS_MAX]
    return ConsoleError(
        f"what the console answered `{command}` is not understood: {why}. It is not the console of a C "
        f"engine, or of another version. It said: {shown!r}"
    )
