"""Replies on their way: held until what they rest on is durable, then sent in one piece per peer.

A `Receiver` is where the replies of a request go: a session, or the sender of one datagram. It also
carries the verdict on a peer that sent nonsense: what it asked before is still answered, what came after
is not, then it is closed. The outbox is emptied at the end of each turn, so it holds at most the replies
to one turn's requests.
"""

from __future__ import annotations

from typing import Protocol

from vxnet.datagram import Endpoint, Sender
from vxnet.session import Session


class Receiver(Protocol):
    """Where replies go. `is_faulty` once the peer broke a rule."""

    is_faulty: bool

    @property
    def peer(self) -> str: ...
    def fault(self, reason: str) -> None:
        """Marks the peer; it is dropped when the replies it still gets have been sent."""

    def send(self, replies: list[bytes]) -> None:
        """Sends replies in order, and acts on the verdict."""

    def wait(self) -> None:
        """Stops reading from the peer while requests of his wait for another turn."""

    def go_on(self) -> None:
        """Reads again."""


class SessionReceiver:
    """A connected peer."""

    __slots__ = ("_reason", "_session", "is_faulty")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reason = ""
        self.is_faulty = False

    @property
    def peer(self) -> str:
        return self._session.peer

    def fault(self, reason: str) -> None:
        self.is_faulty = True
        self._reason = reason

    def send(self, replies: list[bytes]) -> None:
        session = self._session
        if session.kind == "seqpacket":
            for reply in replies:
                session.hold(reply)
            session.flush()
        elif replies:
            session.send(replies[0] if len(replies) == 1 else b"".join(replies))
        if self.is_faulty:
            session.fault(self._reason)

    def wait(self) -> None:
        self._session.pause_reading()

    def go_on(self) -> None:
        self._session.resume_reading()


class DatagramReceiver:
    """The sender of one datagram, on the socket where it came in."""

    __slots__ = ("_endpoint", "_sender", "is_faulty")

    def __init__(self, endpoint: Endpoint, sender: Sender) -> None:
        self._endpoint = endpoint
        self._sender = sender
        self.is_faulty = False

    @property
    def peer(self) -> str:
        return f"datagram from {self._sender!r}"

    def fault(self, reason: str) -> None:
        """A datagram peer has no connection to lose. Source: protocol.md 1.5."""
        self.is_faulty = True

    def send(self, replies: list[bytes]) -> None:
        for reply in replies:
            self._endpoint.send_to(reply, self._sender)

    def wait(self) -> None:
        """A datagram is one request: nothing of it waits."""

    def go_on(self) -> None:
        pass


class Outbox:
    """The held replies of one turn."""

    def __init__(self) -> None:
        self._held: dict[Receiver, list[bytes]] = {}

    def hold(self, receiver: Receiver, reply: bytes) -> None:
        """Keeps a reply back, behind the earlier ones of its receiver."""
        replies = self._held.get(receiver)
        if replies is None:
            self._held[receiver] = [reply]
        else:
            replies.append(reply)

    def include(self, receiver: Receiver) -> None:
        """Has `receiver` act on its verdict at the release even if it gets no reply."""
        self._held.setdefault(receiver, [])

    def release(self) -> None:
        """Sends everything. To be called when everything applied so far is durable."""
        held, self._held = self._held, {}
        for receiver, replies in held.items():
            receiver.send(replies)
