"""One listener's requests: from an HTTP exchange to a backend and back.

    exchange -> may he? -> POST? -> JSON request -> method offered? -> key, params -> Backend.call
                  |          |           |               |                |    |          |
                 401 403    400 405     400             404              400   |         200 verbatim,
                                                                               |         413 500 503 504
                                                     SnapshotAnswers <---------'
                                                     200 as the backend would say it, 500

In `viabtc` style a bad request gets 400 with an empty body and the end of the connection, as from the C
system; in `plain` style an error object that names what is wrong, and the connection goes on. It decides
nothing about orders, sends nothing twice and keeps nothing but the exchanges in work.

Source: protocol.md 8.2, 8.3; 12.5.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from gateways.accesshttp.numbers import Numbers
from gateways.common.access import Access
from gateways.common.backends import Backends
from gateways.common.errors import (
    BAD_KEY,
    METHOD_NOT_OFFERED,
    ORIGIN_REFUSED,
    UNKNOWN_METHOD,
    ErrorFormat,
    GatewayError,
    WireStyle,
    invalid,
)
from gateways.common.market_snapshots import Shown
from gateways.common.methods import BY_METHOD
from gateways.common.numbers import NO_METHOD, reply_code
from gateways.common.requests import BadRequest, decode_request, encode_params, read_key
from gateways.common.snapshot_answers import SnapshotAnswers
from vxnet.clock import OncePer
from vxutils.http import Exchange
from vxutils.http.client_address import AddressRule, peer_host
from vxutils.protocol.commands import Command
from vxutils.rpc.replies import ReplyFormat

BAD_REQUEST_LOG_PERIOD_S: Final = 1.0
PREFLIGHT_AGE_S: Final = 600
"""How long a browser may remember that a page of a listed origin may call."""

Headers = tuple[tuple[str, str], ...]

_JSON: Final[Headers] = (("Content-Type", "application/json"),)
_NO_POST: Final = invalid(405, "method_not_post", "", "requests are sent by POST")

_log = logging.getLogger("vx.accesshttp")


class Front:
    """The handler of one listener's HTTP server. `in_work` counts requests that wait for a backend.

    `client_of(peer, headers)` is the address of a client, behind a proxy that is trusted too.
    """

    def __init__(
        self,
        access: Access,
        client_of: AddressRule,
        backends: Backends,
        answers: SnapshotAnswers,
        numbers: Numbers,
        style: WireStyle,
    ) -> None:
        self.in_work = 0
        self._access = access
        self._client_of = client_of
        self._backends = backends
        self._answers = answers
        self._replies = ReplyFormat(style, debug=False)
        self._numbers = numbers
        self._is_plain = style == "plain"
        self._headers: Headers = _JSON if self._is_plain else ()
        self._errors = ErrorFormat(style)
        self._bad_log = OncePer(BAD_REQUEST_LOG_PERIOD_S)

    # What the HTTP server calls.

    def request(self, exchange: Exchange) -> None:
        headers = self._headers
        request = exchange.request
        origin = request.header("origin")
        if origin is not None:
            if not self._access.allows_origin(origin):
                self._refuse(exchange, ORIGIN_REFUSED, None, headers)
                return
            headers += (("Access-Control-Allow-Origin", origin), ("Vary", "Origin"))
            if request.method == "OPTIONS":
                exchange.respond(204, b"", (*headers, *_preflight_headers()))
                return
        refusal = self._access.refusal(request.header("authorization"))
        if refusal is not None:
            self._refuse(exchange, refusal, None, (*headers, ("WWW-Authenticate", "Bearer")))
        elif request.method != "POST":
            self._refuse_bad(exchange, _NO_POST, None, (*headers, ("Allow", "POST")))
        else:
            self._call(exchange, headers)

    def malformed(self, exchange: Exchange, status: int, reason: str) -> None:
        """Counted and logged by the HTTP server already."""
        if self._is_plain:
            error = invalid(status, "malformed_http", "", reason)
            exchange.respond(status, self._errors.body(error, None), self._headers, close=True)
        else:
            exchange.refuse(status)

    def _call(self, exchange: Exchange, headers: Headers) -> None:
        began_s = time.perf_counter()
        try:
            request = decode_request(exchange.request.body)
            command = BY_METHOD.get(request.method)
            if command is None or command.name not in self._access.offered:
                error = UNKNOWN_METHOD if command is None else METHOD_NOT_OFFERED
                self._refuse(exchange, error, request.id, headers)
                return
            body = encode_params(request)
        except BadRequest as bad:
            error = invalid(400, bad.reason, bad.parameter, bad.rule)
            self._refuse_bad(exchange, error, bad.request_id, headers)
            return
        key = read_key(request.key) if command.mutating else b""
        if key is None:
            self._refuse(exchange, BAD_KEY, request.id, headers, command)
            return
        backend = self._backends.of(command)
        # Behind requests that wait for their effect a query waits too: shared memory does not show it yet.
        found = (
            self._answers.look(command.id, request.params) if backend.is_used and exchange.is_next else None
        )
        if isinstance(found, Shown):
            self._numbers.answered(command.name, 0)
            exchange.respond(200, self._replies.success(found.text, request.id, found.sequence), headers)
            return
        if found is not None:
            self._refuse(exchange, found, request.id, headers, command)
            return
        self.in_work += 1
        request_id = request.id
        named = command

        def done(answer: bytes | GatewayError) -> None:
            self.in_work -= 1
            if type(answer) is bytes:
                self._numbers.latency.observe(time.perf_counter() - began_s)
                self._numbers.answered(named.name, reply_code(answer))
                exchange.respond(200, answer, headers)
            else:
                self._refuse(exchange, answer, request_id, headers, named)  # type: ignore[arg-type]

        backend.call(command, body, key, request_id, done)

    def _refuse(
        self,
        exchange: Exchange,
        error: GatewayError,
        request_id: int | None,
        headers: Headers,
        command: Command | None = None,
    ) -> None:
        """Answer with an error object; the connection goes on."""
        self._numbers.answered(NO_METHOD if command is None else command.name, error.error.code)
        exchange.respond(error.status, self._errors.body(error, request_id), headers)

    def _refuse_bad(
        self, exchange: Exchange, error: GatewayError, request_id: int | None, headers: Headers
    ) -> None:
        """Answer what is no request of ours. A client's nonsense is worth a line a second, and no alarm."""
        if self._bad_log.allows(time.monotonic()):
            _log.warning("peer: %s: bad request: %s", self._shown(exchange), error.error.reason)
        if self._is_plain:
            self._refuse(exchange, error, request_id, headers)
        else:
            self._numbers.answered(NO_METHOD, error.error.code)
            exchange.respond(400, close=True)

    def _shown(self, exchange: Exchange) -> str:
        """Who sent it, for the log: the peer, and the client if a trusted proxy tells of another one."""
        request = exchange.request
        client = self._client_of(request.peer, request.headers)
        return request.peer if client == peer_host(request.peer) else f"{client} by {request.peer}"


def _preflight_headers() -> Headers:
    return (
        ("Access-Control-Allow-Methods", "POST"),
        ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
        ("Access-Control-Max-Age", str(PREFLIGHT_AGE_S)),
    )
