"""The worker's side of the handover: takes descriptors, reports, and comes back when the listener does.

It owns the connection to the listener. A worker without a listener goes on serving what it has.

Source: protocol.md 8.1, 1.8.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable

from gateways.common.handover import (
    MESSAGE_SIZE_BYTES_MAX,
    PERIOD_S,
    RECONNECT_S,
    Report,
    decode_payload,
    encode_report,
)
from vxnet.address import Address
from vxnet.client import Client, ClientSettings
from vxnet.session import Session
from vxnet.timer import Timer
from vxutils.rpc.heartbeat import HEARTBEAT_COMMAND, TIMEOUT_DEFAULT_S, encode_heartbeat
from vxutils.rpc.packet import KIND_REQUEST, encode_packet

_log = logging.getLogger("vx.gateways.worker_link")


class WorkerLink:
    """`report(adopted)` makes the report; `adopt(socket, listener)` takes a connection and owns it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: Address,
        report: Callable[[int], Report],
        adopt: Callable[[socket.socket, int], None],
    ) -> None:
        self._loop = loop
        self._report = report
        self._adopt = adopt
        self._adopted = 0
        self._heard_at = 0.0
        self._beat_at = 0.0
        timeout_ms = round(TIMEOUT_DEFAULT_S * 1000)
        self._heartbeat = encode_packet(HEARTBEAT_COMMAND, KIND_REQUEST, 0, 0, encode_heartbeat(timeout_ms))
        self._timer = Timer(loop, PERIOD_S, self._beat, repeat=True)
        settings = ClientSettings(
            max_pkg_size=MESSAGE_SIZE_BYTES_MAX, buf_limit=4, reconnect_timeout_s=RECONNECT_S
        )
        self._client = Client(loop, [address], self, settings, self._received_descriptor)

    @property
    def is_connected(self) -> bool:
        return self._client.session is not None

    def start(self) -> None:
        """Begin to connect, for ever."""
        self._client.start()

    def stop(self) -> None:
        """Leave the listener: no descriptor comes any more."""
        self._client.stop("worker stops")

    def report_now(self) -> None:
        """Tell the listener at once that something has changed."""
        if self._client.session is not None:
            self._client.session.send(encode_report(self._report(self._adopted)))

    # What the client calls.

    def connected(self, session: Session) -> None:
        _log.info("connected to the listener")
        self._adopted = 0
        self._heard_at = self._beat_at = self._loop.time()
        self.report_now()
        self._timer.start()

    def received(self, session: Session, data: bytes) -> int:
        """Answers to heartbeats: signs of life, and nothing else."""
        self._heard_at = self._loop.time()
        return len(data)

    def closed(self, session: Session | None, reason: str) -> None:
        self._timer.stop()
        if session is not None:
            _log.info("the listener is gone: %s", reason)

    def _received_descriptor(self, session: Session, descriptor: int, payload: bytes) -> None:
        self._heard_at = self._loop.time()
        self._adopted += 1
        listener = decode_payload(payload)
        if listener is None:
            os.close(descriptor)
            _log.warning("a descriptor came with a payload of %d bytes; closed", len(payload))
            return
        self._adopt(socket.socket(fileno=descriptor), listener)

    def _beat(self) -> None:
        session = self._client.session
        assert session is not None, "the timer stops with the connection"
        now = self._loop.time()
        # While this very loop stood still nothing was read: that is not the listener's silence.
        stalled_s = max(0.0, now - self._beat_at - PERIOD_S)
        self._beat_at = now
        if now - self._heard_at - stalled_s > TIMEOUT_DEFAULT_S:
            self._client.reconnect("heartbeat timeout")
            return
        session.send(self._heartbeat)
        self.report_now()
