"""Queries that a backend answers: checks, own user id, cache, call, and the reply as it came.

    request -> checks in their order -> parameters -> shared memory -> cache -> Backend.call -> reply verbatim
                 error 2, error 6        error 1        error 2                  error 5, 2, 3

A client may have `in_flight_max` unanswered queries; the next one gets error 3. Nothing is sent twice. Who is
authenticated is decided by `front`.

Source: protocol.md 9.4.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

from gateways.accessws.cache import QueryCache
from gateways.accessws.client import Client
from gateways.accessws.methods import Check, Forward
from gateways.accessws.numbers import Numbers
from gateways.common.backends import Backends
from gateways.common.errors import (
    AUTHENTICATION_REQUIRED,
    BACKEND_DOWN,
    TOO_MUCH_IN_FLIGHT,
    GatewayError,
    invalid,
)
from gateways.common.market_snapshots import Shown
from gateways.common.numbers import reply_code
from gateways.common.requests import Request, encode_params
from gateways.common.snapshot_answers import SnapshotAnswers
from vxutils.rpc.replies import ReplyFormat

_TYPE_NAMES: Final = {str: "text", int: "an integer"}


class Replier(Protocol):
    """Who talks to the clients; `front.Front` is one."""

    def is_authenticated(self, client: Client) -> bool: ...

    def answer(self, client: Client, body: bytes) -> None:
        """Sends a reply, if he is still there."""

    def refuse(self, client: Client, error: GatewayError, request_id: int | None, method: str) -> None:
        """Sends an error, if he is still there."""


class Forwards:
    """The queries of one worker."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        backends: Backends,
        answers: SnapshotAnswers,
        replies: ReplyFormat,
        numbers: Numbers,
        replier: Replier,
        *,
        cache_timeout_s: float,
        in_flight_max: int,
    ) -> None:
        self.in_work = 0
        """Queries that wait for a backend."""
        self.cache = QueryCache(cache_timeout_s)
        self._loop = loop
        self._backends = backends
        self._answers = answers
        self._replies = replies
        self._numbers = numbers
        self._in_flight_max = in_flight_max
        self._replier = replier

    def forward(self, forward: Forward, client: Client, request: Request) -> None:
        """Answer one query, now or when the backend has. Raises: BadRequest for what no backend takes."""
        error = self._refusal(client, request, forward)
        if error is not None:
            self._replier.refuse(client, error, request.id, request.method)
            return
        if forward.is_own:
            request.params.insert(0, client.user_id)
        body = encode_params(request)
        key = (forward.command.id, body)
        found = self._answers.look(forward.command.id, request.params) if forward.is_cached else None
        if isinstance(found, Shown):
            self._numbers.answered(request.method, 0)
            self._replier.answer(client, self._replies.success(found.text, request.id, found.sequence))
            return
        if found is not None:
            self._replier.refuse(client, found, request.id, request.method)
            return
        if forward.is_cached:
            cached = self.cache.get(key, self._loop.time())
            if cached is not None:
                self._numbers.answered(request.method, 0)
                self._replier.answer(
                    client, self._replies.success(cached.result, request.id, cached.sequence)
                )
                return
        if client.in_flight >= self._in_flight_max:
            self._replier.refuse(client, TOO_MUCH_IN_FLIGHT, request.id, request.method)
            return
        self._call(client, request, forward, body)

    def _refusal(self, client: Client, request: Request, forward: Forward) -> GatewayError | None:
        for check in forward.checks:
            if check is Check.CONNECTED:
                if not self._backends.of(forward.command).is_connected:
                    return BACKEND_DOWN
            elif not self._replier.is_authenticated(client):
                return AUTHENTICATION_REQUIRED
        wanted = forward.parameters
        if wanted is None:
            return None
        names = forward.names.split(", ")
        if len(request.params) != len(wanted):
            return invalid(400, "wrong_parameter_count", "params", f"exactly {len(wanted)}: {forward.names}")
        for name, value, kind in zip(names, request.params, wanted, strict=True):
            if kind is not object and type(value) is not kind:
                return invalid(400, f"invalid_{name}", name, _TYPE_NAMES[kind])
        return None

    def _call(self, client: Client, request: Request, forward: Forward, body: bytes) -> None:
        began_s = time.perf_counter()
        self.in_work += 1
        client.in_flight += 1
        request_id, method = request.id, request.method

        def done(reply: bytes | GatewayError) -> None:
            self.in_work -= 1
            client.in_flight -= 1
            if isinstance(reply, bytes):
                self._numbers.latency.observe(time.perf_counter() - began_s)
                self._numbers.answered(method, reply_code(reply))
                if forward.is_cached:
                    self.cache.store((forward.command.id, body), reply, self._loop.time())
                self._replier.answer(client, reply)
            else:
                self._replier.refuse(client, reply, request_id, method)

        self._backends.of(forward.command).call(forward.command, body, b"", request_id, done)
