"""What is served over websockets: the four things that happen to a connection.

All calls come from the loop, one at a time. Nothing here knows frames, sockets or what messages mean.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vxutils.ws.connection import WsConnection


class WsService(ABC):
    """The owner of a websocket server's conversations."""

    @abstractmethod
    def opened(self, connection: WsConnection) -> None:
        """The handshake is done; `connection.headers` can be read now and only now. It may be closed here."""

    @abstractmethod
    def received(self, connection: WsConnection, message: str | bytes) -> None:
        """One whole message: text as str (valid UTF-8), binary as bytes."""

    @abstractmethod
    def closed(self, connection: WsConnection, code: int, reason: str) -> None:
        """The connection takes nothing any more. Called once for each one that was opened.

        `code` is the one that ended it, ours or the client's (1005: it named none, 1006: the connection was
        lost). Never called inside `send` or `close` but from the loop, so that connections can be walked
        while sending; for those that `WsServer.stop` ends only if the loop runs on.
        """

    def drained(self, connection: WsConnection) -> None:
        """`pending_output` was above 0 after a send, and is 0 again."""
        return
