"""The operator's line console: one command per line, plain text out, no greeting, no prompt.

    balance get 7\\n  ->  commands["balance"](["get", "7"])  ->  its text, ended by a newline

It knows no command but `help`; the owner gives it a table. Nobody is authenticated, so it belongs on a
loopback or unix address. Source: protocol.md 10.5.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from vxnet.address import Address
from vxnet.errors import PeerError
from vxnet.server import BaseHandler, Server, ServerLimits

if TYPE_CHECKING:
    import asyncio

    from vxnet.session import Session

__all__ = ["ANSWER_CHARACTERS_MAX", "LINE_BYTES_MAX", "Command", "Console"]

Command = Callable[[list[str]], str]
"""Takes the words after its name, returns the text to show. What it raises is our own fault, not caught."""

LINE_BYTES_MAX: Final = 4096
ANSWER_CHARACTERS_MAX: Final = 1 << 20
"""A longer answer (a list of all balances) is cut at a line and says so."""

_OUTPUT_BUFFERS_MAX: Final = 2048
"""Times LINE_BYTES_MAX = 8 MiB unsent per session: two full answers of four-byte characters."""

_SESSIONS_MAX: Final = 64


class Console:
    """Serves `commands` on one address, between `start` and `stop`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, address: Address, commands: Mapping[str, Command]
    ) -> None:
        limits = ServerLimits(
            max_pkg_size=LINE_BYTES_MAX, buf_limit=_OUTPUT_BUFFERS_MAX, connections_max=_SESSIONS_MAX
        )
        self._server = Server(loop, [address], _Lines(commands), limits)

    @property
    def bound(self) -> Address:
        """Where it listens, with the real port."""
        return self._server.bound[0]

    def start(self) -> None:
        """Begins to listen. Raises: OSError or AddressError naming the address."""
        self._server.start()

    def stop(self) -> None:
        """Closes all sessions and the listener."""
        self._server.stop()


def answer(commands: Mapping[str, Command], line: str) -> str:
    """What one line (without newline) gets; empty for an empty line or unbalanced quotes.

    Source: protocol.md 10.5.
    """
    try:
        words = shlex.split(line)
    except ValueError:
        return ""
    if not words:
        return ""
    name, *rest = words
    if name in commands:
        text = commands[name](rest)
    elif name == "help":
        text = "\n".join(sorted({*commands, "help"}))
    else:
        text = "command not found"
    return _bounded(text if text.endswith("\n") else text + "\n")


def _bounded(text: str) -> str:
    if len(text) <= ANSWER_CHARACTERS_MAX:
        return text
    end = text.rfind("\n", 0, ANSWER_CHARACTERS_MAX)
    end = ANSWER_CHARACTERS_MAX if end < 0 else end
    return f"{text[:end]}\n(cut here: the answer has {len(text)} characters, shown are {end})\n"


class _Lines(BaseHandler):
    """Cuts the input into lines and answers them in order."""

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = commands

    def received(self, session: Session, data: bytes) -> int:
        consumed = 0
        while (end := data.find(b"\n", consumed)) >= 0:
            if end - consumed >= LINE_BYTES_MAX:
                raise PeerError(f"console line longer than {LINE_BYTES_MAX} bytes")
            text = answer(self._commands, data[consumed:end].decode("utf-8", "replace"))
            consumed = end + 1
            if text:
                session.send(
                    text.encode()
                )  # at once: the limit on unsent output stops who asks and never reads
            if not session.is_open:
                break
        return consumed
