"""One connection as the gateway sees it: who it is for, and what is to be sent over it.

    connection opened -> Client -> bind(identity) ... unbind() -> connection closed

Data only; it is made and changed by `front`. `WsConnection.state` points to it. What it is subscribed to is
known by `subscriptions`.

Source: protocol.md 9.9 (a connection is bound to one user at a time).
"""

from __future__ import annotations

from gateways.accessws.outgoing import Outgoing
from gateways.common.authentication import Identity
from vxutils.ws import WsConnection


class Client:
    """One connection. `user_id` 0: not authenticated; `source` is what the client called itself."""

    __slots__ = ("connection", "identity", "in_flight", "is_authenticating", "outgoing", "source", "user_id")

    def __init__(self, connection: WsConnection, outgoing: Outgoing) -> None:
        self.connection = connection
        self.outgoing = outgoing
        self.user_id = 0
        self.source = ""
        self.in_flight = 0
        """Queries that wait for a backend."""
        self.identity: Identity | None = None
        self.is_authenticating = False
        """An answer of the authenticator is awaited."""

    @property
    def is_read_only(self) -> bool:
        return self.identity is not None and self.identity.is_read_only

    def bind(self, identity: Identity, source: str) -> None:
        """The connection speaks for this user from now on."""
        self.identity = identity
        self.user_id = identity.user_id
        self.source = source

    def unbind(self) -> None:
        """The connection speaks for nobody any more: its token was revoked, or has expired."""
        self.identity = None
        self.user_id = 0
        self.source = ""
