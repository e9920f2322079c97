"""What the tests of sockets share: a recording handler, waiting with a deadline, plain blocking peers."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from collections.abc import Callable, Iterator, Sequence, Sized
from pathlib import Path

from vxnet.address import Address, parse_address
from vxnet.client import Client, ClientSettings
from vxnet.datagram import Endpoint, Sender
from vxnet.loop import EventLoop
from vxnet.server import BaseHandler, Server, ServerLimits
from vxnet.session import Session

DEADLINE_S = 10.0
STREAM_KINDS = ("tcp", "tcp6", "stream", "seqpacket")
DATAGRAM_KINDS = ("udp", "udp6", "dgram")


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def address_of_kind(kind: str, folder: Path, name: str = "server.sock") -> Address:
    """An address that is free: port 0 on loopback, or a path in the folder."""
    if kind.endswith("6"):
        return parse_address(f"{kind[:-1]}@[::1]:0")
    if kind in ("tcp", "udp"):
        return parse_address(f"{kind}@127.0.0.1:0")
    return parse_address(f"{kind}@{folder / name}")


def run_until(loop: EventLoop, condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    """Run the loop until the condition holds; fails at the deadline."""
    end = loop.time() + deadline_s

    def look() -> None:
        if condition() or loop.time() > end:
            loop.stop()
        else:
            loop.call_later(0.001, look)

    loop.call_soon(look)
    loop.run_forever()
    assert condition(), "the deadline has passed"


def run_for(loop: EventLoop, seconds: float) -> None:
    loop.call_later(seconds, loop.stop)
    loop.run_forever()


class Recorder(BaseHandler):
    """Keeps everything that happens; `consume` says how much of the input is used, `on_data` acts on it."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.data: list[bytes] = []
        self.closings: list[tuple[int, str]] = []
        self.descriptors: list[tuple[int, bytes]] = []
        self.datagrams: list[tuple[bytes, Sender]] = []
        self.consume: Callable[[bytes], int] = len
        self.on_data: Callable[[Session, bytes], object] | None = None
        self.on_datagram: Callable[[Endpoint, bytes, Sender], object] | None = None

    @property
    def received_bytes(self) -> bytes:
        return b"".join(self.data)

    @property
    def reasons(self) -> list[str]:
        return [reason for _, reason in self.closings]

    def opened(self, session: Session) -> None:
        self.sessions.append(session)

    def received(self, session: Session, data: bytes) -> int:
        self.data.append(data)
        if self.on_data is not None:
            self.on_data(session, data)
        return self.consume(data)

    def received_descriptor(self, session: Session, descriptor: int, payload: bytes) -> None:
        self.descriptors.append((descriptor, payload))

    def closed(self, session: Session, reason: str) -> None:
        self.closings.append((session.id, reason))

    def received_datagram(self, endpoint: Endpoint, data: bytes, sender: Sender) -> None:
        self.datagrams.append((data, sender))
        if self.on_datagram is not None:
            self.on_datagram(endpoint, data, sender)


class ClientRecorder:
    """Keeps everything that happens to a client."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.data: list[bytes] = []
        self.reasons: list[str] = []
        self.failures: list[str] = []

    @property
    def received_bytes(self) -> bytes:
        return b"".join(self.data)

    def connected(self, session: Session) -> None:
        self.sessions.append(session)

    def received(self, session: Session, data: bytes) -> int:
        self.data.append(data)
        return len(data)

    def closed(self, session: Session | None, reason: str) -> None:
        (self.failures if session is None else self.reasons).append(reason)


@contextlib.contextmanager
def serving(
    loop: EventLoop, addresses: Address | Sequence[Address], handler: Recorder, **limits: int
) -> Iterator[Server]:
    several = [addresses] if isinstance(addresses, Address) else addresses
    server = Server(loop, several, handler, ServerLimits(**limits))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def connecting(
    loop: EventLoop,
    addresses: Address | Sequence[Address],
    handler: ClientRecorder,
    *,
    reconnect_timeout_s: float = 0.05,
    max_pkg_size: int = 10_240,
) -> Iterator[Client]:
    several = [addresses] if isinstance(addresses, Address) else addresses
    settings = ClientSettings(reconnect_timeout_s=reconnect_timeout_s, max_pkg_size=max_pkg_size)
    client = Client(loop, several, handler, settings)
    client.start()
    try:
        yield client
    finally:
        client.stop()


def plain_peer(address: Address) -> socket.socket:
    """A blocking socket of the test, connected to the address."""
    peer = socket.socket(address.family, address.socktype)
    peer.settimeout(DEADLINE_S)
    peer.connect(address.sockaddr())
    return peer


def open_descriptors() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def at_least(items: Sized, count: int) -> Callable[[], bool]:
    return lambda: len(items) >= count


class DescriptorShortage:
    """From `begin` to `end` this process can open no descriptor: all free numbers are at or above its limit.

    Begin it within the loop: uvloop opens a socket pair each time it is run.
    """

    def __init__(self) -> None:
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def begin(self) -> None:
        hard = self._limits[1]
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))

    def end(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)


@contextlib.contextmanager
def descriptor_shortage() -> Iterator[DescriptorShortage]:
    shortage = DescriptorShortage()
    try:
        yield shortage
    finally:
        shortage.end()
