"""The three services behind a gateway: which one serves a method, and one call with its outcome.

    Backends.call(command, ...) -> Backend (RPC client) -> done(reply body)        verbatim
                                                        -> done(GatewayError)      from `errors`

It owns the connections. A request is sent at most once: whether a repeat is safe only the client knows.

Source: protocol.md 8.3, 1.9.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from gateways.common.errors import (
    BACKEND_DOWN,
    BACKEND_LOST,
    TIMEOUT,
    TOO_MUCH_IN_FLIGHT,
    GatewayError,
    invalid,
)
from gateways.common.settings import BackendSettings
from vxnet.address import parse_address
from vxnet.client import ClientSettings
from vxnet.clock import OncePer
from vxutils.protocol.commands import Command, Service
from vxutils.rpc.client import CallError, Failure, RpcClient, RpcClientSettings
from vxutils.rpc.packet import HEADER_SIZE, Packet

_log = logging.getLogger("vx.gateways.backends")

Done = Callable[[bytes | GatewayError], None]

TOO_LARGE_STATUS: Final = 413
MISMATCH_LOG_PERIOD_S: Final = 1.0


class Backend:
    """One service; without an address it is not in use, and never connected.

    `timeouts`, `losses` and `mismatches` count calls whose outcome is unknown.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, name: str, settings: BackendSettings, timeout_s: float
    ) -> None:
        self.name = name
        self.timeouts = 0
        self.losses = 0
        self.mismatches = 0
        self._loop = loop
        self._timeout_s = timeout_s
        self._inflight_max = settings.inflight_max
        self._params_max = settings.request_size_bytes_max - HEADER_SIZE
        self._mismatch_log = OncePer(MISMATCH_LOG_PERIOD_S)
        self._client = _client(loop, name, settings) if settings.address else None

    @property
    def is_used(self) -> bool:
        """Whether the settings name an address for it."""
        return self._client is not None

    @property
    def is_connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    @property
    def inflight(self) -> int:
        """Requests sent and not yet answered."""
        return 0 if self._client is None else self._client.inflight

    @property
    def late_replies(self) -> int:
        """Replies that came after their deadline, and were dropped."""
        return 0 if self._client is None else self._client.unmatched_replies

    def start(self) -> None:
        """Begin to connect, for ever."""
        if self._client is not None:
            self._client.start()

    def stop(self) -> None:
        """Close; what is in flight ends as BACKEND_LOST."""
        if self._client is not None:
            self._client.stop()

    def call(self, command: Command, body: bytes, key: bytes, request_id: int, done: Done) -> None:
        """Send one request; `done` is called exactly once, in here when nothing can be sent.

        `body` is the JSON array of params, `key` the ext, `request_id` a signed 64-bit integer.
        """
        if len(body) + len(key) > self._params_max:
            rule = f"at most {self._params_max} bytes, written with a space behind each comma and colon"
            done(invalid(TOO_LARGE_STATUS, "request_too_large", "params", rule))
            return
        client = self._client
        if client is None or not client.is_connected:
            done(BACKEND_DOWN)
            return
        if client.inflight >= self._inflight_max:
            done(TOO_MUCH_IN_FLIGHT)
            return
        unsigned = request_id & 0xFFFF_FFFF_FFFF_FFFF

        def replied(reply: Packet | CallError) -> None:
            if type(reply) is Packet:
                if reply.request_id == unsigned and reply.command == command.id:
                    done(reply.body)
                else:
                    done(self._mismatch(command, reply))
            else:
                done(self._failure(reply))  # type: ignore[arg-type]

        client.call(command.id, body, replied, self._timeout_s, key, unsigned)

    def _failure(self, error: CallError) -> GatewayError:
        match error.failure:
            case Failure.REFUSED:
                return BACKEND_DOWN
            case Failure.TIMEOUT:
                self.timeouts += 1
                return TIMEOUT
            case Failure.DISCONNECTED:
                self.losses += 1
                return BACKEND_LOST

    def _mismatch(self, command: Command, reply: Packet) -> GatewayError:
        """A reply to another request than the one it claims to answer belongs to nobody."""
        self.mismatches += 1
        if self._mismatch_log.allows(self._loop.time()):
            _log.error("%s answered command %d to a request of %s", self.name, reply.command, command.name)
        return BACKEND_LOST


class Backends:
    """The backends by service, each of which is there whether it is connected or not."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: Mapping[Service, BackendSettings],
        timeout_s: float,
    ) -> None:
        self._by_service = {
            service: Backend(loop, service.value, one, timeout_s) for service, one in settings.items()
        }

    def __iter__(self) -> Iterator[Backend]:
        return iter(self._by_service.values())

    @property
    def inflight(self) -> int:
        """Requests sent and not yet answered, over all backends."""
        return sum(backend.inflight for backend in self)

    def of(self, command: Command) -> Backend:
        """The backend that serves a command."""
        return self._by_service[command.served_by]

    def start(self) -> None:
        for backend in self:
            backend.start()

    def stop(self) -> None:
        for backend in self:
            backend.stop()


def _client(loop: asyncio.AbstractEventLoop, name: str, settings: BackendSettings) -> RpcClient:
    connection = ClientSettings(
        max_pkg_size=settings.max_pkg_size,
        buf_limit=settings.buf_limit,
        read_mem=settings.read_mem,
        write_mem=settings.write_mem,
        reconnect_timeout_s=settings.reconnect_timeout_s,
    )
    return RpcClient(
        loop,
        name,
        [parse_address(text) for text in settings.address],
        RpcClientSettings(
            connection,
            heartbeat_timeout_s=settings.heartbeat_timeout_s,
            inflight_max=settings.inflight_max,
        ),
    )
