"""One listener's conversations: from a message to its method, and who a connection speaks for.

    message -> JSON request -> method? -> server.*      answered here (auth and sign by the authenticator)
                  |              |     -> query         `forwards`
                error 1        error 4 -> subscription  `subscriptions`

In `viabtc` style a message that is no request ends the connection, as in the C system, but not before error
1 has been sent; in `plain` style the connection goes on. A connection whose login was revoked or has expired
gets error 6 where it asked for something, and is closed: its subscriptions would fall silent without a word.

Source: protocol.md 9.3, 9.4, 9.9; 12.6 number 85.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from gateways.accessws.client import Client
from gateways.accessws.forwards import Forwards
from gateways.accessws.methods import AUTH, FORWARDS, METHODS, PING, SIGN, TIME
from gateways.accessws.numbers import Numbers
from gateways.accessws.outgoing import Outbox
from gateways.accessws.peers import Peers
from gateways.common.authentication import Authenticator
from gateways.common.errors import (
    TOO_MUCH_IN_FLIGHT,
    UNKNOWN_METHOD,
    ErrorFormat,
    GatewayError,
    WireStyle,
    invalid,
)
from gateways.common.identity import Identity
from gateways.common.numbers import NO_METHOD
from gateways.common.requests import BadRequest, Request, decode_request
from vxnet.clock import OncePer
from vxutils.rpc.replies import ReplyFormat
from vxutils.ws import WsConnection, WsService, text_frame

SOURCE_BYTES_MAX: Final = 31
SIGN_SOURCE: Final = "api"
"""What a connection that logged in with server.sign is called. Source: protocol.md 9.9."""

POLICY_CODE: Final = 1008
BAD_REQUEST_LOG_PERIOD_S: Final = 1.0

_AUTH_RULE: Final = f"exactly 2: token, source; texts, source of at most {SOURCE_BYTES_MAX} bytes"
_SIGN_RULE: Final = "exactly 3: access_id, authorisation, tonce; two texts and an integer that is not 0"

_log = logging.getLogger("vx.accessws")

Succeed = Callable[[], None]
Subscribe = Callable[[Client, list[object], Succeed], GatewayError | None]


class Subscribing(Protocol):
    """What serves the subscriptions; `subscriptions.Subscriptions` is one."""

    def methods(self) -> Mapping[str, Subscribe]:
        """(client, params, succeed): calls `succeed` and then queues what the client gets at once, or returns
        the error."""

    def left(self, client: Client) -> None:
        """The connection is gone."""

    def user_changed(self, client: Client) -> None:
        """The connection speaks for another user, or for nobody."""


class Front(WsService):
    """The service of one worker's websocket servers. `authenticated`: the clients that speak for a user."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        outbox: Outbox,
        subscriptions: Subscribing,
        authenticator: Authenticator,
        numbers: Numbers,
        peers: Peers,
        style: WireStyle,
    ) -> None:
        self.authenticated: dict[Client, None] = {}
        self._loop = loop
        self._outbox = outbox
        self._subscriptions = subscriptions
        self._authenticator = authenticator
        self._numbers = numbers
        self._peers = peers
        self._is_plain = style == "plain"
        self._replies = ReplyFormat(style, debug=False)
        self._errors = ErrorFormat(style)
        self._success = '{"status":"success"}' if self._is_plain else '{"status": "success"}'
        self._bad_log = OncePer(BAD_REQUEST_LOG_PERIOD_S)
        self._methods: dict[str, Callable[[Client, Request], None]] = {
            PING: lambda client, request: self._result(client, request, '"pong"'),
            TIME: lambda client, request: self._result(client, request, str(int(time.time()))),
            AUTH: self._auth,
            SIGN: self._sign,
        }

    def serve(self, forwards: Forwards) -> None:
        """Complete the table of methods; once, before the first connection."""
        for name, forward in FORWARDS.items():
            self._methods[name] = functools.partial(forwards.forward, forward)
        for name, subscribe in self._subscriptions.methods().items():
            self._methods[name] = functools.partial(self._subscribe, subscribe)
        assert set(self._methods) == METHODS, "each method has one home"

    # What the websocket server calls.

    def opened(self, connection: WsConnection) -> None:
        client = Client(connection, self._outbox.open(connection))
        connection.state = client
        if not self._peers.enter(connection.client):
            connection.close(POLICY_CODE, "too many connections from your address")

    def received(self, connection: WsConnection, message: str | bytes) -> None:
        client = connection.state
        assert isinstance(client, Client), "opened has made it"
        try:
            request = decode_request(message)
            method = self._methods.get(request.method)
            if method is None:
                self.refuse(client, UNKNOWN_METHOD, request.id, NO_METHOD)
            else:
                method(client, request)
        except BadRequest as bad:
            self._refuse_bad(client, bad)

    def closed(self, connection: WsConnection, code: int, reason: str) -> None:
        client = connection.state
        assert isinstance(client, Client), "opened has made it"
        self._peers.leave(connection.client)
        self.authenticated.pop(client, None)
        self._subscriptions.left(client)
        client.outgoing.close()
        connection.state = None  # they would wait for each other's end

    def drained(self, connection: WsConnection) -> None:
        client = connection.state
        assert isinstance(client, Client), "opened has made it"
        client.outgoing.drained()

    # Answers.

    def answer(self, client: Client, body: bytes) -> None:
        """A reply goes out behind what is queued for the client already; nowhere if he is gone.

        At once: a close frame may be what he sent next. The connection joins the replies to one read.
        """
        if client.connection.is_open:
            client.outgoing.queue(text_frame(body))
            client.outgoing.flush()

    def refuse(self, client: Client, error: GatewayError, request_id: int | None, method: str) -> None:
        """An error goes out; `method` is one of the table or NO_METHOD."""
        self._numbers.answered(method, error.error.code)
        self.answer(client, self._errors.body(error, request_id))

    def _result(self, client: Client, request: Request, result: str) -> None:
        self._numbers.answered(request.method, 0)
        self.answer(client, self._replies.success(result, request.id))

    def _refuse_bad(self, client: Client, bad: BadRequest) -> None:
        """A client's nonsense is worth a line a second, and no alarm."""
        if self._bad_log.allows(time.monotonic()):
            _log.warning("peer: %s: bad request: %s", client.connection.client, bad.reason)
        error = invalid(400, bad.reason, bad.parameter, bad.rule)
        self.refuse(client, error, bad.request_id, NO_METHOD)
        if not self._is_plain:
            client.connection.close(POLICY_CODE, "not a request")

    # Methods.

    def _subscribe(self, subscribe: Subscribe, client: Client, request: Request) -> None:
        if client.user_id:
            self.is_authenticated(client)  # whoever is not any more speaks for nobody from here on
        request_id, method = request.id, request.method

        def succeed() -> None:
            self._numbers.answered(method, 0)
            self.answer(client, self._replies.success(self._success, request_id))

        error = subscribe(client, request.params, succeed)
        if error is not None:
            self.refuse(client, error, request_id, method)

    def _auth(self, client: Client, request: Request) -> None:
        params = request.params
        if len(params) != 2 or type(params[0]) is not str or not _is_source(params[1]):
            self.refuse(client, invalid(400, "invalid_params", "params", _AUTH_RULE), request.id, AUTH)
            return
        token, source = params
        if self._begin(client, request):
            done = self._bind_when_done(client, request, source)
            self._authenticator.auth(token, source, done, client=client.connection.client)

    def _sign(self, client: Client, request: Request) -> None:
        params = request.params
        if [type(param) for param in params] != [str, str, int] or params[2] == 0:
            self.refuse(client, invalid(400, "invalid_params", "params", _SIGN_RULE), request.id, SIGN)
            return
        access_id, authorisation, tonce = params
        if self._begin(client, request):
            done = self._bind_when_done(client, request, SIGN_SOURCE)
            self._authenticator.sign(access_id, authorisation, tonce, done, client=client.connection.client)

    def _begin(self, client: Client, request: Request) -> bool:
        """One log-in at a time: the outcome of several would depend on which ends last."""
        if client.is_authenticating:
            self.refuse(client, TOO_MUCH_IN_FLIGHT, request.id, request.method)
            return False
        client.is_authenticating = True
        return True

    def _bind_when_done(
        self, client: Client, request: Request, source: str
    ) -> Callable[[Identity | GatewayError], None]:
        def done(outcome: Identity | GatewayError) -> None:
            client.is_authenticating = False
            if not client.connection.is_open:
                return
            if isinstance(outcome, GatewayError):
                self.refuse(client, outcome, request.id, request.method)
                return
            former = client.user_id
            client.bind(outcome, source)
            self.authenticated[client] = None
            if former not in (0, outcome.user_id):
                self._subscriptions.user_changed(client)
            _log.info(
                "peer: %s: is user %d by %s %s",
                client.connection.client,
                outcome.user_id,
                request.method,
                outcome.token_id,
            )
            self._result(client, request, self._success)

        return done

    # Who a connection speaks for.

    def is_authenticated(self, client: Client) -> bool:
        """Whether it speaks for a user, still."""
        identity = client.identity
        if identity is None:
            return False
        if self._authenticator.is_valid(identity):
            return True
        self._revoke(client)
        return False

    def look_at_identities(self) -> None:
        """Some may have ended: connections that spoke for them are closed."""
        for client in list(self.authenticated):
            self.is_authenticated(client)

    def _revoke(self, client: Client) -> None:
        identity = client.identity
        assert identity is not None, "it was authenticated"
        _log.info(
            "peer: %s: %s of user %d was revoked or has expired",
            client.connection.client,
            identity.token_id,
            identity.user_id,
        )
        client.unbind()
        self.authenticated.pop(client, None)
        self._subscriptions.user_changed(client)
        # Behind the error of the request that noticed it.
        self._loop.call_soon(client.connection.close, POLICY_CODE, "your login was revoked or has expired")


def _is_source(source: object) -> bool:
    return type(source) is str and len(source.encode("utf-8", "surrogatepass")) <= SOURCE_BYTES_MAX
