"""An RPC server in a thread of its own, a noting handler, and a loop run until something holds."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from vxnet.address import Address, parse_address
from vxnet.datagram import Endpoint, Sender
from vxnet.errors import PeerError
from vxnet.loop import new_event_loop
from vxnet.server import ServerLimits
from vxnet.session import Session
from vxutils.rpc.heartbeat import HeartbeatMode, HeartbeatPolicy
from vxutils.rpc.packet import Packet, encode_reply
from vxutils.rpc.server import RpcServer

DEADLINE_S = 5.0
KINDS = ("tcp", "udp", "stream", "dgram", "seqpacket")
CONNECTED_KINDS = ("tcp", "stream", "seqpacket")

ECHO = 101
SILENT = 102  # no reply; it is kept in `late_replies`
REFUSED = 103  # a peer's fault: the session is closed
HANG_UP = 104  # the handler closes the session
STALL = 105  # the whole loop stands still
STALL_S = 1.2

NO_HEARTBEAT = HeartbeatPolicy(mode=HeartbeatMode.OFF)


class EchoHandler:
    """Answers with the request's body; notes everything that it is told."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.datagrams = 0
        self.opened_count = 0
        self.reasons: list[str] = []
        self.late_replies: list[Callable[[], None]] = []

    def packets(self, session: Session, packets: list[Packet]) -> None:
        self.batches.append([packet.sequence for packet in packets])
        for packet in packets:
            if packet.command == REFUSED:
                raise PeerError("not an array")
            if packet.command == HANG_UP:
                session.close("hung up")
            elif packet.command == STALL:
                time.sleep(STALL_S)
            elif packet.command == SILENT:
                self.late_replies.append(functools.partial(session.send, encode_reply(packet, packet.body)))
            else:
                session.send(encode_reply(packet, packet.body))

    def datagram(self, endpoint: Endpoint, sender: Sender, packet: Packet) -> None:
        self.datagrams += 1
        reply = encode_reply(packet, packet.body)
        if packet.command == SILENT:
            self.late_replies.append(functools.partial(endpoint.send_to, reply, sender))
        else:
            endpoint.send_to(reply, sender)

    def opened(self, session: Session) -> None:
        self.opened_count += 1

    def closed(self, session: Session, reason: str) -> None:
        self.reasons.append(reason)


class RunningServer:
    def __init__(self, loop: asyncio.AbstractEventLoop, server: RpcServer, handler: EchoHandler) -> None:
        self.loop = loop
        self.server = server
        self.handler = handler

    @property
    def address(self) -> Address:
        return self.server.bound[0]

    def reason(self) -> str:
        """Why the first session that ended was closed."""
        wait_for(lambda: bool(self.handler.reasons))
        return self.handler.reasons[0]


def local_address(kind: str, directory: object, name: str = "vx.sock") -> Address:
    return parse_address(f"{kind}@127.0.0.1:0" if kind in ("tcp", "udp") else f"{kind}@{directory}/{name}")


@contextmanager
def running_server(
    addresses: Sequence[Address],
    heartbeat: HeartbeatPolicy = NO_HEARTBEAT,
    max_pkg_size: int = 10_240,
    prepare: Callable[[RpcServer], None] = lambda server: None,
) -> Iterator[RunningServer]:
    """Serve in a thread; what went wrong on its loop is raised at the end."""
    loop = new_event_loop()
    handler = EchoHandler()
    server = RpcServer(loop, addresses, ServerLimits(max_pkg_size=max_pkg_size), heartbeat, handler)
    prepare(server)
    server.start()
    faults: list[BaseException] = []

    def serve() -> None:
        try:
            loop.run_forever()
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield RunningServer(loop, server, handler)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.stop()
        loop.close()
    assert faults == []


def wait_for(condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Wait for what another thread does."""
    waiter = threading.Event()
    for _ in range(int(deadline_s / 0.005)):
        if condition():
            return
        waiter.wait(0.005)
    raise AssertionError("it did not happen in time")


def run_until(
    loop: asyncio.AbstractEventLoop, condition: Callable[[], bool], deadline_s: float = DEADLINE_S
) -> None:
    """Run the loop until the condition holds."""
    deadline = loop.time() + deadline_s

    def look() -> None:
        if condition() or loop.time() > deadline:
            loop.stop()
        else:
            loop.call_later(0.002, look)

    loop.call_soon(look)
    loop.run_forever()
    assert condition(), "it did not happen in time"
