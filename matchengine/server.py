"""The engine's door: RPC sessions and datagrams in, turns of the pipeline out.

It gives each session its receiver and hands packets over; what they mean is the pipeline's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from matchengine.outbox import DatagramReceiver, SessionReceiver
from matchengine.pipeline import Pipeline
from vxnet.address import Address, parse_address
from vxnet.datagram import Endpoint, Sender
from vxnet.server import ServerLimits
from vxnet.session import Session
from vxutils.rpc.heartbeat import HeartbeatMode, HeartbeatPolicy
from vxutils.rpc.packet import Packet
from vxutils.rpc.server import RpcServer
from vxutils.settings import ServerSettings


class EngineServer:
    """Listens on all addresses of the settings, between `start` and `stop`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: ServerSettings, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        limits = ServerLimits(
            max_pkg_size=settings.max_pkg_size,
            buf_limit=settings.buf_limit,
            read_mem=settings.read_mem,
            write_mem=settings.write_mem,
            connections_max=settings.connections_max,
        )
        policy = HeartbeatPolicy(mode=HeartbeatMode(settings.heartbeat))
        addresses = [parse_address(text) for text in settings.bind]
        self._rpc = RpcServer(loop, addresses, limits, policy, self)
        self._rpc.reply = self._reply
        self._rpc.refuse = self._refuse

    @property
    def bound(self) -> Sequence[Address]:
        """Where it listens, with real ports."""
        return self._rpc.bound

    @property
    def connections(self) -> int:
        """Open sessions."""
        return len(self._rpc.server.sessions)

    def start(self) -> None:
        """Begins to serve. Raises: AddressError, OSError naming the address."""
        self._rpc.start()

    def stop(self) -> None:
        """Closes everything."""
        self._rpc.stop()

    # What the RPC server calls.

    def opened(self, session: Session) -> None:
        session.data = SessionReceiver(session)

    def closed(self, session: Session, reason: str) -> None:
        # Receiver and session name each other; nothing would free them while the collector is off.
        session.data = None

    def packets(self, session: Session, packets: list[Packet]) -> None:
        self._pipeline.receive(session.data, packets)  # type: ignore[arg-type]

    def datagram(self, endpoint: Endpoint, sender: Sender, packet: Packet) -> None:
        self._pipeline.receive(DatagramReceiver(endpoint, sender), [packet])

    def _reply(self, session: Session, data: bytes) -> None:
        """Answers of the RPC layer itself (heartbeats) keep their place among the held replies."""
        self._pipeline.pass_on(session.data, data)  # type: ignore[arg-type]

    def _refuse(self, session: Session, reason: str) -> None:
        """A session that sent no packet ends behind the replies to what it asked before."""
        self._pipeline.refuse(session.data, reason)  # type: ignore[arg-type]
